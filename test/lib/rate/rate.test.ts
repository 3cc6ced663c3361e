import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { OptionError } from '../../../lib/errors.ts'
import { Rate } from '../../../lib/rate/rate.ts'
import { type Cost, parseKeyRate, parseRate, type RateRule, windowMs } from '../../../lib/rate/rules.ts'
import { randomOf } from '../../support/random.ts'

const runs = Number(process.env.RATE_RUNS ?? 400)

const rateOf = (...rules: unknown[]): Rate => new Rate(parseRate('rate', rules))

/** Grants and launches at once. */
const start = (rate: Rate, now: number, cost?: Cost): number => {
  const grant = rate.grant(cost, now, 0)
  rate.confirm(grant, now)
  return grant
}

/** How many start at `now` until the rate refuses. */
const startAll = (rate: Rate, now: number, cost?: Cost): number => {
  for (let count = 0; ; count++) if (start(rate, now, cost) < 0) return count
}

const granted = (t: ExecutionContext, grant: number): boolean => t.true(grant >= 0, 'was refused')
const refused = (t: ExecutionContext, grant: number): boolean => t.is(grant, -1, 'was granted')

/** All that JSON keeps, made into a rate again. */
const stored = (rate: Rate): Rate => Rate.from(JSON.parse(JSON.stringify(rate.state())))

/** The number just below or above. */
const step = (value: number, by: 1n | -1n): number => {
  const cell = new DataView(new ArrayBuffer(8))
  cell.setFloat64(0, value)
  cell.setBigInt64(0, cell.getBigInt64(0) + by)
  return cell.getFloat64(0)
}

// What users write.

test('rate: rules are parsed into frozen records, one or several or none', t => {
  const minute = { limit: 60, perMs: 60_000, unit: undefined, burst: undefined }

  t.deepEqual(parseRate('rate', undefined), [])
  t.deepEqual(parseRate('rate', []), [])
  t.deepEqual(parseRate('rate', { limit: 60, per: '1m' }), [minute])
  t.deepEqual(parseRate('rate', { limit: 60, per: 60_000, of: undefined, spread: false, burst: undefined }), [minute])
  t.deepEqual(
    parseRate('rate', [
      { limit: 0.5, per: '1d', of: 'euros' },
      { limit: 60, per: '1m', burst: 2.5 },
    ]),
    [
      { limit: 0.5, perMs: 86_400_000, unit: 'euros', burst: undefined },
      { ...minute, burst: 2.5 },
    ],
  )
  const rules = parseRate('rate', [{ limit: 1, per: 1 }])
  t.true(Object.isFrozen(rules) && Object.isFrozen(rules[0]) && Object.isFrozen(parseRate('rate', undefined)))
})

test('rate: spread is a burst of one start, and of a unit nothing beside that start', t => {
  t.is(parseRate('rate', { limit: 60, per: '1m', spread: true })[0]?.burst, 1)
  t.is(parseRate('rate', { limit: 60, per: '1m', spread: true, of: 'tokens' })[0]?.burst, 0)
})

test('rate: a jitter is kept in milliseconds, and none is left out', t => {
  const parsed = (jitter: unknown) => parseRate('rate', { limit: 10, per: '1s', jitter })
  const rule = { limit: 10, perMs: 1_000, unit: undefined, burst: undefined }

  t.deepEqual(parsed('20ms'), [{ ...rule, jitterMs: 20 }])
  t.deepEqual(parsed('1s'), [{ ...rule, jitterMs: 1_000 }])
  t.deepEqual(parsed(0), [rule])
  t.deepEqual(parsed(undefined), [rule])
  t.deepEqual(parseRate('rate', parsed('20ms')), parsed('20ms'))
})

const refusals: readonly (readonly [value: unknown, option: string, message: RegExp])[] = [
  [null, 'rate', /^rate must be a rule such as \{ limit: 60, per: '1m' \}, got null$/],
  ['60/m', 'rate', /got '60\/m'$/],
  [60, 'rate', /got 60$/],
  [() => 1, 'rate', /got a function$/],
  [[undefined], 'rate[0]', /^rate\[0\] must be a rule/],
  [new Array(1), 'rate[0]', /^rate\[0\] must be a rule/],
  [[[{ limit: 1, per: 1 }]], 'rate[0]', /got an array$/],
  [{}, 'rate.limit', /^rate\.limit must be a whole number of 1 or more, got undefined$/],
  [{ per: '1m' }, 'rate.limit', /got undefined$/],
  ...[0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, '60', null, 1n].map(
    limit => [{ limit, per: 1 }, 'rate.limit', /whole number of 1 or more, got/] as const,
  ),
  ...[0, -1, Number.NaN, Infinity, '60', null].map(
    limit => [{ limit, per: 1, of: 'a' }, 'rate.limit', /a finite number more than 0, got/] as const,
  ),
  [{ limit: 1 }, 'rate.per', /^rate\.per must be milliseconds \(more than 0\).*, got undefined$/],
  [{ limit: 1, per: 0 }, 'rate.per', /more than 0/],
  [{ limit: 1, per: '1 minute' }, 'rate.per', /got '1 minute'$/],
  [
    [
      { limit: 1, per: 1 },
      { limit: 1, per: -1 },
    ],
    'rate[1].per',
    /^rate\[1\]\.per must/,
  ],
  [{ limit: 1, per: 1, of: '' }, 'rate.of', /^rate\.of must be the name of a unit of cost such as 'tokens', got ''$/],
  [{ limit: 1, per: 1, of: 7 }, 'rate.of', /got 7$/],
  [{ limit: 1, per: 1, of: null }, 'rate.of', /got null$/],
  [{ limit: 1, per: 1, spread: 1 }, 'rate.spread', /^rate\.spread must be true or false, got 1$/],
  [{ limit: 1, per: 1, spread: null }, 'rate.spread', /got null$/],
  ...[0, 0.5, 5.5, -1, Number.NaN, Infinity, '2', null, true].map(
    burst => [{ limit: 5, per: 1, burst }, 'rate.burst', /must be from 1 to the limit, 5, got/] as const,
  ),
  [{ limit: 5, per: 1, burst: 2, spread: true }, 'rate.burst', /must be left out where spread is true/],
  ...[-1, Number.NaN, Infinity, '20', 'learnt', null, true].map(
    jitter => [{ limit: 5, per: '1s', jitter }, 'rate.jitter', /^rate\.jitter must be .*got/] as const,
  ),
  [
    { limit: 5, per: '1s', jitter: '1001ms' },
    'rate.jitter',
    /^rate\.jitter must be at most per, 1000 ms, got '1001ms'; for more, lengthen per$/,
  ],
  [
    { limit: 5, interval: 1 },
    'rate.interval',
    /^rate\.interval is not an option; did you mean rate\.per\? Known are: limit, per, of, spread, burst, jitter, name$/,
  ],
  ...['', 7, null, 'x'.repeat(201), '\ud800'].map(
    name =>
      [{ limit: 1, per: 1, name }, 'rate.name', /^rate\.name must be a string of 1 to 200 characters.*got/] as const,
  ),
  [
    [
      { limit: 1, per: 1, name: 'gateway' },
      { limit: 1, per: 1 },
      { limit: 9, per: 1, name: 'gateway' },
    ],
    'rate[2].name',
    /^rate\[2\]\.name is the name of rate\[0\] too; a name stands for one rule, so give each its own$/,
  ],
  [[{ limit: 5, per: 1, Burst: 2 }], 'rate[0].Burst', /did you mean rate\[0\]\.burst\?/],
]

test('rate: any other value is refused with its path and what is allowed', t => {
  for (const [value, option, message] of refusals) {
    const error = t.throws(() => parseRate('rate', value), { instanceOf: OptionError, message })

    t.is(error?.option, option)
  }
})

test('rate: a rule keeps its name, and the rules of keys have none', t => {
  const rules = parseRate('rate', { name: 'gateway', limit: 60, per: '1m' })

  t.deepEqual(rules, [{ limit: 60, perMs: 60_000, unit: undefined, burst: undefined, name: 'gateway' }])
  t.deepEqual(parseRate('rate', rules), rules)
  t.deepEqual(parseKeyRate('keys.rate', { limit: 1, per: 1 }), parseRate('rate', { limit: 1, per: 1 }))
  t.throws(() => parseKeyRate('keys.rate', rules), {
    message: /^keys\.rate\[0\]\.name cannot be given to a rule of a key/,
  })
  t.throws(() => parseKeyRate('rate', { name: 'x', limit: 1, per: 1 }), { message: /^rate\.name cannot be given/ })
})

test('rate: behind starts of others there is capacity once they have started as early as they can', t => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomOf(seed)
    const limit = 2 + Math.floor(random() * 8)
    const shape = [{}, { spread: true }, { burst: 1 + Math.floor(random() * limit) }][seed % 3]
    const rate = rateOf({ limit, per: 1_000, ...shape })
    let now = 0
    for (let i = 0; i < 20; i++) {
      now += Math.floor(random() * 300)
      rate.grant(undefined, now, 0)
    }
    const others = 1 + Math.floor(random() * (limit - 1))
    const at = Math.max(rate.nextBehind(others, undefined, now), now)
    // The others start, each as early as it can, and then this one.
    const copy = Rate.from(rate.state())
    let last = now
    for (let i = 0; i < others; i++) {
      last = Math.max(copy.next(undefined, last), last)
      granted(t, copy.grant(undefined, last, 0))
    }
    const real = Math.max(copy.next(undefined, last), last)
    t.true(at <= real + 1e-6, `seed ${seed}: ${at} is after ${real}`)
    // It is exact as long as the others need not wait.
    if (last === now) t.true(Math.abs(at - real) < 1e-6, `seed ${seed}: ${at} is not ${real}`)
  }
  t.is(rateOf({ limit: 3, per: 1 }).nextBehind(3, undefined, 0), Infinity)
})

// The window.

test('rate: a window holds as many starts as the limit, and not one more', t => {
  const rate = rateOf({ limit: 3, per: 1_000 })

  t.is(startAll(rate, 0), 3)
  refused(t, rate.grant(undefined, 999.999, 0))
})

test('rate: a start is forgotten exactly one window after it', t => {
  const rate = rateOf({ limit: 2, per: 1_000 })
  start(rate, 0)
  start(rate, 400)

  refused(t, start(rate, step(1_000, -1n)))
  granted(t, start(rate, 1_000))
  refused(t, start(rate, 1_399))
  granted(t, start(rate, 1_400))
})

test('rate: windows slide, so that two halves of neighbouring windows hold no more than one window', t => {
  const rate = rateOf({ limit: 10, per: 1_000 })

  t.is(startAll(rate, 999), 10)
  t.is(startAll(rate, 1_001), 0)
  t.is(startAll(rate, 1_998), 0)
  t.is(startAll(rate, 1_999), 10)
})

test('rate: windows begin and end exactly also at fractions of a millisecond', t => {
  const rate = rateOf({ limit: 1, per: 0.2 })
  let now = 0.1
  for (let count = 0; count < 1_000; count++) {
    granted(t, start(rate, now))
    const next = rate.next(undefined, now)
    refused(t, start(rate, step(next, -1n)))
    now = next
  }
  t.true(now >= 0.1 + 999 * 0.2)
})

test('rate: without rules and holds every grant succeeds, and nothing is recorded', t => {
  const rate = rateOf()

  t.true(rate.limitsNothing)
  for (let count = 0; count < 1_000; count++) t.is(rate.grant({ tokens: 1 }, 0, 10), 0)
  rate.confirm(0, 5)
  rate.correct(0, { tokens: 3 })
  rate.refund(0)
  t.deepEqual(rate.state().starts, [])
  t.is(rate.next(undefined, 7), 7)
  t.is(rate.blocking(undefined, 7), undefined)
  t.deepEqual(rate.used(0), [])
  t.false(rateOf({ limit: 1, per: 1 }).limitsNothing)
})

// Units of cost.

test('rate: a rule of a unit counts that cost, and a job that names no such cost takes none', t => {
  const rate = rateOf({ limit: 100, per: 1_000, of: 'tokens' })

  granted(t, start(rate, 0, { tokens: 60 }))
  refused(t, start(rate, 0, { tokens: 41 }))
  granted(t, start(rate, 0, { tokens: 40 }))
  granted(t, start(rate, 0))
  granted(t, start(rate, 0, { euros: 1_000 }))
  refused(t, start(rate, 999, { tokens: 0.001 }))
  t.is(rate.next({ tokens: 0.001 }, 500), 1_000)
  granted(t, start(rate, 1_000, { tokens: 100 }))
})

test('rate: all rules are checked before any is charged', t => {
  const rate = rateOf({ limit: 5, per: 1_000 }, { limit: 10, per: 1_000, of: 'tokens' })
  start(rate, 0, { tokens: 8 })

  for (let count = 0; count < 10; count++) refused(t, start(rate, 1, { tokens: 3 }))
  t.deepEqual(
    rate.used(1).map(({ used }) => used),
    [1, 8],
  )
  t.is(startAll(rate, 1), 4)
})

test('rate: decimal costs add up exactly, and an empty window holds exactly 0', t => {
  const dimes = rateOf({ limit: 0.3, per: 10, of: 'euros' })
  t.is(startAll(dimes, 0, { euros: 0.1 }), 3)
  for (const parts of [3, 6, 7, 11, 13, 49]) {
    t.is(startAll(rateOf({ limit: 1, per: 10, of: 'euros' }), 0, { euros: 1 / parts }), parts, `${parts} parts`)
  }
  const rate = rateOf({ limit: 1e6, per: 10, of: 'euros' })
  for (let now = 0; now < 20_000; now++) start(rate, now, { euros: 0.1 + (now % 7) / 3 })
  t.true((rate.used(20_000)[0]?.used ?? 0) > 1)
  t.is(rate.used(20_010)[0]?.used, 0)
  granted(t, start(rate, 20_010, { euros: 1e6 }))
  refused(t, start(rate, 20_010, { euros: 1e-6 }))
})

test('rate: whole units are exact up to large limits, and tiny limits limit', t => {
  for (const limit of [7, 1e3, 999_999_937, 1e12]) {
    const rate = rateOf({ limit, per: 10, of: 'bytes' })
    granted(t, start(rate, 0, { bytes: limit - 1 }))
    granted(t, start(rate, 0, { bytes: 1 }))
    refused(t, start(rate, 0, { bytes: 1 }))
    t.is(rate.used(0)[0]?.used, limit)
  }
  for (const limit of [1e-9, 5e-200, 1e200, Number.MAX_VALUE]) {
    t.is(startAll(rateOf({ limit, per: 10, of: 'bytes' }), 0, { bytes: limit * 0.3 }), 3)
  }
  refused(t, start(rateOf({ limit: Number.MIN_VALUE, per: 10, of: 'bytes' }), 0, { bytes: 1 }))
})

test('rate: a cost above a limit can never start, and its refusal names unit, cost and limit', t => {
  const rate = rateOf({ limit: 5, per: 1_000 }, { limit: 10, per: 1_000, of: 'tokens' })

  t.deepEqual(rate.impossible({ tokens: 10.5 }), { unit: 'tokens', cost: 10.5, limit: 10 })
  t.is(rate.impossible({ tokens: 10 }), undefined)
  t.is(rate.impossible(undefined), undefined)
  t.is(rate.next({ tokens: 10.5 }, 0), Infinity)
  t.is(rate.blocking({ tokens: Infinity }, 0)?.until, Infinity)
  refused(t, start(rate, 1e9, { tokens: 10.5 }))
})

test('rate: an invalid cost counts as 0, and names of the prototype are no costs', t => {
  const rate = rateOf({ limit: 1, per: 10, of: 'tokens' }, { limit: 1, per: 10, of: 'toString' })

  for (const tokens of [Number.NaN, -5, -Infinity]) granted(t, start(rate, 0, { tokens }))
  t.deepEqual(
    rate.used(0).map(({ used }) => used),
    [0, 0],
  )
})

// Grants and what becomes of them.

test('rate: a grant counts at the last instant of its grace until its launch is confirmed', t => {
  const rate = rateOf({ limit: 1, per: 1_000 })
  const first = rate.grant(undefined, 0, 50)
  t.is(rate.next(undefined, 0), 1_050)

  rate.confirm(first, 20)

  t.is(rate.next(undefined, 0), 1_020)
  refused(t, rate.grant(undefined, 1_019, 50))
  granted(t, rate.grant(undefined, 1_020, 50))
})

test('rate: an invalid grace counts as 0', t => {
  for (const graceMs of [Number.NaN, -50]) {
    const rate = rateOf({ limit: 1, per: 1_000 })
    rate.grant(undefined, 100, graceMs)
    t.is(rate.next(undefined, 100), 1_100)
  }
})

test('rate: a grant that is never confirmed is over one window after its grace', t => {
  const rate = rateOf({ limit: 1, per: 1_000 })
  rate.grant(undefined, 0, 50)

  refused(t, rate.grant(undefined, 1_049, 0))
  granted(t, rate.grant(undefined, 1_050, 0))
})

test('rate: a launch that is reported a window after the end of its grace is remembered anew, cost and all', t => {
  const rate = rateOf({ limit: 1, per: 100 }, { limit: 5, per: 1_000, of: 'tokens' })
  rate.track()
  const late = rate.grant({ tokens: 5 }, 0, 5)
  rate.grant(undefined, 1_200, 5)
  t.is(rate.countsAt(late), undefined)
  rate.changes()

  rate.confirm(late, 1_190)
  t.is(rate.next(undefined, 1_300), 1_305)
  rate.correct(late, { tokens: 5 })

  t.is(rate.next({ tokens: 1 }, 1_300), 2_190)
  const { starts } = rate.changes()
  t.deepEqual(starts, [[late, 1_190, 1_190, 5]])
  t.deepEqual(stored(rate).state(), rate.state())
  rate.change([], 1_300)
  rate.confirm(late, 1_400)
  t.deepEqual(rate.state().starts, [])
})

test('rate: a launch is not accepted before its grant or at an invalid instant, and is accepted after the grace', t => {
  const rate = rateOf({ limit: 1, per: 1_000 })
  const grant = rate.grant(undefined, 100, 50)

  for (const at of [Number.NaN, Infinity, -Infinity]) rate.confirm(grant, at)
  t.is(rate.next(undefined, 0), 1_150)
  rate.confirm(grant, 3)
  t.is(rate.next(undefined, 0), 1_100)
  rate.confirm(grant, 200)
  t.is(rate.next(undefined, 0), 1_200)
  rate.confirm(grant, 120)
  t.is(rate.next(undefined, 0), 1_200)
})

test('rate: launches confirmed out of order leave their windows in the order they happened', t => {
  const rate = rateOf({ limit: 3, per: 1_000 })
  const [a, b, c] = [0, 0, 0].map(now => rate.grant(undefined, now, 100)) as [number, number, number]
  rate.confirm(c, 30)
  rate.confirm(a, 90)
  rate.confirm(b, 10)

  refused(t, rate.grant(undefined, 1_009, 0))
  granted(t, rate.grant(undefined, 1_010, 0))
  refused(t, rate.grant(undefined, 1_029, 0))
  granted(t, rate.grant(undefined, 1_030, 0))
  refused(t, rate.grant(undefined, 1_089, 0))
  granted(t, rate.grant(undefined, 1_090, 0))
})

test('rate: one grant lost in a long grace does not hold up those confirmed after it', t => {
  const rate = rateOf({ limit: 2, per: 100 })
  rate.grant(undefined, 0, 10_000)

  for (let now = 1; now < 10_000; now += 100) granted(t, start(rate, now))
})

test('rate: a refunded grant leaves no trace', t => {
  const rules = [
    { limit: 2, per: 1_000 },
    { limit: 9, per: 900, burst: 2 },
    { limit: 9, per: 90, of: 'a', spread: true },
  ]
  const rate = rateOf(...rules)
  const other = rateOf(...rules)
  for (const each of [rate, other]) start(each, 0, { a: 2 })

  const grant = rate.grant({ a: 3 }, 200, 10)
  granted(t, grant)
  rate.refund(grant)
  rate.refund(grant)

  t.deepEqual(rate.state().starts, other.state().starts)
  t.is(rate.next({ a: 1 }, 200), other.next({ a: 1 }, 200))
  t.deepEqual(rate.used(200), other.used(200))
})

test('rate: the numbers of grants rise, and unknown ones are ignored', t => {
  const rate = rateOf({ limit: 3, per: 100 })
  const numbers = [0, 0, 0, 100, 150].map(now => rate.grant(undefined, now, 0))
  t.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
  )
  t.is(new Set(numbers).size, 5)
  t.true(numbers.every(grant => Number.isSafeInteger(grant) && grant > 0))
  const before = rate.state()

  const forgotten = numbers[0] as number
  for (const grant of [-1, 0, 0.5, 1.5, 999, 2 ** 40, Number.NaN, Infinity, forgotten]) {
    if (grant !== forgotten) rate.confirm(grant, 1e6)
    rate.correct(grant, { tokens: 3 })
    rate.refund(grant)
  }
  t.deepEqual(rate.state(), before)
})

test('rate: the real cost replaces the reserved one at the instant of the start', t => {
  const rate = rateOf({ limit: 100, per: 1_000, of: 'tokens' })
  const grant = start(rate, 0, { tokens: 50 })

  rate.correct(grant, { tokens: 20 })
  t.is(startAll(rate, 500, { tokens: 40 }), 2)
  rate.correct(grant, { tokens: 0.5 })
  t.is(rate.used(500)[0]?.used, 80.5)
  rate.correct(grant, { tokens: 20 })
  granted(t, start(rate, 1_000, { tokens: 20 }))
})

test('rate: a correction above the limit is a debt, and all starts wait until the window is within its limit again', t => {
  const rate = rateOf({ limit: 100, per: 1_000, of: 'tokens' })
  const first = start(rate, 0)
  const second = start(rate, 100, { tokens: 10 })
  rate.correct(first, { tokens: 900 })
  rate.correct(second, { tokens: 95 })

  t.is(rate.used(200)[0]?.used, 995)
  refused(t, start(rate, 200))
  t.is(rate.next(undefined, 200), 1_000)
  t.is(rate.next({ tokens: 6 }, 200), 1_100)
  granted(t, start(rate, 1_000, { tokens: 5 }))
  refused(t, start(rate, 1_000, { tokens: 0.1 }))
})

test('rate: a correction leaves other units alone, ignores what is no amount, and comes too late after the window', t => {
  const rate = rateOf({ limit: 10, per: 100, of: 'a' }, { limit: 10, per: 1_000, of: 'b' })
  const used = (now: number): number[] => rate.used(now).map(each => each.used)
  const grant = start(rate, 0, { a: 4, b: 5 })

  rate.correct(grant, { a: 3, c: 7 })
  t.deepEqual(used(0), [3, 5])
  for (const a of [Number.NaN, -1]) rate.correct(grant, { a })
  t.deepEqual(used(0), [3, 5])
  granted(t, start(rate, 100))
  rate.correct(grant, { a: 9, b: 9 })
  t.deepEqual(used(100), [0, 9])
  granted(t, start(rate, 1_000))
  rate.correct(grant, { a: 9, b: 9 })
  t.deepEqual(used(1_000), [0, 0])
})

test('rate: an empty window holds exactly 0 also after extreme corrections', t => {
  const rate = rateOf({ limit: 1, per: 100, of: 'a' })
  const grants = Array.from({ length: 50 }, (_, now) => start(rate, now))
  grants.forEach((grant, index) => {
    rate.correct(grant, { a: index % 2 ? Infinity : Number.MAX_VALUE / 3 })
    rate.correct(grant, { a: index % 3 ? 1e9 : index / 7_777_777 })
  })

  t.is(stored(rate).next({ a: 1 }, 50), 149)
  granted(t, start(rate, 149, { a: 1 }))
  t.is(rate.used(149)[0]?.used, 1)
})

// Holds.

test('rate: a hold refuses all until its end, and a later one cannot shorten it', t => {
  const rate = rateOf({ limit: 5, per: 1_000 })
  t.is(rate.heldUntil, -Infinity)
  rate.hold(500)
  rate.hold(300)
  rate.hold(Number.NaN)

  t.is(rate.heldUntil, 500)
  refused(t, start(rate, 499.9))
  t.is(rate.next(undefined, 100), 500)
  t.deepEqual(rate.blocking(undefined, 100), { rule: undefined, until: 500 })
  t.is(startAll(rate, 500), 5)
  t.is(rate.heldUntil, -Infinity)
})

test('rate: a rate without rules can be held too, and is idle again after the hold', t => {
  const rate = rateOf()
  rate.hold(500)

  t.false(rate.limitsNothing)
  refused(t, rate.grant(undefined, 499, 0))
  t.is(rate.grant(undefined, 500, 0), 0)
  t.true(rate.limitsNothing)
})

test('rate: the rule or hold that blocks longest is named', t => {
  const rate = rateOf({ limit: 1, per: 100 }, { limit: 10, per: 1_000, of: 'tokens' })
  const [short, long] = rate.rules as [RateRule, RateRule]
  start(rate, 0, { tokens: 8 })

  t.deepEqual(rate.blocking({ tokens: 1 }, 50), { rule: short, until: 100 })
  t.deepEqual(rate.blocking({ tokens: 3 }, 50), { rule: long, until: 1_000 })
  t.is(rate.blocking({ tokens: 1 }, 100), undefined)
  rate.hold(2_000)
  t.deepEqual(rate.blocking({ tokens: 3 }, 50), { rule: undefined, until: 2_000 })
  t.is(rate.blocking({ tokens: 11 }, 50)?.rule, long)
})

// Spread and burst.

test('rate: spread keeps starts evenly apart, besides the window', t => {
  const rate = rateOf({ limit: 4, per: 1_000, spread: true })

  t.is(startAll(rate, 0), 1)
  refused(t, start(rate, 249))
  granted(t, start(rate, 250))
  granted(t, start(rate, 900))
  t.is(rate.next(undefined, 900), 1_150)
})

test('rate: spread by a unit waits for the cost of the start before', t => {
  const rate = rateOf({ limit: 10, per: 1_000, of: 'tokens', spread: true })

  granted(t, start(rate, 0, { tokens: 0.5 }))
  refused(t, start(rate, 49, { tokens: 5 }))
  granted(t, start(rate, 50, { tokens: 5 }))
  t.is(rate.next(undefined, 50), 550)
  t.is(rate.next({ tokens: 5 }, 50), 1_000)
})

test('rate: a burst starts its number at once, then evenly, and refills while nothing starts', t => {
  const rate = rateOf({ limit: 10, per: 1_000, burst: 3 })

  t.is(startAll(rate, 0), 3)
  t.is(rate.next(undefined, 0), 100)
  for (let now = 100; now < 800; now += 100) t.is(startAll(rate, now), 1)
  t.is(startAll(rate, 1_100), 3)
})

test('rate: a burst of units admits that many units, and a single larger cost waits for a whole burst', t => {
  const rate = rateOf({ limit: 10, per: 1_000, of: 'tokens', burst: 4 })

  t.is(startAll(rate, 0, { tokens: 2 }), 2)
  t.is(rate.next({ tokens: 1 }, 0), 100)
  t.is(rate.next({ tokens: 6 }, 0), 400)
  granted(t, start(rate, 400, { tokens: 6 }))
  t.is(rate.next({ tokens: 2 }, 400), 1_000)
})

test('rate: a whole burst can be granted at once also where grants have a grace', t => {
  const rate = rateOf({ limit: 10, per: 1_000, burst: 3 })
  const grants = [0, 0, 0, 0].map(now => rate.grant(undefined, now, 500)) as [number, number, number, number]
  t.deepEqual(
    grants.map(grant => grant >= 0),
    [true, true, true, false],
  )
  t.is(rate.next(undefined, 0), 600)

  rate.confirm(grants[2], 5)
  rate.confirm(grants[0], 15)
  rate.confirm(grants[1], 40)

  t.is(rate.next(undefined, 40), 105)
})

test('rate: a confirmation and a correction also report the spread', t => {
  const rate = rateOf({ limit: 10, per: 1_000, of: 'tokens', spread: true })
  const grant = rate.grant({ tokens: 2 }, 0, 30)
  t.is(rate.next(undefined, 0), 230)

  rate.confirm(grant, 10)
  t.is(rate.next(undefined, 0), 210)
  rate.correct(grant, { tokens: 1 })
  t.is(rate.next(undefined, 0), 110)
  rate.correct(grant, { tokens: 1_000 })
  t.is(rate.next(undefined, 0), 1_010)
})

// Live change.

test('rate: after a change every window obeys the new rule for the starts still remembered', t => {
  const rate = rateOf({ limit: 5, per: 1_000 })
  for (const now of [0, 200, 400]) start(rate, now)

  rate.change(parseRate('rate', { limit: 2, per: 1_000 }), 500)
  t.is(rate.rules[0]?.limit, 2)
  t.is(rate.next(undefined, 500), 1_200)
  rate.change(parseRate('rate', { limit: 6, per: 1_000 }), 500)
  t.is(startAll(rate, 500), 3)
})

test('rate: a longer window sees back as far as the old one remembered', t => {
  const rate = rateOf({ limit: 5, per: 100 })
  for (const now of [0, 50, 100]) start(rate, now)

  rate.change(parseRate('rate', { limit: 2, per: 1_000 }), 100)

  t.is(rate.used(100)[0]?.used, 2)
  t.is(rate.next(undefined, 100), 1_050)
})

test('rate: costs are remembered also in units that only a later rule counts', t => {
  const rate = rateOf({ limit: 10, per: 100, of: 'a' }, { limit: 5, per: 1_000 })
  const grant = start(rate, 0, { a: 7, b: 3 })

  rate.change(
    parseRate('rate', [
      { limit: 10, per: 100, of: 'b' },
      { limit: 5, per: 1_000 },
    ]),
    10,
  )
  rate.correct(grant, { a: 8, c: 1 })
  start(rate, 10, { a: 1, b: 4 })
  t.is(rate.used(10)[0]?.used, 7)
  rate.change(parseRate('rate', { limit: 10, per: 100, of: 'a' }), 20)
  t.is(rate.used(20)[0]?.used, 9)
  rate.change(parseRate('rate', { limit: 10, per: 100, of: 'c' }), 20)
  t.is(rate.used(20)[0]?.used, 1)
})

test('rate: jobs that name ever new units do not make the memory of a start ever longer', t => {
  const rate = rateOf({ limit: 1_000, per: 100 })
  for (let count = 0; count < 500; count++) start(rate, 0, { [`unit${count}`]: 1 })

  t.true(rate.state().units.length < 50)
  rate.change(parseRate('rate', { limit: 2, per: 100, of: 'last' }), 0)
  t.is(startAll(rate, 0, { last: 1 }), 2)
})

test('rate: grants given before a change can be confirmed, corrected and refunded after it', t => {
  const rate = rateOf({ limit: 5, per: 100 })
  const [a, b] = [rate.grant(undefined, 0, 50), rate.grant(undefined, 0, 50)]
  rate.change(parseRate('rate', { limit: 2, per: 200 }), 10)
  t.is(rate.next(undefined, 10), 250)

  rate.confirm(a, 5)
  t.is(rate.next(undefined, 10), 205)
  rate.refund(b)
  t.is(rate.next(undefined, 10), 10)
})

test('rate: without rules all starts are forgotten, and numbers of grants go on rising', t => {
  const rate = rateOf({ limit: 1, per: 100 })
  const first = start(rate, 0)
  rate.change([], 1)
  t.true(rate.limitsNothing)
  rate.change(parseRate('rate', { limit: 1, per: 100 }), 2)

  const second = rate.grant(undefined, 2, 0)

  t.true(second > first)
})

// Clock, memory and storage.

test('rate: a clock set back lets nothing start that the windows have forgotten', t => {
  const rate = rateOf({ limit: 1, per: 100 })
  start(rate, 0)
  refused(t, start(rate, 99))
  start(rate, 100)
  start(rate, 200)

  refused(t, start(rate, 150))
  refused(t, start(rate, -1_000))
  t.is(rate.next(undefined, -1_000), 300)
  refused(t, rate.grant(undefined, Number.NaN, 0))

  const roomy = rateOf({ limit: 2, per: 100 })
  start(roomy, 0)
  start(roomy, 100)
  for (const each of [roomy, stored(roomy)]) {
    refused(t, start(each, 99))
    t.is(each.next(undefined, 50), 100)
    granted(t, start(each, 100))
  }
})

test('rate: queries change nothing, whatever instant they name', t => {
  const rate = rateOf({ limit: 2, per: 100 }, { limit: 9, per: 90, burst: 2 })
  start(rate, 0)
  start(rate, 10)
  const before = rate.state()

  rate.next(undefined, 1e9)
  rate.blocking({ a: 1 }, 1e9)
  rate.impossible({ a: 1 })
  t.is(rate.used(1e9)[0]?.used, 0)
  t.is(rate.used(105)[0]?.used, 1)
  t.deepEqual(rate.state(), before)
  refused(t, start(rate, 50))
})

test('rate: no more is remembered than the longest rule holds, however much was granted and refunded', t => {
  const rate = rateOf({ limit: 2, per: 1e9 })
  const first = rate.grant(undefined, 0, 10)
  let last = first
  for (let count = 0; count < 100_000; count++) {
    const grant = rate.grant(undefined, count, 1e6)
    if (grant <= last) t.fail('numbers rise')
    rate.refund(grant)
    last = grant
  }

  t.is(rate.state().starts.length, 1)
  rate.confirm(first, 5)
  t.is(rate.state().starts[0]?.[2], 5)
})

test('rate: starts that remain after a rush stay distinct in the smaller log', t => {
  const rate = rateOf({ limit: 2_000, per: 1e9 })
  const rush = Array.from({ length: 1_000 }, () => rate.grant(undefined, 0, 10))
  const few = rush.filter(grant => grant % 256 === 1)
  for (const grant of rush) if (!few.includes(grant)) rate.refund(grant)
  for (let now = 1; now < 50_000; now++) rate.refund(rate.grant(undefined, now, 10))

  few.forEach((grant, at) => {
    rate.confirm(grant, at)
  })

  t.deepEqual(
    rate.state().starts,
    few.map((grant, at) => [grant, at, at]),
  )
})

test('rate: a hundred thousand starts in a window are exact, before and after the log has grown and shrunk', t => {
  const rate = rateOf({ limit: 100_000, per: 1_000 })
  for (const begin of [0, 5_000]) {
    for (let count = 0; count < 100_000; count++) if (start(rate, begin + count / 100) < 0) t.fail('refused')
    refused(t, start(rate, begin + 999.999))
    t.is(startAll(rate, begin + 1_000), 1)
    t.is(startAll(rate, begin + 1_000.015), 1)
  }
  // Now slowly, so that the log becomes small again around starts that live.
  for (let now = 10_000; now < 210_000; now++) if (start(rate, now) < 0) t.fail('refused')
  t.is(rate.used(209_999)[0]?.used, 1_000)
  t.deepEqual(
    rate.state().starts.map(row => row[2]),
    Array.from({ length: 1_000 }, (_, index) => 209_000 + index),
  )
})

test('rate: starts without any cost are remembered for a correction, but not without bound', t => {
  const rate = rateOf({ limit: 10, per: '1d', of: 'tokens' })
  const costly = start(rate, 0, { tokens: 3 })
  let last = 0
  for (let now = 1; now < 300_000; now++) last = start(rate, now)

  t.true(rate.state().starts.length < 200_000)
  rate.correct(last, { tokens: 5 })
  rate.correct(costly, { tokens: 4 })
  t.is(rate.used(300_000)[0]?.used, 9)
})

test('rate: a stored state continues where it was', t => {
  const rate = rateOf({ limit: 3, per: 100 }, { limit: 10, per: 1_000, of: 'tokens', spread: true })
  const grant = rate.grant({ tokens: 0.5 }, 0, 20)
  rate.hold(70)

  const other = stored(rate)

  t.deepEqual(other.state(), rate.state())
  t.deepEqual(other.rules, rate.rules)
  t.true(Object.isFrozen(other.rules) && Object.isFrozen(other.rules[0]))
  t.is(other.heldUntil, 70)
  other.confirm(grant, 3)
  t.is(other.next({ tokens: 1 }, 0), 70)
  t.true(other.grant({ tokens: 1 }, 70, 0) > grant)
  t.true(stored(rateOf()).limitsNothing)
})

// The far end.

test('rate: a jitter lengthens the window, and the way starts are spread over it', t => {
  const rate = rateOf({ limit: 2, per: 1_000, jitter: 200 })
  t.is(startAll(rate, 0), 2)
  t.is(startAll(rate, 1_199), 0)
  t.is(rate.next(undefined, 1_199), 1_200)
  t.is(startAll(rate, 1_200), 2)

  const spread = rateOf({ limit: 2, per: 1_000, jitter: 200, spread: true })
  start(spread, 0)
  t.is(spread.next(undefined, 0), 600)

  const tokens = rateOf({ limit: 10, per: 1_000, jitter: 200, of: 'tokens' }, { limit: 5, per: 1_100, jitter: 300 })
  start(tokens, 0, { tokens: 8 })
  t.is(tokens.next({ tokens: 3 }, 0), 1_200)
  t.like(tokens.blocking({ tokens: 3 }, 0), { rule: { unit: 'tokens', jitterMs: 200 } })
  for (let i = 0; i < 4; i++) start(tokens, 1)
  t.is(tokens.next(undefined, 1), 1_400)
})

test('rate: requests whose delays differ by no more than the jitter never arrive over the limit', t => {
  let closest = Infinity
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 0, max: 100 }),
      fc.array(
        fc.record({
          pauseMs: fc.nat(40),
          way: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
        }),
        {
          ...{ minLength: 20, maxLength: 60, size: 'max' },
        },
      ),
      (limit, jitter, requests) => {
        const rate = rateOf({ limit, per: 100, jitter })
        let now = 0
        const arrivals = requests.map(({ pauseMs, way }) => {
          // Each starts as early as the rate allows, or somewhat later.
          now = Math.max(rate.next(undefined, now), now) + (pauseMs > 30 ? pauseMs : 0)
          if (start(rate, now) < 0) throw new Error('refused at its own next()')
          return now + way * jitter
        })
        arrivals.sort((a, b) => a - b)
        for (let i = limit; i < arrivals.length; i++) {
          const spanMs = (arrivals[i] as number) - (arrivals[i - limit] as number)
          closest = Math.min(closest, spanMs)
          if (spanMs < 100 - 1e-9) throw new Error(`${limit + 1} arrivals lie within ${spanMs} ms`)
        }
      },
    ),
    { numRuns: runs, includeErrorInReport: true },
  )
  // The bound is reached: a shorter window would not do.
  t.true(closest < 100 + 1e-9, `the closest arrivals are ${closest} ms apart`)
})

// Against a model that keeps every start for ever and tries every window by brute force.

/** What the model knows of a grant: also when it is really launched, which the rate learns at its confirmation. */
interface Start {
  readonly numbers: number[]
  readonly launchAt: number
  countsAt: number
  /** In tenths, so that the model adds whole numbers. */
  tenths: Record<string, number>
  confirmed: boolean
  refunded: boolean
  /** The rules changed when this start had left even the longest of them. */
  forgotten: boolean
}

const tenthsOf = (rule: RateRule, start: Pick<Start, 'tenths'>): number =>
  rule.unit === undefined ? 10 : (start.tenths[rule.unit] ?? 0)

const limitTenths = (rule: RateRule): number => Math.round(rule.limit * 10)

/** What a start takes of a burst: after a correction, at most the limit. */
const shapedTenths = (rule: RateRule, start: Pick<Start, 'tenths'>): number =>
  Math.min(tenthsOf(rule, start), limitTenths(rule))

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** Why `wanted` may not be granted at `now`: the rule that the starts break with it, counted where they count. */
function refusal(rules: readonly RateRule[], starts: readonly Start[], wanted: Start, now: number, slackMs: number) {
  return rules.find(rule => {
    const inWindow = starts.filter(start => start.countsAt + windowMs(rule) > now)
    if (sum(inWindow.map(start => tenthsOf(rule, start))) + tenthsOf(rule, wanted) > limitTenths(rule)) return true
    if (rule.burst === undefined) return false
    // For a burst a start that is still ahead may come at any instant from now on, so at worst now.
    const places = starts.map(start => ({ at: Math.min(start.countsAt, now), tenths: shapedTenths(rule, start) }))
    const tenthMs = windowMs(rule) / limitTenths(rule)
    const early = Math.max(rule.burst * 10 - tenthsOf(rule, wanted), 0) * tenthMs
    return places.some(({ at }) => {
      const since = sum(places.filter(place => place.at >= at).map(place => place.tenths))
      return at + since * tenthMs > now + early + slackMs
    })
  })
}

/** The sentence itself: the rule that real launches break in some window, or some stretch, that `last` is in. */
function breach(rules: readonly RateRule[], starts: readonly Start[], last: Start) {
  const launches = [...starts, last]
  const instants = launches.map(start => start.launchAt)
  return rules.find(rule => {
    const over = instants.some(from => {
      if (from > last.launchAt || last.launchAt >= from + windowMs(rule)) return false
      const inWindow = launches.filter(({ launchAt }) => launchAt >= from && launchAt < from + windowMs(rule))
      return sum(inWindow.map(start => tenthsOf(rule, start))) > limitTenths(rule)
    })
    if (over || rule.burst === undefined) return over
    const burst = Math.max(rule.burst * 10, tenthsOf(rule, last))
    return instants.some(from =>
      instants.some(to => {
        if (from > last.launchAt || last.launchAt > to) return false
        const between = launches.filter(({ launchAt }) => launchAt >= from && launchAt <= to)
        const tenths = sum(between.map(start => shapedTenths(rule, start)))
        return tenths > burst + ((to - from) * limitTenths(rule)) / windowMs(rule) + 1e-6
      }),
    )
  })
}

const rulesOf = (shapes: 'windows' | 'all'): fc.Arbitrary<readonly RateRule[]> => {
  const per = fc.integer({ min: 10, max: 120 })
  const shape = shapes === 'windows' ? fc.constant('none') : fc.constantFrom('none', 'none', 'spread', 'burst')
  const rule = fc
    .record({
      ...{ limit: fc.integer({ min: 1, max: 8 }), tenths: fc.nat(9), per, shape, burst: fc.nat(40) },
      jitter: fc.constantFrom(undefined, undefined, 3, 10),
    })
    .chain(({ limit, tenths, per, shape, burst, jitter }) =>
      fc.constantFrom(undefined, undefined, 'a', 'b').map(of => {
        const most = of === undefined ? limit : limit + tenths / 10
        const shaped = { spread: { spread: true }, burst: { burst: Math.min(1 + burst / 10, most) }, none: {} }[shape]
        return { limit: most, per, jitter, ...shaped, ...(of && { of }) }
      }),
    )
  return fc.array(rule, { minLength: 1, maxLength: 3 }).map(rules => parseRate('rate', rules))
}

const amount = fc.oneof({ weight: 4, arbitrary: fc.nat(12) }, { weight: 1, arbitrary: fc.nat(90) })
const tenths = fc.dictionary(fc.constantFrom('a', 'b'), amount, { maxKeys: 2 })
const debts = fc.dictionary(fc.constantFrom('a', 'b'), fc.integer({ min: 0, max: 100 }), { maxKeys: 2 })
const which = fc.nat(1_000)

type Step =
  | { do: 'wait'; ms: number }
  | { do: 'grant'; tenths: Record<string, number>; graceMs: number; launchMs: number; prompt: boolean }
  | { do: 'confirm' | 'refund'; which: number }
  | { do: 'correct'; which: number; tenths: Record<string, number> }
  | { do: 'hold'; ms: number }
  | { do: 'change'; rules: readonly RateRule[] }
  | { do: 'copy' | 'store' }

const stepsOf = (shapes: 'windows' | 'all'): fc.Arbitrary<Step[]> => {
  const grant = fc
    .record({ tenths, graceMs: fc.oneof(fc.constant(0), fc.nat(60)), launch: fc.nat(60), prompt: fc.boolean() })
    .map(({ launch, ...step }): Step => ({ do: 'grant', ...step, launchMs: Math.min(launch, step.graceMs) }))
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 12, arbitrary: grant },
    {
      weight: 7,
      arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(25) }),
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('confirm' as const), which }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('refund' as const), which }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('correct' as const), which, tenths: debts }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(150) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('hold' as const), ms: fc.nat(30) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('change' as const), rules: rulesOf(shapes) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('copy' as const, 'store' as const) }) },
  )
  return fc.array(step, { minLength: 1, maxLength: 200, size: 'max' })
}

const costOf = (tenths: Record<string, number>): Cost =>
  Object.fromEntries(Object.entries(tenths).map(([unit, amount]) => [unit, amount / 10]))

/** A rate, sometimes with a copy beside it that went through JSON and must not be told from it, and the model of both. */
class World {
  now = 0
  refusals = 0
  grants = 0
  #rates: Rate[]
  #rules: readonly RateRule[]
  #starts: Start[] = []
  #heldUntil = -Infinity

  constructor(rules: readonly RateRule[]) {
    this.#rates = [new Rate(rules)]
    this.#rules = rules
  }
  get #remembered(): Start[] {
    return this.#starts.filter(start => !start.refunded && !start.forgotten)
  }
  get #longestMs(): number {
    return Math.max(...this.#rules.map(windowMs))
  }
  #send<T>(question: (rate: Rate) => T): T {
    const [answer, copied] = this.#rates.map(question)
    if (this.#rates.length > 1 && JSON.stringify(answer) !== JSON.stringify(copied)) {
      throw new Error(`the copy answers ${JSON.stringify(copied)}, not ${JSON.stringify(answer)}`)
    }
    return answer as T
  }
  #report(start: Start, command: (rate: Rate, grant: number) => void): void {
    this.#rates.forEach((rate, index) => {
      command(rate, start.numbers[index] as number)
    })
  }
  /** One of the starts that the rate has not begun to forget, nor will before it hears of them. */
  #pick(which: number, fits: (start: Start) => boolean): Start | undefined {
    const known = this.#remembered.filter(start => start.countsAt + this.#longestMs > this.now && fits(start))
    return known[which % known.length]
  }

  step(step: Step): void {
    if (step.do === 'wait') this.now += step.ms
    else if (step.do === 'grant') this.grant(step)
    else if (step.do === 'confirm') this.confirm(step.which)
    else if (step.do === 'refund') {
      const start = this.#pick(step.which, ({ confirmed }) => !confirmed)
      if (!start) return
      this.#report(start, (rate, grant) => rate.refund(grant))
      start.refunded = true
    } else if (step.do === 'correct') {
      const start = this.#pick(step.which, () => true)
      if (!start) return
      this.#report(start, (rate, grant) => rate.correct(grant, costOf(step.tenths)))
      start.tenths = { ...start.tenths, ...step.tenths }
    } else if (step.do === 'hold') {
      this.#heldUntil = Math.max(this.#heldUntil, this.now + step.ms)
      for (const rate of this.#rates) rate.hold(this.now + step.ms)
    } else if (step.do === 'change') this.change(step.rules)
    else if (step.do === 'store') this.#rates = this.#rates.map(stored)
    else this.copy()
  }
  copy(): void {
    const [rate] = this.#rates as [Rate]
    this.#rates = [rate, stored(rate)]
    for (const start of this.#starts) start.numbers[1] = start.numbers[0] as number
  }
  confirm(which: number): void {
    const start = this.#pick(which, ({ confirmed, launchAt }) => {
      return !confirmed && launchAt <= this.now && launchAt + this.#longestMs > this.now
    })
    if (!start) return
    this.#report(start, (rate, grant) => rate.confirm(grant, start.launchAt))
    start.confirmed = true
    start.countsAt = start.launchAt
  }
  change(rules: readonly RateRule[]): void {
    for (const start of this.#starts) {
      if (start.countsAt + this.#longestMs <= this.now) start.forgotten = true
    }
    for (const rate of this.#rates) rate.change(rules, this.now)
    this.#rules = rules
  }
  grant(step: Step & { do: 'grant' }): void {
    const cost = costOf(step.tenths)
    const { now } = this
    const next = this.#send(rate => rate.next(cost, now))
    const blocking = this.#send(rate => rate.blocking(cost, now))
    const used = this.#send(rate => rate.used(now))
    const probes = this.#probe(cost, next)
    const numbers = this.#rates.map(rate => rate.grant(cost, now, step.graceMs))
    this.#send(rate => numbers[this.#rates.indexOf(rate)] === -1)
    const isGranted = numbers[0] !== -1
    const launchAt = now + step.launchMs
    const countsAt = now + step.graceMs
    const flags = { confirmed: false, refunded: false, forgotten: false }
    const start: Start = { numbers, launchAt, countsAt, tenths: step.tenths, ...flags }
    const reported = `at ${now}, cost ${JSON.stringify(cost)}, rules ${JSON.stringify(this.#rules)}`
    const fail = (problem: string): never => {
      throw new Error(`${problem} ${reported}`)
    }

    const remembered = this.#remembered
    // Answers agree with one another and with what is in force.
    if (isGranted !== next <= now) fail(`next() said ${next}, grant() ${numbers[0]}`)
    if (isGranted !== (blocking === undefined)) fail('blocking() and grant() disagree')
    if (blocking && blocking.until !== next) fail('blocking() and next() disagree')
    for (const { rule, used: amount } of used) {
      const counted = remembered.filter(each => each.countsAt + windowMs(rule) > now)
      if (amount !== sum(counted.map(each => tenthsOf(rule, each))) / 10) fail(`used() said ${amount}`)
    }
    if (probes !== '') fail(probes)
    if (isGranted) {
      this.grants++
      // Never over: whatever the launches yet to come, and nothing granted without room for it.
      const broken = breach(this.#rules, remembered, start)
      if (broken) fail(`too many launches for ${JSON.stringify(broken)}`)
      if (now < this.#heldUntil) fail('granted during a hold')
      if (refusal(this.#rules, remembered, start, now, 1e-6)) fail('granted without room')
      this.#starts.push(start)
      if (step.prompt && launchAt === now) this.confirm(this.#starts.length)
    } else {
      this.refusals++
      // And used: never refused without a cause.
      const held = now < this.#heldUntil
      if (!held && !refusal(this.#rules, remembered, start, now, -1e-6)) fail('refused without a cause')
    }
  }
  /** Whether a grant at next() succeeds and one just before it fails, tried on copies. */
  #probe(cost: Cost, next: number): string {
    if (next <= this.now) return ''
    const [rate] = this.#rates as [Rate]
    const tooMuch = this.#rules.some(({ unit, limit }) => unit !== undefined && (cost[unit] ?? 0) > limit)
    if ((next === Infinity) !== tooMuch || (rate.impossible(cost) !== undefined) !== tooMuch)
      return 'wrongly impossible'
    if (next === Infinity) return stored(rate).grant(cost, 1e9, 0) === -1 ? '' : 'granted the impossible'
    // Windows are exact to the last bit; a spread adds fractions of its own.
    const slackMs = this.#rules.some(rule => rule.burst !== undefined) ? 1e-6 : 0
    if (stored(rate).grant(cost, next + slackMs, 0) === -1) return `refused at its own next(), ${next}`
    const before = slackMs ? next - slackMs : step(next, -1n)
    return stored(rate).grant(cost, before, 0) === -1 ? '' : `granted before its next(), ${next}`
  }
}

for (const shapes of ['windows', 'all'] as const) {
  test(`rate: windows never exceed the limit, and no start waits without a cause, against brute force (${shapes})`, t => {
    let grants = 0
    let refusals = 0
    fc.assert(
      fc.property(rulesOf(shapes), stepsOf(shapes), (rules, steps) => {
        const world = new World(rules)
        for (const step of steps) world.step(step)
        grants += world.grants
        refusals += world.refusals
      }),
      { numRuns: runs, includeErrorInReport: true },
    )
    t.true(grants > runs * 8 && refusals > runs * 8, `too quiet: ${grants} grants, ${refusals} refusals`)
  })
}

test('rate: windows never exceed the limit even if the clock jumps back, against brute force', t => {
  const jump = fc.record({
    ms: fc.integer({ min: -120, max: 150 }),
    tenths,
    graceMs: fc.constantFrom(0, 0, 20),
    launch: fc.nat(20),
    which,
  })
  let grants = 0
  fc.assert(
    fc.property(rulesOf('all'), fc.array(jump, { maxLength: 80, size: 'max' }), (rules, jumps) => {
      const rate = new Rate(rules)
      const starts: Start[] = []
      let now = 0
      for (const { ms, tenths, graceMs, launch, which } of jumps) {
        now += ms
        const number = rate.grant(costOf(tenths), now, graceMs)
        if (number !== -1) {
          const launchAt = now + Math.min(launch, graceMs)
          const start = { numbers: [number], launchAt, countsAt: now + graceMs, tenths }
          starts.push({ ...start, confirmed: false, refunded: false, forgotten: false })
          const last = starts.at(-1) as Start
          const broken = breach(rules, starts.slice(0, -1), last)
          if (broken) throw new Error(`too many launches at ${now} for ${JSON.stringify(broken)}`)
          grants++
        }
        const one = starts[which % (starts.length * 2)]
        if (one) rate.confirm(one.numbers[0] as number, one.launchAt)
      }
    }),
    { numRuns: runs, includeErrorInReport: true },
  )
  t.true(grants > runs * 4, `too quiet: ${grants} grants`)
})

test('rate: a state that is written start by start equals one that is written whole', t => {
  const act = fc.record({
    kind: fc.constantFrom('grant', 'grant', 'confirm', 'refund', 'correct', 'hold', 'change', 'none'),
    ms: fc.nat(40),
    which: fc.nat(30),
    cost: fc.nat(4),
  })
  let written = 0
  fc.assert(
    fc.property(fc.array(act, { minLength: 30, maxLength: 60, size: 'max' }), acts => {
      const rate = rateOf({ limit: 9, per: 100 }, { limit: 20, per: 70, of: 'a', spread: true })
      const rows = new Map<number, readonly number[]>()
      rate.track()
      let now = 0
      let last = 0
      for (const { kind, ms, which, cost } of acts) {
        now += ms
        const grant = Math.max(last - which, 0)
        if (kind === 'grant') last = Math.max(rate.grant({ a: cost, b: 1 }, now, 10), last)
        else if (kind === 'confirm') rate.confirm(grant, now)
        else if (kind === 'refund') rate.refund(grant)
        else if (kind === 'correct') rate.correct(grant, { a: cost + 1 })
        else if (kind === 'hold') rate.hold(now + ms)
        else rate.change(kind === 'none' ? [] : parseRate('rate', { limit: which + 1, per: 100 }), now)

        const { cleared, starts, gone, marks } = rate.changes()
        if (cleared) rows.clear()
        for (const row of starts) rows.set(row[0] as number, row)
        for (const number of gone) rows.delete(number)
        written += starts.length
        const inOrder = [...rows.values()].sort((a, b) => (a[2] as number) - (b[2] as number))
        const plain = Rate.from({ rules: rate.rules, ...marks, starts: inOrder }).state()
        const width = rate.state().units.length + 3
        const whole = rate.state()
        const sorted = (starts: readonly (readonly number[])[]) =>
          starts
            .map(row => Array.from({ length: width }, (_, i) => row[i] ?? 0))
            .sort((a, b) => (a[2] as number) - (b[2] as number) || (a[0] as number) - (b[0] as number))
        if (
          JSON.stringify({ ...plain, starts: sorted(plain.starts) }) !==
          JSON.stringify({ ...whole, starts: sorted(whole.starts) })
        ) {
          throw new Error(`${JSON.stringify(plain)} is not ${JSON.stringify(whole)}`)
        }
      }
    }),
    { numRuns: runs, includeErrorInReport: true },
  )
  t.true(written > runs * 4, `too quiet: ${written} rows`)
})

test('rate: the instant at which a start counts can be read while the start is remembered', t => {
  const rate = rateOf({ limit: 2, per: 100 })
  const grant = rate.grant(undefined, 5, 10)
  t.is(rate.countsAt(grant), 15)
  rate.confirm(grant, 7)
  t.is(rate.countsAt(grant), 7)
  rate.refund(grant)
  t.is(rate.countsAt(grant), undefined)
})

test('rate: a rule that was stored has all its fields again, also those that the windows do not know', t => {
  const rule = { ...parseRate('rate', { limit: 2, per: '1s', burst: 1 })[0], jitterMs: 20 } as RateRule

  const [again] = stored(new Rate([rule])).rules

  t.deepEqual(again, rule)
})
