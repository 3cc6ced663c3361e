import test from 'ava'
import { keptMs } from '../../../lib/decisions/keep.ts'

test('keep: each way to end has a time of its own', t => {
  const keep = { finishedMs: 1, failedMs: 2, cancelledMs: 3, idsMs: 4, results: false, most: 5 }

  t.deepEqual([keptMs(keep, 'finished'), keptMs(keep, 'failed'), keptMs(keep, 'cancelled')], [1, 2, 3])
})
