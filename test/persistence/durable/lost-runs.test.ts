/** A seq that the store names as lost may be for the sake of an older run than the one that has the job now. */
import test from 'ava'
import type { Settlement } from '../../../lib/backlog.ts'
import { JobRecord } from '../../../lib/job.ts'
import { CheckpointValue } from '../../../lib/run/checkpoint-value.ts'
import { Followed } from '../../../persistence/durable/identity-map.ts'
import { lostOf } from '../../../persistence/durable/lost-runs.ts'
import type { TurnDone } from '../../../persistence/durable/store.ts'

const followed = new Followed()
/** A job of which the present run has the fence 2. */
function job(seq: number): JobRecord {
  const record = new JobRecord(String(seq), null, 0, 0)
  record.seq = seq
  record.fence = 2
  followed.claim(record)
  return record
}
const ending = (record: JobRecord, fence: number): Settlement => ({ record, fence }) as Settlement
const told = (...lost: number[]): TurnDone => ({ news: { lost } }) as unknown as TurnDone

test('lost: a present run whose ending no longer counts is lost', t => {
  t.deepEqual([...lostOf(told(1), [ending(job(1), 2)], [], followed)], [1])
})

test('lost: an older run that ends beside the present one takes nothing from it', t => {
  t.deepEqual([...lostOf(told(1), [ending(job(1), 1)], [], followed)], [])
  const record = job(1)
  t.deepEqual([...lostOf(told(1), [ending(record, 1), ending(record, 2)], [], followed)], [])
  t.deepEqual([...lostOf(told(1), [ending(record, 2), ending(record, 1)], [], followed)], [])
})

test('lost: a checkpoint of an older run takes nothing from the present one', t => {
  const record = job(1)
  t.deepEqual([...lostOf(told(1), [], [{ record, fence: 1, value: CheckpointValue.of(0, true) }], followed)], [])
  t.deepEqual([...lostOf(told(1), [], [{ record, fence: 2, value: CheckpointValue.of(0, true) }], followed)], [1])
})

test('lost: a run that is lost without a word of it here is lost, and with no news none is', t => {
  t.deepEqual([...lostOf(told(1), [], [], followed)], [1])
  t.deepEqual([...lostOf({ news: undefined } as TurnDone, [ending(job(1), 2)], [], followed)], [])
})

test('lost: what was read of a job that has gone on elsewhere does not hide that its run here is lost', t => {
  const record = job(1)
  record.fence = 3

  t.deepEqual([...lostOf(told(1), [ending(record, 2)], [], followed)], [1])
})

test('lost: a run that was lost before stays lost', t => {
  const record = job(1)
  followed.release(record)

  t.deepEqual([...lostOf(told(1), [ending(record, 2)], [], followed)], [1])
})
