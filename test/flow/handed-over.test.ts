/** Values are taken as they are at the call that hands them over, or refused there, alone. */
import vm from 'node:vm'
import { MemoryBacklog } from '../../lib/index.ts'
import type { Task } from '../../lib/run/task.ts'
import { drain, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, sharedBacklog, strict, test } from '../support/backlog-under-test.ts'

function parts(handler: (payload: unknown, task: Task) => unknown, options: object = {}) {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<unknown, unknown>(handler, { clock, ...options })
  return { clock, queue: queue as DispatchQueue }
}

test('handed over: an object that is changed between two puts is stored as it was at each put', async t => {
  const sent: string[] = []
  const { clock, queue } = parts(message => void sent.push((message as { to: string }).to), strict())
  const message = { to: '' }
  const puts = []
  for (const to of ['ann', 'bob', 'cid']) {
    message.to = to
    puts.push(queue.put(message))
  }
  message.to = 'nobody'

  const jobs = await Promise.all(puts)
  await drain(queue, clock)

  t.deepEqual(sent, ['ann', 'bob', 'cid'])
  t.true(
    jobs.every(({ payload }) => payload === message),
    'a job shows the object that was put',
  )
})

test('handed over: an id stands for the payload as it was put, not for later changes of that object', async t => {
  const { queue } = parts(() => {}, { ...strict(), paused: true })
  const order = { n: 1 }
  const put = queue.put(order, { id: 'order-1' })
  order.n = 2
  await put

  t.true((await queue.put({ n: 1 }, { id: 'order-1' })).existed)
  await t.throwsAsync(queue.put({ n: 2 }, { id: 'order-1' }), { code: 'ID_CONFLICT' })
})

test('handed over: options count as they were at the put', async t => {
  const sent: unknown[] = []
  const { clock, queue } = parts(n => void sent.push(n), { paused: true })
  const cost = { tokens: 1 }
  const options = { priority: 1, cost, key: 'a' }
  const put = queue.put(1, options)
  Object.assign(options, { priority: 9, key: '' })
  cost.tokens = Number.NaN
  const job = await put

  t.like(job, { priority: 1, key: 'a' })
  queue.resume()
  await drain(queue, clock)
  t.deepEqual(sent, [1])
})

test('handed over: a putMany with a hole is refused at the call, and harms no put beside it', async t => {
  const { clock, queue } = parts(n => n, strict())
  const list = [1, 2, 3]
  delete list[1]
  const bad = [queue.putMany(list), queue.putMany([1, { at: Number.NaN }])]
  const good = [queue.run(1), queue.run(2, { key: 'a' })]
  const refused = await Promise.allSettled(bad)
  await drain(queue, clock)

  t.like(refused[0], { reason: { code: 'OPTION', option: 'payloads[1]' } })
  t.like(refused[1], { reason: { code: 'PAYLOAD', path: 'payloads[1].at' } })
  t.deepEqual(await Promise.all(good), [1, 2])
  t.is(queue.counts.finished, 2)
})

test('handed over: a key that was cut in the middle of a character is refused alone', async t => {
  const { clock, queue } = parts(n => n)
  const runs = Promise.allSettled([queue.run(1), queue.run(2, { key: 'Ann 💥'.slice(0, 5) }), queue.run(3)])
  await drain(queue, clock)

  t.like(await runs, [{ value: 1 }, { reason: { code: 'OPTION', option: 'key' } }, { value: 3 }])
})

const backlogs: (() => object)[] = durable()
  ? [() => ({})]
  : [() => ({}), () => ({ backlog: new MemoryBacklog({ json: true }) })]
for (const [i, backlog] of backlogs.entries()) {
  test(`handed over: a checkpoint is restored as it was stored, and the steps after it are done again (${i})`, async t => {
    const steps: number[] = []
    const handler = async (_: unknown, task: Task): Promise<void> => {
      const state = (task.restored ?? { next: 0 }) as { next: number }
      t.is(task.restored, task.attempt === 1 ? undefined : state, 'the same in one run')
      while (state.next < 6) {
        steps.push(state.next++)
        if (state.next === 3) await task.checkpoint(state)
        if (state.next === 5 && task.attempt < 3) throw new Error('what 3 and 4 did is lost')
      }
    }
    const { clock, queue } = parts(handler, { retry: { attempts: 3, delay: 1 }, ...backlog() })
    const run = queue.run(1)
    await drain(queue, clock)
    await run

    t.deepEqual(steps, [0, 1, 2, 3, 4, 3, 4, 3, 4, 5])
  })

  test(`handed over: a checkpoint that is not awaited has the value of its call (${i})`, async t => {
    const found: unknown[] = []
    const reported: unknown[] = []
    const handler = (_: unknown, task: Task): void => {
      found.push(task.restored)
      const state = { step: task.attempt }
      void task.checkpoint(state)
      state.step = 99
      if (task.attempt === 1) throw new Error('again')
    }
    const { clock, queue } = parts(handler, { retry: { attempts: 2, delay: 1 }, ...backlog() })
    queue.on('checkpoint', (_, value) => reported.push(value))
    const run = queue.run(1)
    await drain(queue, clock)
    await run

    t.deepEqual(found, [undefined, { step: 1 }])
    t.deepEqual(reported[0], { step: 1 })
  })

  test(`handed over: a refused or late checkpoint that is not awaited does not end the process (${i})`, async t => {
    let late: Task | undefined
    const handler = (n: unknown, task: Task): string => {
      late ??= task
      void task.checkpoint(() => {})
      void late.checkpoint('too late for the first')
      return `done ${n}`
    }
    const { clock, queue } = parts(handler, backlog())
    const runs = Promise.all([queue.run(1), queue.run(2)])
    await drain(queue, clock)
    // Unhandled rejections are told after the microtasks, and the test fails by them.
    await new Promise<void>(resolve => setImmediate(resolve))

    t.deepEqual(await runs, ['done 1', 'done 2'])
  })

  test(`handed over: a checkpoint that cannot be stored is refused with its path, and the job goes on (${i})`, async t => {
    class Own {}
    const paths: unknown[] = []
    const bad = [() => {}, { a: [Symbol('s')] }, { own: new Own() }, { at: { f: () => {} } }, { w: new WeakMap() }]
    const handler = async (_: unknown, task: Task): Promise<string> => {
      for (const value of bad) {
        const error = await task.checkpoint(value).catch(error => error)
        paths.push(`${error.code} ${error.path}`)
      }
      await task.checkpoint('good')
      return 'done'
    }
    const { clock, queue } = parts(handler, backlog())
    const run = queue.run(1)
    await drain(queue, clock)

    t.is(await run, 'done')
    t.deepEqual(
      paths,
      ['', '.a[0]', '.own', '.at.f', '.w'].map(path => `PAYLOAD checkpoint${path}`),
    )
  })
}

test('handed over: a kept result and a thrown error are stored as they were when the body ended', async t => {
  const backlog = durable() ? sharedBacklog() : new MemoryBacklog({ json: true })
  const handler = (what: unknown): unknown => {
    const result = { n: 1 }
    const thrown = Object.assign(new Error('no'), { parts: ['a'] })
    queueMicrotask(() => {
      result.n = 2
      thrown.parts.push('later')
    })
    if (what === 'result') return result
    throw thrown
  }
  const keep = { finished: '1h', results: true }
  const { clock, queue } = parts(handler, { name: 'q', backlog, keep, width: 2 })
  queue.on('failed', () => {})
  const other = new DispatchQueue(null, { name: 'q', backlog, clock })
  const [finished, failed] = await queue.putMany(['result', 'error'])
  await drain(queue, clock)

  // In memory both are held by reference, as they were returned and thrown.
  t.deepEqual(await (await other.get(finished?.id as string))?.result, { n: durable() ? 1 : 2 })
  const seen = (await other.get(failed?.id as string))?.error as { parts: string[] }
  t.deepEqual(seen.parts, durable() ? ['a'] : ['a', 'later'])
})

test('handed over: the reason of a cancel is stored as it was at the call', async t => {
  const backlog = sharedBacklog()
  const { clock, queue } = parts(() => {}, { name: 'q', backlog, paused: true })
  const other = new DispatchQueue(null, { name: 'q', backlog, clock })
  const { id } = await queue.put(1)
  const reason = { why: 'first' }
  const cancelled = other.cancel(id, reason)
  reason.why = 'second'
  await cancelled

  const seen = await other.get(id)
  t.like(seen?.error, { code: 'CANCELLED', reason: { why: durable() ? 'first' : 'second' } })
})

test('handed over: an infinite number of attempts is stored', async t => {
  const { clock, queue } = parts((_, task) => {
    if (task.attempt < 5) throw new Error('again')
    return task.attempt
  })
  const run = queue.run(1, { retry: { attempts: Infinity, delay: 1 } })
  await drain(queue, clock)

  t.is(await run, 5)
})

test('handed over: plain objects and dates of another realm are accepted like those of this one', async t => {
  const seen: unknown[] = []
  const { clock, queue } = parts(payload => void seen.push(payload), { ...strict(), width: 9 })
  const foreign = (source: string): unknown => vm.runInNewContext(source)

  await queue.put(foreign(`JSON.parse('{"to":"ann"}')`))
  await queue.put({ body: foreign('({ to: ["bob"] })') }, { runAt: foreign('new Date(0)') as Date })
  await queue.put({ a: 1 }, { id: 'x' })
  t.true((await queue.put(foreign('({ a: 1 })'), { id: 'x' })).existed)
  await drain(queue, clock)

  t.deepEqual(seen, [{ to: 'ann' }, { body: { to: ['bob'] } }, { a: 1 }])
})

for (const [name, a, b] of durable()
  ? []
  : ([
      ['a URL', new URL('http://a'), new URL('http://b')],
      ['Headers', new Headers({ a: '1' }), new Headers({ a: '2' })],
      ['an ArrayBuffer', new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
      ['a RegExp', /a/, /b/],
      ['an Error', new Error('a'), new Error('b')],
      ['a function', () => 1, () => 2],
    ] as const)) {
  test(`handed over: two different ${name} conflict under one id`, async t => {
    const { queue } = parts(() => {}, { paused: true })
    await queue.put(a, { id: 'x' })

    t.true((await queue.put(a, { id: 'x' })).existed)
    await t.throwsAsync(queue.put(b, { id: 'x' }), { code: 'ID_CONFLICT' })
  })
}

test('handed over: shared parts of a payload are visited once, with an id too', async t => {
  const { queue } = parts(() => {}, { paused: true })
  let looks = 0
  const leaf = new Proxy(
    { a: 1 },
    {
      ownKeys: of => {
        looks++
        return Reflect.ownKeys(of)
      },
    },
  )
  let value: object = { leaf }
  const levels = durable() ? 3 : 40
  for (let i = 0; i < levels; i++) value = { a: value, b: value }

  await queue.put(value, { id: 'x' })

  t.true(looks <= (durable() ? 2 ** levels * 4 : 4), `${looks} looks`)
})
