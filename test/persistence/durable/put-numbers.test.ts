import test from 'ava'
import { PutNumbers } from '../../../persistence/durable/put-numbers.ts'

test('put numbers: only puts up to the oldest unanswered one are acknowledged', t => {
  const numbers = new PutNumbers()
  const acknowledged = [numbers.acknowledged]
  for (let i = 0; i < 3; i++) numbers.next()
  for (const answered of [2, 1, 3]) {
    acknowledged.push(numbers.acknowledged)
    numbers.answered(answered)
  }

  t.deepEqual([...acknowledged, numbers.acknowledged], [0, 0, 0, 2, 3])
  t.is(numbers.next(), 4)
  t.is(numbers.acknowledged, 3)
})
