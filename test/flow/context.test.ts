/**
 * Whose async context runs what: with `context: 'queue'` no AsyncLocalStorage has a store in a handler or a listener,
 * whoever made the queue, put the job or cancelled it; and a queue keeps no store in memory.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Task } from '../../lib/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

test('a queue that was created in a request runs no handler in the context of any request', async t => {
  const requests = new AsyncLocalStorage<string>()
  const handlers = {
    plain: () => requests.getStore(),
    later: async () => {
      await turn()
      return requests.getStore()
    },
    steps: function* () {
      yield turn()
      return requests.getStore()
    },
    asyncSteps: async function* () {
      yield turn()
      return requests.getStore()
    },
  }
  for (const [form, handler] of Object.entries(handlers)) {
    let queue: DispatchQueue<number, string | undefined> | undefined
    const request = (id: string): Promise<string | undefined> =>
      requests.run(id, async () => {
        queue ??= new DispatchQueue<number, string | undefined>(handler)
        await turn()
        return queue.run(1)
      })

    t.deepEqual([await request('1'), await request('2'), await request('3')], [undefined, undefined, undefined], form)
    await queue?.stop()
  }
})

test('no listener runs in the context of the request that put, cancelled, steered or aborted', async t => {
  const requests = new AsyncLocalStorage<string>()
  const seen: Record<string, unknown> = {}
  const hold = new AbortController()
  const queue = requests.run(
    'made',
    () =>
      new DispatchQueue<string, void>(
        async (payload, task: Task) => {
          seen.handler = requests.getStore() ?? 'none'
          if (payload === 'fails') throw new Error('no')
          if (payload !== 'waits') return
          await new Promise<void>(resolve => {
            task.signal.addEventListener('abort', () => {
              seen.signal = requests.getStore() ?? 'none'
              resolve()
            })
          })
        },
        { signal: hold.signal, width: 2 },
      ),
  )
  const events = [
    'pending',
    'delayed',
    'underway',
    'finished',
    'failed',
    'cancelled',
    'settled',
    'width',
    'rate',
  ] as const
  for (const event of [...events, 'paused', 'resumed', 'idle', 'stopped', 'error'] as const) {
    queue.on(event, () => {
      seen[event] = requests.getStore() ?? 'none'
    })
  }
  queue.on('finished', () => {
    throw new Error('told as error')
  })

  await requests.run('a request', async () => {
    await queue.run('a')
    await queue.run('fails').catch(() => {})
    const waits = await queue.put('waits')
    const later = await queue.put('later', { delay: '1d' })
    while (!queue.underway().includes(waits)) await turn()
    await queue.cancel(waits)
    await queue.cancel(later)
    queue.width = 3
    queue.rate = { limit: 1_000, per: '1s' }
    await queue.idle()
    await queue.pause()
    queue.resume()
    hold.abort()
    await queue.stop()
  })

  const names = ['handler', 'signal', ...events, 'paused', 'resumed', 'idle', 'stopped', 'error']
  t.deepEqual(seen, Object.fromEntries(names.map(name => [name, 'none'])))
})

test('a store that a listener enters is found by no other listener and no handler', async t => {
  const requests = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const queue = new DispatchQueue<number, void>(() => void seen.push(requests.getStore()))
  queue.on('finished', () => requests.enterWith('left by a listener'))
  queue.on('settled', () => void seen.push(requests.getStore()))

  await queue.run(1)
  await queue.run(2)

  t.deepEqual(seen, [undefined, undefined, undefined, undefined])
})

test('a long-lived queue keeps no store of the request in which it was created', async t => {
  const requests = new AsyncLocalStorage<object>()
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const queues: DispatchQueue<number, number>[] = []
  const request = async (): Promise<WeakRef<object>> => {
    const store = { request: 1 }
    await requests.run(store, async () => {
      const queue = new DispatchQueue<number, number>(n => n, { retry: { attempts: 2 } })
      queues.push(queue)
      await queue.ready()
      await queue.run(1)
      queue.rate = { limit: 100, per: '1s' }
      await queue.put(2, { delay: '1d' })
      if (queues.length % 2 === 0) await queue.stop()
    })
    return new WeakRef(store)
  }
  const stores: WeakRef<object>[] = []
  for (let i = 0; i < 4; i++) stores.push(await request())

  for (let i = 0; i < 1_000 && stores.some(store => store.deref()); i++) {
    await new Promise(resolve => setTimeout(resolve, 10))
    collect()
  }

  t.deepEqual(
    stores.map(store => store.deref()),
    [undefined, undefined, undefined, undefined],
  )
})
