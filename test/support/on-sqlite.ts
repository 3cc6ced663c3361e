/**
 * Sets the journeys that are imported after this on SQLite: a file of its own for each queue, or for those that share
 * one.
 */
import { join } from 'node:path'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { durableApart, runOn } from './backlog-under-test.ts'
import { temporaryUntilExit } from './temporary-folder.ts'

const folder = temporaryUntilExit('journeys')
let files = 0

runOn({
  name: 'sqlite',
  durable: true,
  // Power is not the subject of a journey.
  make: () => new SqliteBacklog(join(folder, `${++files}.db`), { durability: 'process' }),
  apart: durableApart,
})
