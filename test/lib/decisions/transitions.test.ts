import test from 'ava'
import type { SettleKind, Settlement } from '../../../lib/backlog.ts'
import {
  attemptAfter,
  dueAfter,
  freesStart,
  goBack,
  putAnew,
  transitionOf,
} from '../../../lib/decisions/transitions.ts'
import { JobRecord } from '../../../lib/job.ts'

const now = 1_000

test('transitions: three kinds end the job, and all but finished keep the error', t => {
  const ends = (['finished', 'failed', 'cancelled'] as const).map(kind => {
    const { end, keepsError, usesAttempt } = transitionOf(kind)
    return { end, keepsError, usesAttempt }
  })

  t.deepEqual(ends, [
    { end: 'finished', keepsError: false, usesAttempt: true },
    { end: 'failed', keepsError: true, usesAttempt: true },
    { end: 'cancelled', keepsError: true, usesAttempt: true },
  ])
})

test('transitions: a retry uses its attempt, keeps its error and waits', t => {
  const job = record({ runAt: 5 })

  goBack(settled({ kind: 'retry', record: job }), now)

  t.is(job.attempt, 3)
  t.deepEqual([job.extras?.error, job.extras?.dueAt, job.extras?.runAt], ['why', now + 50, undefined])
})

test('transitions: a retry without a wait may start at once, whatever it waited for before', t => {
  const job = record({ dueAt: 900 })

  goBack(settled({ kind: 'retry', record: job, waitMs: 0 }), now)

  t.is(job.extras?.dueAt, undefined)
})

test('transitions: RetryLater waits and uses no attempt and keeps no error', t => {
  const job = record({})

  goBack(settled({ kind: 'snooze', record: job }), now)

  t.is(job.attempt, 2)
  t.deepEqual([job.extras?.error, job.extras?.dueAt], [undefined, now + 50])
})

test('transitions: a job goes back at once, with its attempt, where it was throttled, interrupted or not launched', t => {
  for (const kind of ['throttled', 'interrupted', 'notLaunched'] as const) {
    const job = record({})

    goBack(settled({ kind, record: job }), now)

    t.is(job.attempt, 2)
    t.deepEqual([job.extras?.error, job.extras?.dueAt, dueAfter(kind, 50, now)], [undefined, undefined, undefined])
  }
})

test('transitions: an interrupted run that used no attempt takes the cheap transition', t => {
  const job = record(undefined)

  goBack(settled({ kind: 'notLaunched', record: job }), now)

  t.is(job.extras, undefined)
})

test('transitions: only a throttled run holds the rate', t => {
  const kinds: readonly SettleKind[] = [
    'finished',
    'failed',
    'cancelled',
    'interrupted',
    'notLaunched',
    'throttled',
    'snooze',
  ]

  t.deepEqual(
    kinds.filter(kind => transitionOf(kind).holdsRate),
    ['throttled'],
  )
})

test('transitions: a body that was never called frees its start', t => {
  t.true(freesStart({ kind: 'notLaunched' }))
  t.true(freesStart({ kind: 'cancelled', launched: false }))
  t.false(freesStart({ kind: 'cancelled', launched: true }))
  t.false(freesStart({ kind: 'finished' }))
})

test('transitions: an ending keeps the attempt that the claim counted', t => {
  t.is(attemptAfter('finished', 1), 1)
  t.is(attemptAfter('throttled', 1), 0)
})

test('transitions: a retried job no longer listens to the signal of its first put', t => {
  for (const awaited of [false, true]) {
    const job = record(undefined)
    let isListening = true
    const live = job.ensureLive()
    Object.assign(live, { signal: new AbortController().signal, result: awaited ? {} : undefined })
    live.unlisten = () => {
      isListening = false
    }

    putAnew(job)

    t.false(isListening)
    t.is(job.live?.signal, undefined)
    t.is(job.live?.unlisten, undefined)
  }
})

function record(extras: { dueAt?: number; runAt?: number } | undefined): JobRecord {
  const job = new JobRecord('job', undefined, 0, 0, undefined)
  job.attempt = 3
  if (extras) Object.assign(job.ensureExtras(), extras)
  return job
}

function settled(about: Partial<Settlement> & Pick<Settlement, 'kind' | 'record'>): Settlement {
  const rest = { value: undefined, heldKey: undefined, within: false }
  return { fence: 1, grant: 0, error: 'why', waitMs: 50, ...rest, ...about }
}
