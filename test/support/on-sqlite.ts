/** Sets the journeys that are imported after this on SQLite: a file of its own for each queue, or for those that share one. */
import { join } from 'node:path'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { runOn } from './journey.ts'
import { temporaryUntilExit } from './temporary.ts'

const folder = temporaryUntilExit('journeys')
let files = 0

runOn({
  name: 'sqlite',
  durable: true,
  // Power is not the subject of a journey.
  make: () => new SqliteBacklog(join(folder, `${++files}.db`), { durability: 'process' }),
  apart: {
    'F47: a job that is cancelled between its claim and its launch is not called, and can be put anew':
      'the launch comes before the answer of the file',
    'F31: what JSON would change reaches the handler by reference where it may be put': 'a file holds what JSON can',
    'F33: a part that a payload shares in many places is not looked at once for each way to it':
      'JSON writes it out in each place',
  },
})
