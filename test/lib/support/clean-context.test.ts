import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import test from 'ava'
import { cleanContext, inCleanContext } from '../../../lib/support/clean-context.ts'

test('clean context: it has no store, wherever it is created and entered, and neither have promises created in it', async t => {
  const requests = new AsyncLocalStorage<unknown>()
  await requests.run('a request', async () => {
    const context = cleanContext('Test')
    const seen = context.runInAsyncScope(() => [
      requests.getStore(),
      new AsyncResource('Within').runInAsyncScope(() => requests.getStore()),
      Promise.resolve().then(() => requests.getStore()),
      new Promise(resolve => setTimeout(() => resolve(requests.getStore()), 1)),
    ])

    t.deepEqual(await Promise.all(seen), [undefined, undefined, undefined, undefined])
    t.is(requests.getStore(), 'a request')
  })
})

test('clean context: stores that look like ids, and those that begin within, make no difference', t => {
  const requests = new AsyncLocalStorage<unknown>()
  for (const store of [0, 1, 7]) {
    requests.run(store, () => {
      const context = cleanContext('Test')
      t.is(
        context.runInAsyncScope(() => requests.getStore()),
        undefined,
      )
      t.is(
        context.runInAsyncScope(() => requests.run('within', () => requests.getStore())),
        'within',
      )
      t.is(requests.getStore(), store)
    })
  }
})

test('clean context: a store that is entered in it is gone the next time', t => {
  const requests = new AsyncLocalStorage<unknown>()
  const look = (): unknown => {
    const before = requests.getStore()
    requests.enterWith('left behind')
    return before
  }

  t.deepEqual([inCleanContext(look, undefined), inCleanContext(look, undefined)], [undefined, undefined])
  t.is(requests.getStore(), undefined)
})

test('clean context: a module that is imported in a request takes no store over from it', async t => {
  const requests = new AsyncLocalStorage<string>()
  const seen = await requests.run('a request', async () => {
    const fresh: typeof import('../../../lib/support/clean-context.ts') = await import(
      `../../../plain/lib/support/clean-context.js?in-a-request=${Math.random()}`
    )
    t.not(fresh.inCleanContext, inCleanContext)
    return fresh.inCleanContext(() => requests.getStore() ?? 'none', undefined)
  })

  t.is(seen, 'none')
})
