/** Rules with a name: shared by all queues of a backlog that have them, exactly, and by turns. */
import { setImmediate as turn } from 'node:timers/promises'
import { CostError, type Job, OptionError, type RateRule, Throttled } from '../../lib/index.ts'
import type { QueueOptions } from '../../lib/options/options.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, sharedBacklog, test } from '../support/backlog-under-test.ts'
import { fullest } from '../support/fullest-window.ts'

type Options = Partial<QueueOptions<string, string>>

const gateway = (limit: number, per: number, parts: object = {}): object => ({ name: 'gateway', limit, per, ...parts })

/** Queues on one backlog. Each start is noted with its queue and its instant. */
function shared() {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const starts: { readonly queue: string; readonly payload: string; readonly at: number }[] = []
  const open = (name: string, options: Options = {}) => {
    const queue = new DispatchQueue<string, string>(
      payload => {
        starts.push({ queue: name, payload, at: clock.now() })
        return ''
      },
      { clock, backlog, name, width: 100, ...options },
    )
    return queue
  }
  const put = async (queue: DispatchQueue<string, string>, count: number): Promise<Job<string, string>[]> =>
    queue.putMany(Array.from({ length: count }, (_, i) => `${queue.name}${i}`))
  /** Advances in small steps, so that every start has its instant. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 5) await clock.advance(Math.min(5, left))
  }
  /**
   * Advances until there are so many starts. A thread that wakes a queue does so beside the clock that the test
   * advances, so on a file it may take a little longer than in memory.
   */
  const passUntil = async (count: number): Promise<void> => {
    for (let left = 2_000; left > 0 && starts.length < count; left--) {
      await clock.advance(5)
      if (durable()) await turn()
    }
  }
  return { clock, backlog, starts, open, put, pass, passUntil }
}
const namesOf = (starts: readonly { readonly queue: string }[]): string => starts.map(({ queue }) => queue).join('')
const opened = async (...queues: DispatchQueue<string, string>[]): Promise<void> => {
  await Promise.all(queues.map(queue => queue.ready()))
}

test('named rules: two queues share one limit, exactly, and use it', async t => {
  const { clock, starts, open, put, pass } = shared()
  const rate = gateway(4, 1_000) as never
  const [a, b] = [open('a', { rate }), open('b', { rate })]
  await opened(a, b)
  await put(a, 10)
  await put(b, 10)
  await clock.settle()

  await pass(4_500)

  t.is(starts.length, 20)
  t.is(
    fullest(
      starts.map(({ at }) => at),
      1_000,
    ),
    4,
  )
})

test('named rules: waiting queues take turns, start by start, whichever put more or earlier', async t => {
  const { clock, starts, open, put, passUntil } = shared()
  const rate = gateway(1, 100) as never
  const [a, b, c] = [open('a', { rate }), open('b', { rate }), open('c', { rate })]
  await opened(a, b, c)
  await put(a, 30)
  await clock.settle()
  await put(b, 4)
  await clock.settle()
  await put(c, 4)
  await clock.settle()

  await passUntil(13)

  // One for a at once; then each in turn, as long as it has jobs.
  t.is(namesOf(starts.slice(0, 1)), 'a')
  const rounds = namesOf(starts.slice(1, 13)).match(/.{3}/g) ?? []
  t.deepEqual(
    rounds.map(round => [...round].sort().join('')),
    ['abc', 'abc', 'abc', 'abc'],
  )
  if (!durable()) t.is(clock.now(), 1_200)
  await passUntil(16)
  t.is(namesOf(starts.slice(13)), 'aaa')
})

test('named rules: capacity for many starts is shared too, and fully used', async t => {
  const { clock, starts, open, put, pass } = shared()
  const rate = gateway(10, 1_000) as never
  const [a, b] = [open('a', { rate }), open('b', { rate })]
  await opened(a, b)
  await put(a, 30)
  await clock.settle()
  await put(b, 30)
  await clock.settle()
  t.is(namesOf(starts), 'a'.repeat(10))

  await pass(1_100)

  const second = namesOf(starts.slice(10))
  t.is(second.length, 10)
  t.is([...second].filter(name => name === 'b').length, 5)
})

test('named rules: a queue that puts one job at a time is not starved, and does not starve others', async t => {
  const { clock, starts, open, put, passUntil } = shared()
  const rate = gateway(1, 100) as never
  const [a, b] = [open('a', { rate }), open('b', { rate })]
  await opened(a, b)
  await put(a, 30)
  b.on('finished', () => void b.put('next').catch(() => {}))
  await b.put('first')
  await clock.settle()

  await passUntil(20)

  const names = namesOf(starts)
  if (!durable()) t.is(clock.now(), 1_900)
  t.false(/aaa|bbb/.test(names), names)
})

test('named rules: a queue that is paused, stopped or empty gives up its turn', async t => {
  const { clock, starts, open, put, passUntil } = shared()
  const rate = gateway(1, 100) as never
  const [a, b, c] = [open('a', { rate }), open('b', { rate }), open('c', { rate })]
  await opened(a, b, c)
  await put(a, 20)
  await clock.settle()
  await put(b, 5)
  await put(c, 5)
  await clock.settle()

  void b.pause()
  await c.clear()
  await passUntil(11)
  t.is(namesOf(starts), 'a'.repeat(11))
  if (!durable()) t.is(clock.now(), 1_000)

  b.resume()
  await clock.settle()
  await passUntil(14)
  t.true(namesOf(starts.slice(11)).includes('b'))
  await b.stop()
  const before = starts.length
  await passUntil(before + 4)
  t.is(namesOf(starts.slice(before)), 'a'.repeat(4))
})

test('named rules: a queue has rules of its own as well, and keeps all of them', async t => {
  const { clock, starts, open, put, pass } = shared()
  const [a, b] = [
    open('a', { rate: [gateway(6, 1_000), { limit: 2, per: 1_000 }] as never }),
    open('b', { rate: gateway(6, 1_000) as never }),
  ]
  await opened(a, b)
  await put(a, 20)
  await clock.settle()
  await put(b, 20)
  await clock.settle()

  await pass(2_900)

  t.is(namesOf(starts).replaceAll('b', '').length, 6)
  t.is(starts.length, 18)
  t.is(
    fullest(
      starts.map(({ at }) => at),
      1_000,
    ),
    6,
  )
})

test('named rules: queues without the rule are not limited by it, and names keep rules apart', async t => {
  const { clock, starts, open, put } = shared()
  const [a, b, c] = [
    open('a', { rate: gateway(1, 1_000) as never }),
    open('b', { rate: { name: 'other', limit: 2, per: 1_000 } }),
    open('c'),
  ]
  await opened(a, b, c)
  for (const queue of [a, b, c]) await put(queue, 3)
  await clock.settle()

  t.deepEqual([...namesOf(starts)].sort().join(''), 'abbccc')
})

test('named rules: a queue that needs two of them gets both, though others use each alone', async t => {
  const { clock, starts, open, put, pass } = shared()
  const one = { name: 'one', limit: 1, per: 100 }
  const two = { name: 'two', limit: 1, per: 100 }
  const [a, b, both] = [open('a', { rate: one }), open('b', { rate: two }), open('c', { rate: [one, two] })]
  await opened(a, b, both)
  await put(a, 60)
  await clock.settle()
  await pass(50)
  await put(b, 60)
  await clock.settle()
  await put(both, 5)
  await clock.settle()

  await pass(3_000)

  t.is(starts.filter(({ queue }) => queue === 'c').length, 5)
  for (const names of ['ac', 'bc']) {
    const at = starts.filter(({ queue }) => names.includes(queue)).map(start => start.at)
    t.is(fullest(at, 100), 1, names)
  }
})

test('named rules: units are shared, and a heavy job is not starved by light ones', async t => {
  const { clock, starts, open, pass } = shared()
  const rate = gateway(10, 1_000, { of: 'tokens' }) as never
  const [a, b] = [open('a', { rate }), open('b', { rate })]
  await opened(a, b)
  await a.putMany(
    Array.from({ length: 60 }, (_, i) => `a${i}`),
    { cost: { tokens: 1 } },
  )
  await clock.settle()
  await b.put('heavy', { cost: { tokens: 9 } })
  await clock.settle()

  await pass(2_500)

  t.true(starts.some(({ payload }) => payload === 'heavy'))
  await t.throwsAsync(b.put('never', { cost: { tokens: 11 } }), { instanceOf: CostError })
  await t.throwsAsync(b.put('unknown', { cost: { token: 1 } }), { instanceOf: OptionError })
})

test('named rules: a queue that declares another rule under the name changes it for all, and each emits `rate`', async t => {
  const { clock, open } = shared()
  const seen: [string, number | undefined, number | undefined][] = []
  const limitOf = ([rule]: readonly RateRule[]): number | undefined => rule?.limit
  const listen = (queue: DispatchQueue<string, string>): DispatchQueue<string, string> =>
    queue.on('rate', (now, before) => seen.push([queue.name, limitOf(now), limitOf(before)])) as typeof queue
  const a = listen(open('a', { rate: gateway(60, 1_000) as never }))
  await opened(a)
  await clock.settle()
  t.deepEqual(seen, [])

  const b = listen(open('b', { rate: gateway(30, 1_000) as never }))
  await opened(b)
  await clock.settle()

  t.deepEqual([limitOf(a.rate), limitOf(b.rate), a.rate[0]?.name], [30, 30, 'gateway'])
  t.deepEqual(seen.sort(), [
    ['a', 30, 60],
    ['b', 30, 60],
  ])
})

test('named rules: an override holds for all queues, until it is cleared or another rule is declared', async t => {
  const { clock, open, starts, put } = shared()
  const limitOf = (queue: DispatchQueue<string, string>): number | undefined => queue.rate[0]?.limit
  const [a, b] = [open('a', { rate: gateway(60, 1_000) as never }), open('b', { rate: gateway(60, 1_000) as never })]
  await opened(a, b)

  a.rate = { name: 'gateway', limit: 2, per: 1_000 }
  await clock.settle()
  t.deepEqual([limitOf(a), limitOf(b)], [2, 2])
  await put(a, 2)
  await put(b, 5)
  await clock.settle()
  t.is(starts.length, 2)

  const c = open('c', { rate: gateway(60, 1_000) as never })
  await opened(c)
  t.is(limitOf(c), 2)
  t.is(c.overrides().rate?.[0]?.limit, 2)
  await b.clearOverrides('rate')
  await clock.settle()
  t.deepEqual([limitOf(a), limitOf(b), limitOf(c)], [60, 60, 60])
  t.is(b.overrides().rate, undefined)
  t.is(starts.length, 7)

  b.rate = { name: 'gateway', limit: 3, per: 1_000 }
  await clock.settle()
  const d = open('d', { rate: gateway(7, 1_000) as never })
  await opened(d)
  await clock.settle()
  t.deepEqual([limitOf(a), limitOf(b), limitOf(d)], [7, 7, 7])
})

test('named rules: rate may be set to what it reads, and to nothing for one queue alone', async t => {
  const { clock, open, starts, put } = shared()
  const rate = gateway(1, 1_000) as never
  const [a, b] = [open('a', { rate }), open('b', { rate })]
  await opened(a, b)
  const { rate: asRead } = a
  a.rate = asRead
  await clock.settle()
  t.deepEqual(a.rate, [{ limit: 1, perMs: 1_000, unit: undefined, burst: undefined, name: 'gateway' }])
  t.is(a.overrides().rate, undefined)

  a.rate = undefined
  await clock.settle()
  await put(a, 3)
  await put(b, 3)
  await clock.settle()

  t.is([...namesOf(starts)].sort().join(''), 'aaab')
})

test('named rules: explain and limited give the rule with its name', async t => {
  const { clock, open, put } = shared()
  const rate = gateway(1, 1_000) as never
  const [a, b] = [open('a', { rate }), open('b', { rate })]
  await opened(a, b)
  const limited: unknown[] = []
  b.on('limited', ({ rule, until }) => limited.push([rule?.name, until]))
  await put(a, 1)
  await clock.settle()
  const [waiting] = await put(b, 1)
  await clock.settle()

  const why = await b.explain(waiting as Job<string, string>)
  t.like(why, { why: 'rate', rule: { name: 'gateway', limit: 1 } })
  const startsAt = clock.wall() + 1_000
  t.true((why.notBefore as number) <= startsAt && (why.notBefore as number) >= startsAt - 60)
  t.is(limited.length, 1)
  t.is((limited[0] as [string])[0], 'gateway')
})

test('named rules: a start whose job is not launched is free again, for other queues as well', async t => {
  const { clock, backlog, starts, open, put } = shared()
  const rate = gateway(1, 60_000) as never
  const handler = scripted<string, string>()
  const a = new DispatchQueue<string, string>(handler, { clock, backlog, name: 'a', rate, paused: true })
  const b = open('b', { rate })
  await opened(a, b)
  a.on('underway', job => void job.cancel())
  await put(a, 1)
  a.resume()
  void a.pause()
  await clock.settle()
  await put(b, 1)
  await clock.settle()

  t.is(namesOf(starts), 'b')
})

/** A queue whose first jobs throw this. */
const refusing = (
  parts: ReturnType<typeof shared>,
  name: string,
  refusals: readonly unknown[],
  options: Options = {},
): DispatchQueue<string, string> => {
  const left = [...refusals]
  return new DispatchQueue<string, string>(
    payload => {
      if (left.length > 0) throw left.shift()
      parts.starts.push({ queue: name, payload, at: parts.clock.now() })
      return ''
    },
    { clock: parts.clock, backlog: parts.backlog, name, ...options },
  )
}

test('named rules: Throttled with a rule holds all queues that share it, and no other', async t => {
  const parts = shared()
  const { clock, starts, open, put, pass } = parts
  const rate = gateway(100, 1_000) as never
  const a = refusing(parts, 'a', [new Throttled(500, { rule: 'gateway' })], { rate })
  const [b, other] = [open('b', { rate }), open('o', { rate: { name: 'other', limit: 100, per: 1_000 } })]
  await opened(a, b, other)
  const limited: unknown[] = []
  for (const queue of [a, b, other]) {
    queue.on('limited', ({ rule, until, hold }) => limited.push([queue.name, rule?.name, until, hold]))
  }
  await put(a, 2)
  await clock.settle()
  const until = clock.wall() + 500
  const [waiting] = await put(b, 2)
  await put(other, 2)
  await clock.settle()

  t.deepEqual(limited.sort(), [
    ['a', 'gateway', until, true],
    ['b', 'gateway', until, true],
  ])
  t.is(namesOf(starts), 'oo')
  const why = await b.explain(waiting as Job<string, string>)
  t.like(why, { why: 'hold', rule: { name: 'gateway' }, notBefore: until })
  t.true('key' in why === false)
  await pass(490)
  t.is(namesOf(starts), 'oo')
  await pass(50)
  t.is([...namesOf(starts)].sort().join(''), 'aabboo')
})

test('named rules: a queue whose every start holds the rule again does not starve the others', async t => {
  const parts = shared()
  const { clock, starts, open, put, pass } = parts
  const rate = gateway(4, 10) as never
  const a = refusing(parts, 'a', Array(20).fill(new Throttled(30, { rule: 'gateway' })), { rate, width: 1 })
  const [b, c] = [open('b', { rate, width: 1 }), open('c', { rate, width: 1 })]
  await opened(a, b, c)
  await put(a, 1)
  await clock.settle()
  await put(b, 2)
  await put(c, 2)
  await clock.settle()

  await pass(300)

  t.is([...namesOf(starts)].sort().join(''), 'bbcc')
})

test('named rules: a queue whose job comes due at the instant at which a hold ends holds nobody up', async t => {
  const parts = shared()
  const { clock, starts, open, put, passUntil } = parts
  const rate = gateway(3, 10) as never
  const b = open('b', { rate, width: 1 })
  const a = refusing(parts, 'a', [new Throttled(30, { rule: 'gateway' })], { rate, width: 1 })
  await opened(a, b)
  await b.put('b0', { delay: 30 })
  await put(a, 2)
  await clock.settle()
  const began = clock.now()

  await passUntil(3)

  t.is([...namesOf(starts)].sort().join(''), 'aab')
  if (!durable()) t.true(clock.now() - began <= 60)
})

test('named rules: after a hold nobody waits for a queue that a rule of its own holds up', async t => {
  const parts = shared()
  const { clock, starts, open, put, passUntil } = parts
  const rate = gateway(8, 400) as never
  const own = [gateway(8, 400), { limit: 1, per: 400 }] as never
  const a = refusing(parts, 'a', [new Throttled(35, { rule: 'gateway' })], { rate: own, width: 1 })
  const b = open('b', { rate, width: 1 })
  await opened(a, b)
  await put(a, 1)
  await clock.settle()
  await put(b, 1)
  await clock.settle()
  const began = clock.now()

  await passUntil(1)

  t.is(namesOf(starts), 'b')
  if (!durable()) t.true(clock.now() - began <= 60)
})

test('named rules: a hold of a rule lasts at most maxHold, and a shorter one does not end it', async t => {
  const parts = shared()
  const { clock, starts, open, put, pass } = parts
  const rate = gateway(100, 1_000) as never
  const refusals = [new Throttled('10d', { rule: 'gateway' }), new Throttled(1, { rule: 'gateway' })]
  const a = refusing(parts, 'a', refusals, { rate, maxHold: 200, width: 2 })
  const b = open('b', { rate })
  await opened(a, b)
  await put(a, 2)
  await clock.settle()
  await put(b, 1)
  await clock.settle()

  await pass(190)
  t.is(namesOf(starts), '')
  await pass(50)
  t.is([...namesOf(starts)].sort().join(''), 'aab')
})

test('named rules: Throttled with a rule and a key holds both', async t => {
  const parts = shared()
  const { clock, starts, open, put, pass } = parts
  const rate = gateway(100, 1_000) as never
  const a = refusing(parts, 'a', [new Throttled(200, { rule: 'gateway', key: true })], { rate })
  const b = open('b', { rate })
  await opened(a, b)
  await a.put('held', { key: 'k' })
  await clock.settle()
  await put(b, 1)
  await clock.settle()
  a.rate = undefined
  await clock.settle()
  await a.put('free')
  await clock.settle()

  // The rule holds b alone now, and the key one job of a.
  t.deepEqual(
    starts.map(({ payload }) => payload),
    ['free'],
  )
  await pass(250)
  t.deepEqual(starts.map(({ payload }) => payload).sort(), ['b0', 'free', 'held'])
})

test('named rules: Throttled with a rule that the queue does not have fails its job, and says which it has', async t => {
  const parts = shared()
  const { clock, starts } = parts
  const wrong = new Throttled(500, { rule: 'gatewy' })
  const a = refusing(parts, 'a', [wrong, wrong], { rate: gateway(100, 1_000) as never, retry: 3 })
  const failed: unknown[] = []
  a.on('failed', ({ error }) => failed.push(error))
  await opened(a)
  await a.putMany(['x', 'y'])
  await clock.settle()

  t.is(failed.length, 2)
  for (const error of failed) {
    t.like(error, { name: 'RuleUnknownError', code: 'RULE_UNKNOWN', rule: 'gatewy', rules: ['gateway'] })
    t.regex((error as Error).message, /has only 'gateway'; did you mean 'gateway'\?$/)
  }
  t.deepEqual(starts, [])
})

test('named rules: Throttled of one queue holds that queue and no other', async t => {
  const { clock, backlog, starts, open, put, pass } = shared()
  const rate = gateway(100, 1_000) as never
  let calls = 0
  const a = new DispatchQueue<string, string>(
    () => {
      if (calls++ === 0) throw new Throttled(500)
      return ''
    },
    { clock, backlog, name: 'a', rate },
  )
  const b = open('b', { rate })
  await opened(a, b)
  await put(a, 2)
  await clock.settle()
  await put(b, 2)
  await clock.settle()

  t.deepEqual([calls, namesOf(starts)], [1, 'bb'])
  await pass(600)
  t.is(calls, 3)
})
