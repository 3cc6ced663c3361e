/** Which awaited jobs a clear of this process has cancelled, if they were too many to be listed. */
import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import { defaultDurableKeep } from '../../../lib/options/options.ts'
import { clearedText } from '../../../persistence/durable/encode.ts'
import { IdentityMap } from '../../../persistence/durable/identity-map.ts'
import { type JobLookup, RemoteEndings } from '../../../persistence/durable/remote-endings.ts'
import type { JobRow } from '../../../persistence/durable/store.ts'

function setup(rows: Readonly<Record<number, Partial<JobRow>>>, count: number, keepsCancelled = true) {
  const identities = new IdentityMap()
  for (let seq = 1; seq <= count; seq++) {
    const record = new JobRecord(String(seq), null, 0, 0)
    record.seq = seq
    record.state = 'pending'
    identities.follow(Object.assign(record, { live: {} }))
  }
  const requested: number[] = []
  let atOnce = 0
  const lookups: JobLookup = {
    async find(seq) {
      requested.push(seq)
      const before = requested.length
      await undefined
      atOnce = Math.max(atOnce, requested.length - before + 1)
      return rows[seq] as JobRow | undefined
    },
    update: (record, { state }) => void Object.assign(record, { state }),
  }
  const options = { works: true, keep: { ...defaultDurableKeep(), cancelledMs: keepsCancelled ? 1 : 0 } }
  const remoteEndings = new RemoteEndings(identities, lookups, { ...options, endedElsewhere: () => {} })
  return { remoteEndings, requested, atOnce: () => atOnce }
}
const seqs = (records: readonly JobRecord[]): number[] => records.map(({ seq }) => seq)

test('remote endings: a clear has cancelled the jobs whose rows say so, and none that is gone', async t => {
  const rows = {
    1: { state: 'cancelled', extras: { error: clearedText } },
    2: { state: 'underway' },
    // It was cancelled before, by its id.
    3: { state: 'cancelled', extras: { error: '"enough"' } },
    5: { state: 'cancelled', extras: { error: clearedText } },
  } as const

  t.deepEqual(seqs(await setup(rows, 5).remoteEndings.cleared()), [1, 5])
  t.deepEqual(seqs(await setup(rows, 5, false).remoteEndings.cleared()), [1, 4, 5])
})

test('remote endings: after a clear jobs are looked up in batches, so that other requests are answered in between', async t => {
  const { remoteEndings, requested, atOnce } = setup({}, 500)

  await remoteEndings.cleared()

  t.deepEqual([requested.length, atOnce() <= 200], [500, true])
})
