/** A folder for the files of a test, and sessions on them as a queue would open them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type {
  BacklogSession,
  Exchange,
  ExchangeResult,
  SessionOptions,
  SettleKind,
  Settlement,
} from '../../lib/backlog.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { JobRecord } from '../../lib/job.ts'
import { attachSession } from '../../persistence/sqlite/backlog.ts'
import { hostWith } from '../../persistence/sqlite/thread/thread-host.ts'
import { remove, temporary } from './temporary-folder.ts'

export interface FileSessions {
  /** A path in the folder. */
  at(name: string): string
  /** The points at which the threads of that file die, one after the other. */
  deaths(path: string, ...points: readonly ('answer' | 'ask' | 'start')[]): void
  /** A shelf whose thread dies as planned. */
  shelf(
    path: string,
    parts?: Partial<SessionOptions>,
    stallMs?: number,
  ): Promise<BacklogSession & { readonly troubles: unknown[] }>
}

export function fileSessions(): FileSessions {
  const folder = temporary('sqlite')
  const shelves: BacklogSession[] = []
  test.after.always('the folder goes', async () => {
    await Promise.allSettled(shelves.map(session => session.close()))
    remove(folder)
  })
  const host = hostWith(new URL('./fake-threads/dies-as-planned.js', import.meta.url))
  return {
    at: name => join(folder, name),
    deaths: (path, ...points) => writeFileSync(`${path}.plan`, points.join('\n')),
    async shelf(path, parts = {}, stallMs = 300_000) {
      const troubles: unknown[] = []
      const declaration = { ...declared, failed: (error: unknown) => void troubles.push(error), ...parts }
      const session = await attachSession(declaration, path, { durability: 'power', stallMs, host })
      shelves.push(session)
      return Object.assign(session, { troubles })
    },
  }
}

export const declared: SessionOptions = {
  name: 'q',
  works: true,
  clock: systemClock,
  rate: undefined,
  size: Infinity,
  keep: { finishedMs: 0, failedMs: 60_000, cancelledMs: 60_000, idsMs: 60_000, results: false, most: Infinity },
  afterCrash: 'again',
  crashLimit: 3,
  wake: () => {},
  endedElsewhere: () => {},
  stalled: () => {},
  failed: () => {},
  runningBodies: () => 0,
}

export function job(payload: unknown, id = ''): JobRecord {
  return new JobRecord(id, payload, 0, systemClock.wall())
}

export async function put(session: BacklogSession, ...records: readonly JobRecord[]): Promise<readonly JobRecord[]> {
  await session.put(records, systemClock.now(), systemClock.wall())
  return records
}

export function exchange(
  session: BacklogSession,
  parts: Partial<Exchange> = {},
  clock: Clock = systemClock,
): Promise<ExchangeResult> {
  const now = { now: clock.now(), wall: clock.wall(), room: 0 }
  return Promise.resolve(
    session.exchange({
      ...now,
      mayLaunch: true,
      settled: [],
      confirmed: [],
      launchReports: [],
      spent: [],
      checkpoints: [],
      endedBodies: [],
      ...parts,
    }),
  )
}

export function ending(record: JobRecord, kind: SettleKind = 'finished', error?: unknown): Settlement {
  const { fence } = record
  return { record, fence, kind, grant: 0, value: undefined, error, waitMs: 0, heldKey: undefined, within: false }
}
