/** Helpers of the backlog contract's suites: jobs, exchanges, and sessions that each test opens. */
import type {
  Backlog,
  BacklogSession,
  Exchange,
  ExchangeResult,
  KeepPolicy,
  SessionOptions,
  SettleKind,
  Settlement,
} from '../../../lib/backlog.ts'
import { type JobExtras, JobRecord } from '../../../lib/job.ts'
import { fingerprint } from '../../../lib/put/fingerprint.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import type { Assert, ContractTest } from '../contract.ts'

/** The backlogs that a suite tests. */
export interface BacklogSubject {
  /** A new backlog that nothing else uses. */
  make(): Backlog | Promise<Backlog>
}

/** Opens sessions for one test and closes them when it ends. */
export interface Sessions {
  make(): Promise<Backlog>
  attach(backlog: Backlog, parts?: Partial<SessionOptions>): Promise<BacklogSession>
  /** On a backlog of its own. */
  open(parts?: Partial<SessionOptions>): Promise<BacklogSession>
}

export const wall = 1_000_000
export const keep: KeepPolicy = {
  finishedMs: 0,
  failedMs: 1_000,
  cancelledMs: 1_000,
  idsMs: 1_000,
  results: false,
  most: Infinity,
}

/** A declaration without special requests. */
export function declared(parts: Partial<SessionOptions> = {}): SessionOptions {
  return {
    name: 'q',
    works: true,
    clock: new VirtualClock(),
    rate: undefined,
    size: Infinity,
    keep,
    afterCrash: 'again',
    crashLimit: 3,
    wake: () => {},
    endedElsewhere: () => {},
    stalled: () => {},
    failed: () => {},
    runningBodies: () => 0,
    ...parts,
  }
}

/** Adds tests to a list. Each test gets sessions of its own. */
export function backlogTestsInto(
  tests: ContractTest<BacklogSubject>[],
): (title: string, run: (t: Assert, sessions: Sessions) => Promise<void>) => void {
  return (title, run) => {
    const withSessions = async (t: Assert, subject: BacklogSubject): Promise<void> => {
      const opened: BacklogSession[] = []
      const make = async (): Promise<Backlog> => subject.make()
      const attach = async (backlog: Backlog, parts?: Partial<SessionOptions>): Promise<BacklogSession> => {
        const session = await backlog.attach(declared(parts))
        opened.push(session)
        return session
      }
      try {
        await run(t, { make, attach, open: async parts => attach(await make(), parts) })
      } finally {
        await Promise.all(opened.map(session => session.close()))
      }
    }
    tests.push({ title, run: withSessions })
  }
}

export function job(
  payload: unknown,
  extras: Partial<JobExtras> & { readonly id?: string; readonly priority?: number } = {},
): JobRecord {
  const { id = '', priority = 0, ...more } = extras
  const record = new JobRecord(id, payload, priority, wall)
  if (Object.keys(more).length > 0) Object.assign(record.ensureExtras(), more)
  if (id !== '') record.ensureExtras().fingerprint = fingerprint(payload)
  return record
}

export function payloads(jobs: readonly JobRecord[]): unknown[] {
  return jobs.map(({ payload }) => payload)
}

export function settle(record: JobRecord, kind: SettleKind, parts: Partial<Settlement> = {}): Settlement {
  const { fence } = record
  return {
    record,
    fence,
    kind,
    grant: 0,
    value: undefined,
    error: undefined,
    waitMs: 0,
    heldKey: undefined,
    within: false,
    ...parts,
  }
}

/** An exchange at instant 0 that reports nothing and claims nothing, except for `parts`. */
export function exchangeOf(parts: Partial<Exchange> = {}): Exchange {
  return {
    now: 0,
    wall,
    room: 0,
    settled: [],
    mayLaunch: true,
    confirmed: [],
    launchReports: [],
    spent: [],
    checkpoints: [],
    endedBodies: [],
    ...parts,
  }
}

export async function exchange(session: BacklogSession, parts: Partial<Exchange> = {}): Promise<ExchangeResult> {
  return session.exchange(exchangeOf(parts))
}

export async function claim(
  session: BacklogSession,
  room: number = 100,
  now: number = 0,
): Promise<readonly JobRecord[]> {
  return (await exchange(session, { room, now, wall: wall + now })).claimed
}
