/**
 * Faults of what is handed in: payloads, ids, names and options; rows F31 to F33 and F41 to F46 of our fault catalogue.
 *
 * Held elsewhere already:
 * - F31, functions and symbols: put.test.ts, "a function or symbol at … is refused with its path"
 * - F31, what JSON would change: put.test.ts, "a strict backlog refuses …, which JSON would change"
 * - F41, a width that is set: width.test.ts, "a width that is not legal is refused and changes nothing"
 * - F41, F42, F43, bad values at the door: put.test.ts, "the option … refuses …" and "put rejects, never throws, for a bad …";
 *   lib/rate/rate.test.ts, "rate: all else is refused with its path, its value and what is allowed"
 * - F43, a runAt in the past: put.test.ts, "runAt follows the wall clock when it jumps, and is now when it is past"
 * - F44: put.test.ts, "the unknown option … is refused, and … proposed" and "an unknown option of a put or of retry …"
 * - F46: put.test.ts, "a put of a remembered id puts nothing and resolves with that job"
 */
import type { Backlog } from '../../lib/backlog.ts'
import { OptionError, PayloadError, type PutOptions, type Rule } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, strict, test, unrun } from '../support/backlog-under-test.ts'

function parts(options: { width?: number; backlog?: Backlog } = {}) {
  const clock = new VirtualClock()
  const handler = scripted<unknown, unknown>()
  const queue = new DispatchQueue<unknown, unknown>(handler, { clock, width: 1, ...options })
  return { clock, handler, queue }
}

/** An object in an object, so many deep. */
function nested(depth: number): object {
  let value: object = {}
  for (let i = 0; i < depth; i++) value = { value }
  return value
}

const cycle: { to: unknown[] } = { to: [] }
cycle.to.push({ again: cycle })
class Letter {
  readonly to = 'you'
}

for (const [what, payload, path] of [
  ['a cycle', cycle, /^payload\.to\[0\]/],
  ['a Set', { set: new Set([1]) }, 'payload.set'],
  ['an instance of a class', [new Letter()], 'payload[0]'],
  ['an Error', { error: new Error('no') }, 'payload.error'],
  ['a typed array', { bytes: new Uint8Array(3) }, 'payload.bytes'],
  ['undefined in an array', [undefined], 'payload[0]'],
  ['Infinity', { n: Infinity }, 'payload.n'],
  ['a nesting of 100,000', nested(100_000), /^payload(?:\.value)+$/],
] as const) {
  test(`F31: a strict backlog refuses ${what} and says where it is, and keeps nothing of it`, async t => {
    const { queue } = parts(strict())

    const error = (await t.throwsAsync(
      queue.put({ good: [1, 'a', null, true] }).then(() => queue.put(payload)),
      {
        instanceOf: PayloadError,
      },
    )) as PayloadError

    if (typeof path === 'string') t.is(error.path, path)
    else t.regex(error.path, path)
    t.is(queue.counts.pending + queue.counts.underway, 1)
  })
}

test('F31: in memory a payload that JSON would change reaches the handler by reference', async t => {
  const { clock, handler, queue } = parts({ width: 9 })
  const payloads = [cycle, new Map([[1, 2]]), new Letter(), [undefined], 7n, new Date(0), undefined, nested(100_000)]

  await queue.putMany(payloads)
  await clock.settle()

  t.true(handler.called.every((payload, i) => payload === payloads[i]))
  t.is(handler.called.length, payloads.length)
})

for (const [what, payload] of [
  ['a key that is a symbol', { to: 'you', [Symbol('secret')]: 1 }],
  ['a toJSON that no list of keys shows', Object.defineProperty({ to: 'you' }, 'toJSON', { value: () => 'me' })],
  ['an array with a name besides its items', Object.assign([1], { name: 'one' })],
] as const) {
  // Only enumerable string keys, and of arrays only items, are looked at; JSON drops or changes the rest.
  test(`F31: a strict backlog refuses ${what}, which JSON would change`, async t => {
    const { queue } = parts(strict())

    await t.throwsAsync(queue.put({ payload }), { instanceOf: PayloadError })
  })
}

test('F31: a getter that throws in a payload is refused by a strict backlog, and harms no other put', async t => {
  const { clock, handler, queue } = parts(strict())
  const bad = {
    get to(): string {
      throw new Error('not said')
    },
  }

  const answers = await Promise.allSettled([queue.put('a'), queue.put(bad), queue.putMany(['b', bad]), queue.put('c')])
  queue.width = 9
  await clock.settle()

  t.deepEqual(
    answers.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
  )
  t.deepEqual(handler.called, ['a', 'c'])
})

test('F32: a giant payload reaches the handler whole, in memory by reference, and the queue goes on', async t => {
  const { clock, handler, queue } = parts({ width: 2 })
  // More than a file is asked to take in at once.
  const giant = { text: 'x'.repeat(2 ** 25), ...(!durable() && { bytes: new Uint8Array(2 ** 24) }) }

  await Promise.all([queue.put(giant), queue.put('next')])
  await clock.settle()

  const [whole, next] = handler.called as [typeof giant, string]
  t.true(durable() ? whole.text === giant.text : whole === giant)
  t.is(next, 'next')
})

test('F33: keys of the prototype in a payload change no object, and __proto__ is refused by a strict backlog', async t => {
  const { clock, handler, queue } = parts({ width: 9 })
  const sly = JSON.parse(
    '{ "__proto__": { "admin": true }, "constructor": { "prototype": { "admin": true } } }',
  ) as object

  const legal = durable() ? (JSON.parse('{ "constructor": { "prototype": { "admin": true } } }') as object) : sly

  const error = await t.throwsAsync(parts(strict()).queue.put({ sly }), { instanceOf: PayloadError })
  await queue.put(legal)
  await queue.put(legal, { id: '__proto__', key: '__proto__' })
  await clock.settle()

  t.is((error as PayloadError).path, 'payload.sly.__proto__')
  t.deepEqual(handler.called, [legal, legal])
  t.is(({} as { admin?: boolean }).admin, undefined)
})

test('F33: a part that a payload shares in many places is visited once', async t => {
  const { queue } = parts()
  let looks = 0
  let shared: object = new Proxy(
    {},
    {
      ownKeys: () => {
        looks++
        return []
      },
    },
  )
  for (let level = 0; level < 12; level++) shared = [shared, shared]

  await queue.put(shared)

  t.true(looks <= 12, `${looks} looks`)
})

test('F33: a deeply nested payload with an id is put or refused, and the queue goes on', async t => {
  const { clock, handler, queue } = parts()

  const [deep] = await Promise.allSettled([queue.put(nested(3_000), { id: 'deep' }), queue.put('next', { id: 'next' })])
  queue.width = 2
  await clock.settle()

  t.true(handler.called.includes('next'), deep?.status)
  t.is(handler.called.length, deep?.status === 'fulfilled' ? 2 : 1)
})

for (const value of [-1, Number.NaN, 1.5, -Infinity, '5', null, 5n, {}, [3], true]) {
  test(`F41: a width of ${typeof value === 'object' ? JSON.stringify(value) : String(value)} (${typeof value}) is refused everywhere`, t => {
    const { queue } = parts({ width: 2 })
    const width = value as number
    const expected = {
      instanceOf: OptionError,
      message: /^width must be a whole number of 0 or more, or Infinity, got /,
    }

    t.throws(() => new DispatchQueue(() => {}, { width }), expected)
    t.throws(() => (queue.width = width), expected)
    t.throws(() => queue.resume({ width }), expected)

    t.is(queue.width, 2)
  })
}

test('F41: a refused width given to resume leaves the queue paused', async t => {
  const { clock, handler, queue } = parts()
  void queue.pause()
  await queue.put('a')

  t.throws(() => queue.resume(-1), { instanceOf: OptionError })
  await clock.settle()

  t.true(queue.paused)
  t.deepEqual(handler.called, [])
})

for (const rate of [
  { limit: 0, per: 1_000 },
  { limit: -1, per: 1_000 },
  { limit: Number.NaN, per: 1_000 },
  { limit: Infinity, per: 1_000 },
  { limit: 1, per: 0 },
  { limit: 1, per: -1 },
  { limit: 1, per: Number.NaN },
  { limit: 1, per: Infinity },
  { limit: 1 },
  { per: 1_000 },
  'often',
  5,
  null,
] as unknown[]) {
  const said = JSON.stringify(rate, (_, part) =>
    typeof part === 'number' && !Number.isFinite(part) ? String(part) : part,
  )
  test(`F42: a rate of ${said} is refused at the door and when it is set, and changes nothing`, t => {
    const { queue } = parts()
    queue.rate = { limit: 3, per: '1s' }
    const before = queue.rate

    for (const set of [() => new DispatchQueue(() => {}, { rate: rate as Rule }), () => (queue.rate = rate as Rule)]) {
      const error = t.throws(set, { instanceOf: OptionError }) as OptionError
      t.true(error.option.startsWith('rate'), error.option)
    }

    t.is(queue.rate, before)
  })
}

test('F42: a tiny window limits too', async t => {
  const clock = new VirtualClock()
  const starts: number[] = []
  const rate = { limit: 1, per: 0.25 }
  const queue = new DispatchQueue<number, void>(() => void starts.push(clock.now()), { clock, width: 9, rate })
  await queue.putMany([1, 2, 3, 4])

  await drain(queue as DispatchQueue, clock)

  t.true(starts.slice(1).every((start, i) => start - (starts[i] as number) >= 0.25))
})

for (const [what, options] of [
  ['a delay of sixty days', { delay: '60d' }],
  ['a delay of 2^31 ms', { delay: 2 ** 31 }],
  ['a delay of 2^39 ms', { delay: 2 ** 39 }],
  ['a runAt in the year 9999', { runAt: new Date('9999-12-31T23:59:59Z') }],
  ['a runAt beyond all years of four digits', { runAt: 9e14 }],
] as [string, PutOptions][]) {
  test.serial(`F43: ${what} neither starts a job at once nor wakes the process repeatedly`, async t => {
    const warnings: string[] = []
    const listen = (warning: Error): void => void warnings.push(warning.name)
    process.on('warning', listen)
    t.teardown(() => process.off('warning', listen))
    const started: string[] = []
    const queue = new DispatchQueue<string, void>(payload => void started.push(payload))

    const job = await queue.put('far', options)
    await queue.run('near')
    await new Promise(resolve => setTimeout(resolve, 5))

    t.is(job.state, 'delayed')
    t.deepEqual(started, ['near'])
    t.deepEqual(
      warnings.filter(name => name === 'TimeoutOverflowWarning'),
      [],
    )
    t.deepEqual(
      (await unrun(queue)).map(({ id }) => id),
      [job.id],
    )
  })
}

test('F43: a delay of sixty days is over after sixty days', async t => {
  const { clock, handler, queue } = parts()
  await queue.put('a', { delay: '60d' })

  await clock.advance(60 * 86_400_000 - 1)
  t.deepEqual(handler.called, [])
  await clock.advance(1)

  t.deepEqual(handler.called, ['a'])
})

for (const label of [
  `Robert'); drop table jobs;--`,
  '"',
  'nul \0 inside',
  'line\nbreak',
  '../../etc/passwd',
  '<script>alert(1)</script>',
  'toString',
  'constructor',
  '__proto__',
  'hasOwnProperty',
  '\u{1f4ec} e\u0301',
  '-',
  'a-b-c',
  ' ',
  'x'.repeat(200),
]) {
  test(`F45: ${JSON.stringify(label).slice(0, 40)} is a name, an id and a key like any other`, async t => {
    const clock = new VirtualClock()
    const handler = scripted<string, string>()
    const queue = new DispatchQueue<string, string>(handler, { clock, name: label, paused: true })
    const job = await queue.put('a', { id: label, key: label })
    await queue.put('b', { key: `${label.slice(2)}!` })

    t.is(queue.name, label)
    t.is(await queue.get(label), job)
    t.deepEqual(await queue.jobs({ key: label }), [job])
    t.true((await queue.put('a', { id: label })).existed)
    await t.throwsAsync(queue.put('c', { id: label }), { code: 'ID_CONFLICT' })
    await queue.reprioritize(label, 1)
    queue.resume()
    await clock.settle()
    t.deepEqual(handler.called, ['b'])
    t.true(await queue.cancel(label))
    t.is(job.state, 'cancelled')
  })
}

test('F45: names, ids and keys of 10 kB are refused', async t => {
  const { queue } = parts()
  const long = 'x'.repeat(10_240)

  t.throws(() => new DispatchQueue(() => {}, { name: long }), { instanceOf: OptionError, message: /^name / })
  await t.throwsAsync(queue.put('a', { id: long }), { instanceOf: OptionError, message: /^id / })
  const error = await t.throwsAsync(queue.put('a', { key: long }), { instanceOf: OptionError, message: /^key / })

  t.true((error?.message.length ?? 0) < 300, 'the message does not repeat it all')
})

test('F45: units of cost and event names of the prototype are harmless', async t => {
  const clock = new VirtualClock()
  const rate = { limit: 5, per: '1s', of: '__proto__' } as const
  const queue = new DispatchQueue<string, string>(payload => payload, { clock, width: 9, rate })
  const cost = JSON.parse('{ "__proto__": 5 }') as Record<string, number>
  const starts: number[] = []
  queue.on('underway', () => starts.push(clock.now()))
  await queue.put('a', { cost })
  await queue.put('b', { cost })
  const other = { constructor: 1 } as unknown as Record<string, number>
  await t.throwsAsync(queue.put('c', { cost: other }), { message: /^cost.constructor is not a unit/ })

  await drain(queue as DispatchQueue, clock)

  t.is(queue.counts.finished, 2)
  t.true((starts[1] ?? 0) >= 1_000, 'the cost counts under its own name')
})

test('F46: a put whose answer was lost may be repeated under its id, at the same time too', async t => {
  const { clock, handler, queue } = parts({ width: 9 })

  const jobs = await Promise.all(Array.from({ length: 10 }, () => queue.put({ to: 'you' }, { id: 'once' })))
  jobs.push(...(await queue.putMany([{ to: 'you' }, { to: 'you' }], { id: 'once' })))
  await clock.settle()

  t.is(handler.called.length, 1)
  t.deepEqual(
    jobs.map(job => job.existed),
    [false, ...Array(11).fill(true)],
  )
  handler.underway[0]?.finish('sent')
  t.deepEqual(await Promise.all(jobs.map(job => job.result)), Array(12).fill('sent'))
})

test('F46: many runs under one id share one run and its result, or its failure', async t => {
  const { clock, handler, queue } = parts({ width: 9 })
  const good = Array.from({ length: 5 }, () => queue.run('good', { id: 'good' }))
  const bad = Array.from({ length: 5 }, () => queue.run('bad', { id: 'bad' }))
  const settled = Promise.allSettled([...good, ...bad])
  await clock.settle()
  t.deepEqual(handler.called, ['good', 'bad'])

  handler.underway[0]?.finish('sent')
  handler.underway[0]?.fail('refused')

  t.deepEqual(await settled, [
    ...Array(5).fill({ status: 'fulfilled', value: 'sent' }),
    ...Array(5).fill({ status: 'rejected', reason: 'refused' }),
  ])
})

test('F46: the job of a run also has a result for callers who get it from an event or from get', async t => {
  const { clock, handler, queue } = parts()
  const seen: unknown[] = []
  queue.on('underway', job => seen.push(job.result))
  const run = queue.run('a', { id: 'a' })
  await clock.settle()
  seen.push((await queue.get('a'))?.result)
  handler.underway[0]?.finish('sent')

  t.is(await run, 'sent')
  t.true(seen.every(result => result instanceof Promise))
  t.deepEqual(await Promise.all(seen), ['sent', 'sent'])
})
