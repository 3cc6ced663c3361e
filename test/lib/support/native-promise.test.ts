/** Which promises are called as they are, and what becomes of the others. */
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { isNativePromise, toNativePromise } from '../../../lib/support/native-promise.ts'

const withThen = (then: (take: (value: string) => void, refuse: (error: unknown) => void) => void) =>
  Object.assign(Promise.resolve('settled'), { then }) as Promise<string>

test('native promise: a native promise is returned as it is, and no other thenable', t => {
  class Own extends Promise<string> {}
  const promise = Promise.resolve('a')

  t.is(toNativePromise(promise), promise)
  t.true(isNativePromise(Own.resolve('a')))
  t.false(isNativePromise(withThen(() => {})))
  t.false(isNativePromise({}))
})

test('native promise: a thenable that settles at once and repeatedly settles the promise once, and later', async t => {
  const log: string[] = []
  const often = withThen((take, refuse) => {
    take('first')
    refuse(new Error('second'))
    take('third')
  })

  void toNativePromise(often).then(value => log.push(value))
  t.deepEqual(log, [])
  await new Promise(resolve => setImmediate(resolve))

  t.deepEqual(log, ['first'])
})

test('native promise: a thenable of another realm is adopted, and one whose then() throws rejects', async t => {
  t.is(await toNativePromise(runInNewContext('Promise.resolve(7)')), 7)
  const problem = new Error('no')
  const throws = withThen(() => {
    throw problem
  })
  t.is(await Promise.resolve(toNativePromise(throws)).catch(error => error), problem)
})
