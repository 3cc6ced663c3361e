import test from 'ava'
import { inOrderOfStart } from '../../../lib/decisions/order.ts'

test('order: the most important job starts first, and among equal ones the one put first', t => {
  const jobs = [
    { priority: 1, seq: 1 },
    { priority: 0, seq: 3 },
    { priority: -1, seq: 4 },
    { priority: 0, seq: 2 },
  ]

  t.deepEqual(
    jobs.sort(inOrderOfStart).map(({ seq }) => seq),
    [4, 2, 3, 1],
  )
})
