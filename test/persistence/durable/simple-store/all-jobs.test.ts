/** What is found by looking at all jobs of a queue, and in which order. */
import test from 'ava'
import { noCounts } from '../../../../persistence/durable/execute/queue-state.ts'
import {
  cancelsToReport,
  countsOf,
  jobsToForget,
  listOf,
  makeReady,
  nextKey,
  nextLook,
  requestVerdicts,
  startBefore,
  waitingJobs,
} from '../../../../persistence/durable/simple-store/all-jobs.ts'
import { newJob, type StoredJob } from '../../../../persistence/durable/simple-store/stored-job.ts'

const job = (seq: number, facts: Partial<StoredJob> = {}): StoredJob => ({
  ...newJob(seq, { ids: [`job ${seq}`], payloads: ['1'], queuedAt: [0], priorities: undefined }, 0, undefined),
  ...facts,
})
const seqs = (jobs: readonly { readonly seq: number }[]): number[] => jobs.map(({ seq }) => seq)
const list = { kind: 'list', queue: 1, key: undefined, limit: 9, after: undefined } as const

test('waiting jobs are listed as they start, and all others latest first', t => {
  const jobs = [job(1), job(2, { priority: -1 }), job(3, { state: 'failed' }), job(4, { state: 'failed' })]

  t.deepEqual(seqs(listOf(jobs, { ...list, state: 'pending' }, undefined).rows), [2, 1])
  t.deepEqual(seqs(listOf(jobs, { ...list, state: 'failed' }, undefined).rows), [4, 3])
  t.deepEqual(seqs(listOf(jobs, { ...list, state: undefined }, undefined).rows), [4, 3, 2, 1])
})

test('a list continues behind a position, and says where the next step begins', t => {
  const jobs = [job(1), job(2), job(3)]
  const first = listOf(jobs, { ...list, state: 'pending', limit: 2 }, undefined)

  t.deepEqual(seqs(first.rows), [1, 2])
  t.like(first.next, { seq: 2 })
  const rest = listOf(jobs, { ...list, state: 'pending', limit: 2 }, first.next)
  t.deepEqual(seqs(rest.rows), [3])
  t.is(rest.next, undefined)
})

test('counts include forgotten jobs', t => {
  t.deepEqual(countsOf([job(1), job(2, { state: 'failed' })], { ...noCounts, failed: 3 }), {
    ...noCounts,
    pending: 1,
    failed: 4,
  })
})

test('the position of a job is counted within its key where keys take turns, and among suspects for a suspect', t => {
  const jobs = [job(1, { key: 'a' }), job(2, { key: 'b' }), job(3, { key: 'b' }), job(4, { crashes: 1 })]
  const [, , third, suspect] = jobs as [StoredJob, StoredJob, StoredJob, StoredJob]

  t.is(startBefore(jobs, third, false), 2)
  t.is(startBefore(jobs, third, true), 1)
  t.is(startBefore(jobs, suspect, true), 0)
})

test('a job comes due by its clock, and a job of a held key once the hold is over', t => {
  const delayed = job(1, { state: 'delayed', dueAt: 50 })
  const dated = job(2, { state: 'delayed', runAt: 2_000 })
  const aside = job(3, { aside: true, key: 'k' })
  const jobs = [delayed, dated, aside]
  const holds = new Map([['k', 40]])
  t.is(nextLook(jobs, holds, 10, 1_000), 40)

  makeReady(jobs, holds, 40, 1_030)
  t.deepEqual([delayed.state, dated.state, aside.aside], ['delayed', 'delayed', false])
  t.is(nextLook(jobs, holds, 40, 1_030), 50)

  makeReady(jobs, holds, 50, 1_040)
  t.deepEqual([delayed.state, dated.state], ['pending', 'delayed'])
  t.is(nextLook(jobs, holds, 50, 1_040), 50 + 960)
})

test('ended jobs past their time, and the oldest beyond `most`, are forgotten in bounded steps', t => {
  const ended = (seq: number, forgetAt: number): StoredJob => job(seq, { state: 'finished', forgetAt })
  const jobs = [ended(1, 30), ended(2, 10), ended(3, 20), job(4)]
  const keep = { finishedMs: 1, failedMs: 1, cancelledMs: 1, idsMs: 0, results: false, most: 9 }

  t.deepEqual(seqs(jobsToForget(jobs, keep, 0, 20)), [2, 3])
  t.deepEqual(seqs(jobsToForget(jobs, { ...keep, most: 2 }, 0, 0)), [2])
  const many = Array.from({ length: 300 }, (_, i) => ended(i, i))
  t.is(jobsToForget(many, keep, 5, 1_000).length, 105)
})

test('keys are listed in their order, both those with jobs and those with settings', t => {
  const jobs = [job(1, { key: 'b' }), job(2, { key: 'z', state: 'failed' }), job(3)]

  t.is(nextKey(jobs, ['c'], ''), 'b')
  t.is(nextKey(jobs, ['c'], 'b'), 'c')
  t.is(nextKey(jobs, ['c'], 'c'), undefined)
  t.deepEqual(seqs(waitingJobs(jobs, 'b')), [1])
})

test('each cancel is notified once, and each verdict requested by one exchange', t => {
  const cancelled = job(1, { cancel: { reason: 'why', notified: false } })
  t.deepEqual(cancelsToReport([cancelled]), [{ seq: 1, reason: 'why' }])
  t.deepEqual(cancelsToReport([cancelled]), [])

  const awaiting = job(2, { awaitingVerdict: true })
  t.deepEqual(seqs(requestVerdicts([awaiting], 5)), [2])
  t.deepEqual(seqs(requestVerdicts([awaiting], 6)), [])
})
