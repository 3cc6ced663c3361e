import test from 'ava'
import { Deferred, rejected } from '../../../lib/support/deferred.ts'

test('deferred: it settles once, by whichever comes first', async t => {
  const deferred = new Deferred<number>()

  deferred.resolve(1)
  deferred.fail(new Error('late'))

  t.is(await deferred.promise, 1)
})

test('deferred: a failure and a rejected promise without a reaction are no unhandled rejections', async t => {
  const unhandled: unknown[] = []
  const listen = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', listen)

  new Deferred<void>().fail(new Error('failed'))
  const promise = rejected(new Error('rejected'))
  await new Promise(resolve => setImmediate(resolve))
  await new Promise(resolve => setImmediate(resolve))

  process.off('unhandledRejection', listen)
  t.deepEqual(unhandled, [])
  await t.throwsAsync(promise, { message: 'rejected' })
})
