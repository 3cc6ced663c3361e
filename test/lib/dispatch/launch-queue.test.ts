import test from 'ava'
import { LaunchQueue } from '../../../lib/dispatch/launch-queue.ts'
import type { Run } from '../../../lib/run/run.ts'

const run = (graceUntil: number): Run => ({ graceUntil }) as Run

test('launch queue: runs leave in the order in which they were granted', t => {
  const launchQueue = new LaunchQueue()
  const [a, b, c] = [run(9), run(9), run(9)] as [Run, Run, Run]
  launchQueue.push(a)
  launchQueue.push(b)
  t.is(launchQueue.next(), a)
  launchQueue.push(c)
  t.true(launchQueue.any)
  t.deepEqual([launchQueue.next(), launchQueue.next(), launchQueue.next()], [b, c, undefined])
  t.false(launchQueue.any)
})

test('launch queue: jobs whose grace is over are taken out, and the others keep their order', t => {
  const launchQueue = new LaunchQueue()
  const [called, a, b, c] = [run(1), run(5), run(9), run(5)] as [Run, Run, Run, Run]
  for (const one of [called, a, b, c]) launchQueue.push(one)
  launchQueue.next()
  t.deepEqual(launchQueue.takeExpired(4), [])
  t.deepEqual(launchQueue.takeExpired(5), [a, c])
  t.deepEqual([launchQueue.next(), launchQueue.next()], [b, undefined])
  t.deepEqual(launchQueue.takeExpired(99), [])
})

test('launch queue: a revoked grant has expired at once', t => {
  const launchQueue = new LaunchQueue()
  const [called, a] = [run(9), run(Infinity)] as [Run, Run]
  for (const one of [called, a]) launchQueue.push(one)
  launchQueue.next()
  launchQueue.revoke()
  t.deepEqual(launchQueue.takeExpired(0), [a])
  t.is(called.graceUntil, 9)
})
