/** Sets the journeys that are imported after this on SQLite: a file of its own for each queue, or for those that share one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { runOn } from './journey.ts'

const folder = mkdtempSync(join(tmpdir(), 'rdq-journeys-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
let files = 0

runOn({
  name: 'sqlite',
  durable: true,
  // Power is not the subject of a journey.
  make: () => new SqliteBacklog(join(folder, `${++files}.db`), { durability: 'process' }),
  apart: {
    'F47: a job that is cancelled between its claim and its launch is not called, and can be put anew':
      'the launch comes before the answer of the file',
  },
  failing: {
    'a width of Infinity starts all, more than one turn takes too':
      'the room away is counted as Infinity less Infinity',
    'jitter waits at least half of the delay and at most all of it, not always the same': 'the same',
    'pending comes first, underway before the first line, finished before the result settles':
      'the answer to a put may be told after that of the turn that claimed its job',
    'F50: no listener stays on the signal of a put whose job was stopped':
      'a job that is put with a signal is not held here, so that the stop does not name it',
  },
})
