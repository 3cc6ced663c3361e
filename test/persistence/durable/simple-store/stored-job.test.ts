/** What each move changes in the record of a job. */
import test from 'ava'
import { launchAlone, reportedFirst } from '../../../../lib/backlog.ts'
import { unrun } from '../../../../persistence/durable/execute/moves.ts'
import {
  awaitsVerdict,
  becomesUnderway,
  claimedExtras,
  dueOfJob,
  ends,
  newJob,
  rowOfJob,
  type StoredJob,
  takeCancel,
  waits,
  waitsAnew,
} from '../../../../persistence/durable/simple-store/stored-job.ts'

const keep = { finishedMs: 1_000, failedMs: 0, cancelledMs: 0, idsMs: 0, results: true, most: 10 }
const put = { ids: ['a', 'b'], payloads: ['1', '2'], queuedAt: [5, 6], priorities: undefined }
const job = (facts: Partial<StoredJob> = {}): StoredJob => ({ ...newJob(7, put, 1, { key: 'k' }), ...facts })
const claim = { worker: 'w', exchange: 3, grant: 0, alone: false }

test('stored job: a new job has the columns of its index, and its row only the extras that it has', t => {
  const { attempt, fence, extras, ...row } = rowOfJob(job())

  t.like(row, { seq: 7, id: 'b', payload: '2', queuedAt: 6, priority: 0, state: 'pending' })
  t.deepEqual([attempt, fence], [0, 0])
  t.deepEqual(extras, { key: 'k' })
  t.is(rowOfJob(newJob(1, put, 0, undefined)).extras, undefined)
})

test('stored job: a new due time by one clock replaces that by the other', t => {
  const waiting = waits(job({ runAt: 99 }), 10, { clock: 'steady', at: 20 })

  t.like(waiting, { state: 'delayed', since: 10, dueAt: 20, runAt: undefined })
  t.deepEqual(dueOfJob(waiting), { clock: 'steady', at: 20 })
  t.like(waits(waiting, 20), { state: 'pending', since: 20, dueAt: undefined })
  t.is(dueOfJob(waiting), undefined)
})

test('stored job: a claim counts an attempt, raises the fence, and clears the facts of the run before', t => {
  const started = job({ abandoned: true, launchReported: true, cancel: { reason: null, notified: true } })

  becomesUnderway(started, claim)

  t.like(started, { state: 'underway', worker: 'w', exchange: 3, attempt: 1, fence: 1 })
  t.like(started, { abandoned: false, launchReported: false, cancel: undefined, awaitingVerdict: false })
})

test('stored job: a claimed suspect carries its crashes and its caution, and another job neither', t => {
  t.is(claimedExtras(job()), undefined)
  t.deepEqual(claimedExtras(job({ crashes: 2 })), { crashes: 2, caution: reportedFirst })
  t.is(claimedExtras(job({ crashes: 2, alone: true }))?.caution, launchAlone)
})

test('stored job: an ending is kept for the time of its state, or forgotten at once if that is 0', t => {
  const finished = job({ error: 'earlier' })

  t.false(ends(finished, { ...unrun('finished', null, 30), value: '1' }, keep, 100))
  t.like(finished, { state: 'finished', forgetAt: 1_100, stoppedAt: 30, value: '1', error: 'earlier' })
  t.true(ends(job(), unrun('failed', 'e'), keep, 100))
})

test('stored job: a result is dropped if results are not kept', t => {
  const finished = job()

  ends(finished, { ...unrun('finished', null), value: '1' }, { ...keep, results: false }, 0)

  t.is(finished.value, undefined)
})

test('stored job: a requested verdict raises the fence, and one that no queue can give does not', t => {
  const owned = job({ fence: 4 })
  awaitsVerdict(owned, 'w')
  const unowned = job({ fence: 4 })
  awaitsVerdict(unowned, undefined)

  t.like(owned, { fence: 5, worker: 'w', exchange: 0, awaitingVerdict: true })
  t.like(unowned, { fence: 4, worker: undefined, awaitingVerdict: true })
})

test('stored job: a retried job keeps its priority, fence and checkpoint, and counts attempts from the beginning', t => {
  const failed = job({ priority: 2, fence: 3, checkpoint: '9', attempt: 5, crashes: 2, error: 'e', startedAt: 1 })

  waitsAnew(failed, 50)

  t.like(failed, { state: 'pending', priority: 2, fence: 3, checkpoint: '9' })
  t.like(failed, { attempt: 0, crashes: 0, error: undefined, startedAt: null, launchUnreported: false })
})

test('stored job: a cancel request is taken once', t => {
  const cancelled = job({ cancel: { reason: 'why', notified: false } })

  t.is(takeCancel(cancelled)?.reason, 'why')
  t.is(takeCancel(cancelled), undefined)
})
