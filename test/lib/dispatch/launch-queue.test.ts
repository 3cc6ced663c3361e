import test from 'ava'
import { Granted } from '../../../lib/dispatch/launch-queue.ts'
import type { Run } from '../../../lib/run/run.ts'

const run = (graceUntil: number): Run => ({ graceUntil }) as Run

test('granted: runs come out in the order in which they were granted', t => {
  const granted = new Granted()
  const [a, b, c] = [run(9), run(9), run(9)] as [Run, Run, Run]
  granted.push(a)
  granted.push(b)
  t.is(granted.next(), a)
  granted.push(c)
  t.true(granted.any)
  t.deepEqual([granted.next(), granted.next(), granted.next()], [b, c, undefined])
  t.false(granted.any)
})

test('granted: those whose grace is over are taken out, and the others keep their order', t => {
  const granted = new Granted()
  const [called, a, b, c] = [run(1), run(5), run(9), run(5)] as [Run, Run, Run, Run]
  for (const one of [called, a, b, c]) granted.push(one)
  granted.next()
  t.deepEqual(granted.late(4), [])
  t.deepEqual(granted.late(5), [a, c])
  t.deepEqual([granted.next(), granted.next()], [b, undefined])
  t.deepEqual(granted.late(99), [])
})

test('granted: what is revoked is late at once', t => {
  const granted = new Granted()
  const [called, a] = [run(9), run(Infinity)] as [Run, Run]
  for (const one of [called, a]) granted.push(one)
  granted.next()
  granted.revoke()
  t.deepEqual(granted.late(0), [a])
  t.is(called.graceUntil, 9)
})
