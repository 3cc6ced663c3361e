/** A seq that the store names as lost may be for the sake of an older run than the one that has the job now. */
import test from 'ava'
import type { Settlement } from '../../../lib/backlog.ts'
import { JobRecord } from '../../../lib/job.ts'
import { CheckpointValue } from '../../../lib/text/checkpoint-value.ts'
import { IdentityMap } from '../../../persistence/durable/identity-map.ts'
import { lostRunsOf } from '../../../persistence/durable/notices.ts'
import type { ExchangeReply } from '../../../persistence/durable/store.ts'

const identities = new IdentityMap()
/** A job of which the present run has the fence 2. */
function job(seq: number): JobRecord {
  const record = new JobRecord(String(seq), null, 0, 0)
  record.seq = seq
  record.fence = 2
  identities.claim(record)
  return record
}
const ending = (record: JobRecord, fence: number): Settlement => ({ record, fence }) as Settlement
const reported = (...lost: number[]): ExchangeReply => ({ notices: { lostRuns: lost } }) as unknown as ExchangeReply

test('lost runs: a current run whose ending no longer counts is lost', t => {
  t.deepEqual([...lostRunsOf(reported(1), [ending(job(1), 2)], [], identities)], [1])
})

test('lost runs: the ending of an older run does not make the current one lost', t => {
  t.deepEqual([...lostRunsOf(reported(1), [ending(job(1), 1)], [], identities)], [])
  const record = job(1)
  t.deepEqual([...lostRunsOf(reported(1), [ending(record, 1), ending(record, 2)], [], identities)], [])
  t.deepEqual([...lostRunsOf(reported(1), [ending(record, 2), ending(record, 1)], [], identities)], [])
})

test('lost runs: a checkpoint of an older run does not make the current one lost', t => {
  const record = job(1)
  t.deepEqual(
    [...lostRunsOf(reported(1), [], [{ record, fence: 1, value: CheckpointValue.of(0, true) }], identities)],
    [],
  )
  t.deepEqual(
    [...lostRunsOf(reported(1), [], [{ record, fence: 2, value: CheckpointValue.of(0, true) }], identities)],
    [1],
  )
})

test('lost runs: a run that the reply names is lost although nothing was reported of it, and without notices none is', t => {
  t.deepEqual([...lostRunsOf(reported(1), [], [], identities)], [1])
  t.deepEqual([...lostRunsOf({ notices: undefined } as ExchangeReply, [ending(job(1), 2)], [], identities)], [])
})

test('lost runs: reading a job that went on elsewhere does not hide that its run here is lost', t => {
  const record = job(1)
  record.fence = 3

  t.deepEqual([...lostRunsOf(reported(1), [ending(record, 2)], [], identities)], [1])
})

test('lost runs: a run that was lost before stays lost', t => {
  const record = job(1)
  identities.noLongerRuns(record)

  t.deepEqual([...lostRunsOf(reported(1), [ending(record, 2)], [], identities)], [1])
})
