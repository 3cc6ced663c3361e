import test from 'ava'
import { launchAlone, reportedFirst } from '../../../lib/backlog.ts'
import { type CrashedJob, type CrashPolicy, cautionOf, crashOutcome } from '../../../lib/decisions/crash-outcome.ts'

const fresh: CrashedJob = {
  crashes: 0,
  launchReported: true,
  alone: false,
  launchUnreported: false,
  awaitingVerdict: false,
}
const again: CrashPolicy = { afterCrash: 'again', crashLimit: 3 }
const fail: CrashPolicy = { ...again, afterCrash: 'fail' }
const ask: CrashPolicy = { ...again, afterCrash: 'ask' }

interface Row {
  readonly job?: Partial<CrashedJob>
  readonly policy?: CrashPolicy
  readonly cancel?: true
  readonly nobodyHere?: true
  readonly kind: string
  readonly crashes: number
}

const table: Readonly<Record<string, Row>> = {
  'a job goes back, and the crash counts': { kind: 'waits', crashes: 1 },
  'a job whose launch was not reported goes back, and no crash counts': {
    job: { launchReported: false },
    kind: 'waits',
    crashes: 0,
  },
  'a job whose cancel was requested ends': { cancel: true, kind: 'cancelled', crashes: 1 },
  'a cancel comes before any policy': { cancel: true, policy: fail, kind: 'cancelled', crashes: 1 },
  'a cancel comes before the crash limit': {
    cancel: true,
    job: { crashes: 2, alone: true },
    kind: 'cancelled',
    crashes: 3,
  },
  'a cancel comes before a verdict': { cancel: true, policy: ask, kind: 'cancelled', crashes: 1 },
  'a job that may run once fails': { policy: fail, kind: 'failed', crashes: 1 },
  'a job that may run once and was not launched goes back': {
    policy: fail,
    job: { launchReported: false },
    kind: 'waits',
    crashes: 0,
  },
  'a job that ran alone fails at the limit': { job: { crashes: 2, alone: true }, kind: 'failed', crashes: 3 },
  'a job that ran alone goes back below the limit': { job: { crashes: 1, alone: true }, kind: 'waits', crashes: 2 },
  'a job that ran beside others is not proven to be the cause': { job: { crashes: 9 }, kind: 'waits', crashes: 10 },
  'a limit of 1 asks for no proof': { policy: { ...again, crashLimit: 1 }, kind: 'failed', crashes: 1 },
  'a job at the limit that was not launched goes back': {
    job: { crashes: 3, alone: true, launchReported: false },
    kind: 'waits',
    crashes: 3,
  },
  'a queue here is asked': { policy: ask, kind: 'awaitsVerdict', crashes: 1 },
  'nobody can be asked, so nobody holds the job': { policy: ask, nobodyHere: true, kind: 'unowned', crashes: 1 },
  'a queue is asked where the first launch may have happened unreported': {
    policy: ask,
    job: { launchReported: false },
    kind: 'awaitsVerdict',
    crashes: 0,
  },
  'a queue is not asked where the launch after a crash was not reported': {
    policy: ask,
    job: { launchReported: false, crashes: 1 },
    kind: 'waits',
    crashes: 1,
  },
  'a queue is not asked where the launch after an unreported one was not reported': {
    policy: ask,
    job: { launchReported: false, launchUnreported: true },
    kind: 'waits',
    crashes: 0,
  },
  'a queue is not asked about a job that has reached the limit alone': {
    policy: ask,
    job: { crashes: 2, alone: true },
    kind: 'failed',
    crashes: 3,
  },
  'a job that awaits its verdict is asked about again, and its crash counts once': {
    policy: ask,
    job: { crashes: 1, awaitingVerdict: true },
    kind: 'awaitsVerdict',
    crashes: 1,
  },
  'a job that awaits its verdict is asked about again, though its launch was not reported': {
    policy: ask,
    job: { launchReported: false, launchUnreported: true, awaitingVerdict: true },
    kind: 'awaitsVerdict',
    crashes: 0,
  },
}

for (const [title, { job, policy = again, cancel = false, nobodyHere = false, kind, crashes }] of Object.entries(
  table,
)) {
  test(`crash outcome: ${title}`, t => {
    const situation = { cancelRequested: cancel, worksHere: !nobodyHere }
    const outcome = crashOutcome({ ...fresh, ...job }, policy, situation)

    t.deepEqual([outcome.kind, outcome.crashes], [kind, crashes])
  })
}

test('crash outcome: an unreported launch stays recorded', t => {
  const situation = { cancelRequested: false, worksHere: true }
  const noted = (job: Partial<CrashedJob>): boolean =>
    crashOutcome({ ...fresh, ...job }, again, situation).launchUnreported

  t.true(noted({ launchReported: false }))
  t.true(noted({ launchUnreported: true }))
  t.false(noted({}))
})

test('caution: a job that was or may have been in a crash is reported before its body begins, unless it runs alone', t => {
  t.is(cautionOf({ crashes: 0, launchUnreported: false, alone: false }), undefined)
  t.is(cautionOf({ crashes: 1, launchUnreported: false, alone: false }), reportedFirst)
  t.is(cautionOf({ crashes: 0, launchUnreported: true, alone: false }), reportedFirst)
  t.is(cautionOf({ crashes: 2, launchUnreported: true, alone: true }), launchAlone)
})
