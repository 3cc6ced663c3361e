/**
 * The loop: what makes it take a pass, and in which order replies are taken in. On a backlog that does not reply at
 * once, and on one that refuses now and then.
 */
import test from 'ava'
import fc from 'fast-check'
import type { Backlog, BacklogSession } from '../../../lib/backlog.ts'
import { DispatchQueue, MemoryBacklog } from '../../../lib/index.ts'
import { Deferred } from '../../../lib/support/deferred.ts'
import { drain, scripted, VirtualClock } from '../../../testing/index.ts'
import { LateBacklog } from '../../support/late-backlog.ts'

test('dispatch: every job runs, never more than width at once, however puts, endings and replies interleave', async t => {
  let together = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ many: fc.integer({ min: 1, max: 90 }), pause: fc.nat({ max: 3 }) }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 80 }),
      fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 9 }),
      async (waves, width, turnsOf) => {
        const clock = new VirtualClock()
        const backlog = new LateBacklog()
        let running = 0
        let most = 0
        const queue = new DispatchQueue<number, number>(
          async n => {
            most = Math.max(most, ++running)
            for (let left = turnsOf[n % turnsOf.length] as number; left > 0; left--) {
              await new Promise<void>(resolve => clock.soon(resolve))
            }
            running--
            return n
          },
          { clock, width, backlog },
        )
        const results: Promise<number>[] = []
        for (const { many, pause } of waves) {
          for (let i = 0; i < many; i++) results.push(queue.run(results.length))
          for (let left = pause; left > 0; left--) await new Promise<void>(resolve => clock.soon(resolve))
        }
        await drain(queue as DispatchQueue, clock)

        if (most > width) t.fail(`${most} bodies at width ${width}`)
        t.deepEqual(await Promise.all(results), [...results.keys()])
        together = Math.max(together, backlog.together)
      },
    ),
    { numRuns: 60 },
  )
  t.true(together > 1, 'no two exchanges were ever on their way together: the test shows nothing')
})

test('dispatch: a refused exchange is sent again, so that no ending, launch or checkpoint is lost', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  let requested = 0
  backlog.refuses = () => ++requested % 3 === 0
  const errors: unknown[] = []
  const restored: unknown[] = []
  const queue = new DispatchQueue<number, string>(
    async (n, task) => {
      restored.push(task.restored)
      if (n === 0 && task.attempt === 1) {
        task.checkpoint('half').catch(() => {})
        throw new Error('once')
      }
      return `${n}`
    },
    { clock, width: 2, retry: { attempts: 2, delay: '1s' }, rate: { limit: 2, per: '1s' }, backlog },
  )
  queue.on('error', error => errors.push(error))
  const results = Array.from({ length: 9 }, (_, n) => queue.run(n))

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(
    await Promise.all(results),
    results.map((_, n) => `${n}`),
  )
  t.true(errors.length > 3)
  t.true(restored.includes('half'))
})

test('dispatch: a checkpoint resolves once its own exchange is answered, not with one that was sent before', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  const [begin, before, own] = [new Deferred<void>(), new Deferred<void>(), new Deferred<void>()]
  let stored = false
  const queue = new DispatchQueue<number, void>(
    async (_, task) => {
      await begin.promise
      await task.checkpoint('half')
      stored = true
    },
    { clock, backlog },
  )
  await queue.put(1)
  await clock.settle()
  backlog.answersAfter = ({ checkpoints }) => (checkpoints.length > 0 ? own.promise : before.promise)
  queue.width = 2
  await clock.settle()
  begin.resolve()
  await clock.settle()

  before.resolve()
  await clock.settle()
  t.false(stored)
  own.resolve()
  await drain(queue as DispatchQueue, clock)
  t.true(stored)
})

test('dispatch: `idle` is emitted after the last ending, also when several exchanges are answered at once', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  const handler = scripted<number, void>()
  const queue = new DispatchQueue<number, void>(handler, { clock, width: 2, backlog })
  const seen: string[] = []
  queue.on('finished', job => seen.push(`finished ${job.payload}`))
  queue.on('idle', () => seen.push('idle'))
  await queue.putMany([1, 2])
  await clock.settle()
  const answer = new Deferred<void>()
  backlog.answersAfter = () => answer.promise
  for (const call of [...handler.underway]) {
    call.finish()
    await clock.settle()
  }

  answer.resolve()
  await drain(queue as DispatchQueue, clock)

  t.true(backlog.together > 1)
  t.deepEqual(seen, ['finished 1', 'finished 2', 'idle'])
})

test('dispatch: `idle` is emitted after the last ending, also when the backlog has counted it before its reply comes', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  const handler = scripted<string, void>()
  const queue = new DispatchQueue<string, void>(handler, { clock, width: 2, backlog })
  await queue.putMany(['a', 'b'], id => ({ id }))
  await clock.settle()
  handler.underway[0]?.finish()
  await clock.settle()
  const seen: string[] = []
  queue.on('finished', job => seen.push(`finished ${job.payload}`))
  queue.on('idle', () => seen.push('idle'))
  const answer = new Deferred<void>()
  backlog.executesAtOnce = true
  backlog.answersAfter = () => answer.promise
  handler.underway[0]?.finish()
  await clock.settle()

  // Nothing waits any more, by the counts; and the put of a job that is there already is a reason to look.
  t.is(queue.counts.underway, 0)
  t.true((await queue.put('a', { id: 'a' })).existed)
  void queue.idle().then(() => seen.push('idle()'))
  await clock.settle()
  t.deepEqual(seen, [])
  answer.resolve()
  await drain(queue as DispatchQueue, clock)

  t.deepEqual(seen, ['finished b', 'idle', 'idle()'])
})

test('dispatch: stop ends though the backlog refuses for good, and says so', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  const errors: unknown[] = []
  const queue = new DispatchQueue<number, void>(async () => {}, { clock, backlog })
  queue.on('error', error => errors.push(error))
  await queue.put(1)
  await clock.settle()
  backlog.refuses = () => true
  void queue.put(2)
  const stop = queue.stop({ cancelUnderway: true })

  await clock.advance(20_000)

  t.like(await stop, { abandoned: [] })
  t.true(errors.length > 0)
})

test('dispatch: if a job is put anew before its ending is announced, an earlier result promise is that of the new run', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  backlog.executesAtOnce = true
  const handler = scripted<number, string>()
  const queue = new DispatchQueue<number, string>(handler, { clock, backlog })
  queue.on('failed', () => {})
  const job = await queue.put(1)
  await clock.settle()
  const result = job.result.then(
    value => value,
    () => 'failed',
  )

  handler.underway[0]?.fail(new Error('no'))
  while (job.state !== 'failed') await new Promise<void>(resolve => clock.soon(resolve))
  await queue.retry(job)
  await clock.settle()
  handler.underway[0]?.finish('anew')
  await clock.settle()

  t.is(queue.counts.finished, 1)
  t.is(await Promise.race([result, clock.advance(1).then(() => 'open')]), 'anew')
})

test('dispatch: a promise that resolves when its report is stored does not resolve with the reply to an earlier exchange', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  const reported: string[] = []
  const queue = new DispatchQueue<number, void>(
    async (_, task) => {
      queue.width = 3
      for (let i = 0; i < 9; i++) await undefined
      await task.checkpoint('half')
      reported.push(`${backlog.checkpoints}`)
    },
    { clock, backlog },
  )

  await queue.put(1)
  await drain(queue as DispatchQueue, clock)

  t.deepEqual(reported, ['half'])
})

test('dispatch: a put resolves when the backlog has taken it in, and rejects when that refuses it', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  const queue = new DispatchQueue<number, number>(n => n, { clock, backlog, paused: true })
  const reported: string[] = []
  const report = (put: Promise<unknown>): void =>
    void put.then(
      () => reported.push('accepted'),
      () => reported.push('refused'),
    )
  let open: () => void = () => {}
  backlog.putsAfter = new Promise(resolve => {
    open = resolve
  })
  report(queue.put(1))
  report(queue.put(2, { id: 'given' }))
  report(queue.putMany([3, 4]))
  await clock.settle()
  t.deepEqual(reported, [])

  open()
  await clock.settle()
  t.deepEqual(reported, ['accepted', 'accepted', 'accepted'])

  backlog.putsAfter = Promise.reject(new Error('no'))
  report(queue.put(5))
  await clock.settle()
  t.deepEqual(reported.slice(3), ['refused'])
})

test('dispatch: a job put while all slots are requested starts when the replies have arrived', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  backlog.executesAtOnce = true
  let ran = 0
  const queue = new DispatchQueue<number, number>(() => ++ran, { clock, backlog })
  await queue.ready()
  await clock.settle()
  queue.width = 2
  await new Promise<void>(resolve => clock.soon(resolve))

  void queue.put(1)
  await clock.settle()

  t.is(ran, 1)
})

test('dispatch: a job that another object puts while all slots are requested starts when the replies have arrived', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  backlog.executesAtOnce = true
  let ran = 0
  const queue = new DispatchQueue<number, number>(() => ++ran, { clock, backlog, name: 'q' })
  const putter = new DispatchQueue<number, number>(null, { clock, backlog, name: 'q' })
  await Promise.all([queue.ready(), putter.ready()])
  await clock.settle()
  queue.width = 2
  await new Promise<void>(resolve => clock.soon(resolve))

  void putter.put(1)
  await clock.settle()

  t.is(ran, 1)
})

test('dispatch: many runs without options are pending before they run, on a backlog that keeps records', async t => {
  const clock = new VirtualClock()
  const memory = new MemoryBacklog()
  const backlog: Backlog = {
    durable: false,
    strict: false,
    attach: async options => {
      const session = await memory.attach(options)
      const put: BacklogSession['put'] = (batch, now, wall) => session.put([...batch], now, wall)
      return new Proxy(session, {
        get: (target, name) => {
          const value = name === 'put' ? put : (Reflect.get(target, name, target) as unknown)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
    },
  }
  const queue = new DispatchQueue<number, number>(n => n, { clock, width: 2, backlog })
  const seen: string[] = []
  for (const event of ['pending', 'finished'] as const) queue.on(event, () => seen.push(event))

  const results = await Promise.all(Array.from({ length: 20 }, (_, n) => queue.run(n)))

  t.deepEqual(results, [...results.keys()])
  t.deepEqual(seen, [...Array(20).fill('pending'), ...Array(20).fill('finished')])
})

test('dispatch: a refused exchange is sent again, also if a later one has been answered since', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  const handler = scripted<number, void>()
  const queue = new DispatchQueue<number, void>(handler, { clock, width: 1, backlog })
  const seen: string[] = []
  queue.on('error', () => seen.push('error'))
  queue.on('finished', () => seen.push('finished'))
  await queue.put(1)
  await clock.settle()
  // A paused queue claims nothing, so no free slot makes it take another pass.
  void queue.pause()
  await clock.settle()
  const [first, second] = [new Deferred<void>(), new Deferred<void>()]
  backlog.answersAfter = ({ settled }) => (settled.length > 0 ? first.promise : second.promise)
  let refusals = 1
  backlog.refuses = ({ settled }) => settled.length > 0 && refusals-- > 0
  handler.underway[0]?.finish()
  await clock.settle()
  queue.width = 2
  await clock.settle()
  t.is(backlog.together, 2)

  first.resolve()
  await clock.settle()
  second.resolve()
  await clock.settle()
  t.deepEqual(seen, ['error'])
  backlog.answersAfter = () => undefined
  await clock.advance(1_000)

  t.deepEqual(seen, ['error', 'finished'])
  t.like(queue.counts, { underway: 0, finished: 1 })
})
