import test from 'ava'
import fc from 'fast-check'
import { Rate } from '../../../lib/rate/rate.ts'
import { parseRate, withLearned } from '../../../lib/rate/rules.ts'
import { fullest } from '../../support/fullest-window.ts'

const learning = (parts: object = {}): Rate =>
  new Rate(parseRate('rate', { limit: 2, per: 1_000, jitter: 'learn', ...parts }))

/** Starts a job as early as the rate allows, but not before `now`. */
const startAt = (rate: Rate, now: number, cost?: Record<string, number>): { grant: number; at: number } => {
  const at = Math.max(rate.next(cost, now), now)
  const grant = rate.grant(cost, at, 0)
  if (grant < 0) throw new Error('refused at its own next()')
  rate.confirm(grant, at)
  return { grant, at }
}
/** Starts as many jobs, one after the other, each as early as the rate allows. */
const startMany = (rate: Rate, count: number, now: number): { grant: number; at: number }[] => {
  const starts: { grant: number; at: number }[] = []
  for (let i = 0; i < count; i++) starts.push(startAt(rate, starts.at(-1)?.at ?? now))
  return starts
}
const jitterOf = (rate: Rate, rule = 0): number | undefined => rate.rules[rule]?.jitterMs
const stored = (rate: Rate): Rate => Rate.from(JSON.parse(JSON.stringify(rate.state())))
/** Refusals until the jitter is that long. */
const learn = (rate: Rate, jitterMs: number, now: number): number => {
  let at = now
  for (let i = 0; i < 100 && (jitterOf(rate) as number) < jitterMs; i++) {
    const start = startMany(rate, 3, at)[2] as { grant: number; at: number }
    rate.refused(start.grant, start.at)
    at = start.at
  }
  return at
}

test('learn: the jitter is 0 at first and is shown with the rule', t => {
  const rate = learning()

  t.deepEqual(rate.rules, [{ limit: 2, perMs: 1_000, unit: undefined, burst: undefined, jitterMs: 0, jitter: 'learn' }])
  t.deepEqual(parseRate('rate', rate.rules), rate.rules)
})

test('learn: a refusal of a start that came as early as the rule allowed lengthens the window, at once', t => {
  const rate = learning()
  const [, , third] = startMany(rate, 3, 0)

  rate.refused(third?.grant as number, 1_005)

  t.is(jitterOf(rate), 10)
  t.is(rate.next(undefined, 1_005), 1_010)
  startAt(rate, 1_010)
  t.is(rate.next(undefined, 1_010), 2_010)
  t.like(rate.blocking(undefined, 1_010), { rule: { jitterMs: 10 } })
})

test('learn: refusals that arrive together count once, because a longer jitter would have held back all of them', t => {
  const rate = learning()
  const starts = startMany(rate, 4, 0)

  for (const { grant } of starts.slice(2)) rate.refused(grant, 1_005)

  t.is(jitterOf(rate), 10)
})

test('learn: each refusal in spite of the present jitter lengthens it by half, or by a hundredth of per', t => {
  const rate = learning()
  const seen: (number | undefined)[] = []
  let at = 0
  for (let i = 0; i < 6; i++) {
    const start = startMany(rate, 3, at)[2] as { grant: number; at: number }
    rate.refused(start.grant, start.at)
    at = start.at
    seen.push(jitterOf(rate))
  }

  t.deepEqual(seen, [10, 20, 30, 45, 67.5, 101.25])
})

test('learn: a refusal of a start whose window was not nearly full has another cause', t => {
  for (const [lateMs, jitterMs] of [
    [99, 109],
    [100, 0],
    [5_000, 0],
  ] as const) {
    const rate = learning()
    startMany(rate, 2, 0)
    const { grant, at } = startAt(rate, 1_000 + lateMs)

    rate.refused(grant, at)

    t.is(jitterOf(rate), jitterMs, `${lateMs} ms late`)
  }
  const rate = learning()
  for (const { grant } of startMany(rate, 2, 0)) rate.refused(grant, 1)
  t.is(jitterOf(rate), 0)
})

test('learn: only rules with `learn` whose window was nearly full learn', t => {
  const rules = [
    { limit: 2, per: 1_000, jitter: 'learn' },
    { limit: 50, per: 10_000, jitter: 'learn' },
    { limit: 2, per: 1_000, jitter: 5 },
    { limit: 10, per: 900, of: 'tokens', jitter: 'learn' },
  ]
  const rate = new Rate(parseRate('rate', rules))
  startAt(rate, 0, { tokens: 1 })
  startAt(rate, 0, { tokens: 1 })
  const third = startAt(rate, 0, { tokens: 1 })
  t.is(third.at, 1_005)

  rate.refused(third.grant, third.at)

  t.deepEqual(
    rate.rules.map(({ jitterMs }) => jitterMs),
    [15, 0, 5, 0],
  )
})

test('learn: a rule of units learns from the sum of their costs', t => {
  const rate = new Rate(parseRate('rate', { limit: 10, per: 1_000, of: 'tokens', jitter: 'learn' }))
  startAt(rate, 0, { tokens: 6 })
  startAt(rate, 200, { tokens: 4 })
  const third = startAt(rate, 200, { tokens: 5 })
  t.is(third.at, 1_000)

  rate.refused(third.grant, third.at)

  t.is(jitterOf(rate), 10)
})

test('learn: a hundred full windows without a refusal shorten the jitter by a tenth, idle ones do not', t => {
  const rate = learning()
  let at = learn(rate, 10, 0)
  for (let i = 0; i < 1_000; i++) at = startAt(rate, at + 10_000).at
  t.is(jitterOf(rate), 10)

  at = startMany(rate, 2 * 99, at + 10_000).at(-1)?.at as number
  t.is(jitterOf(rate), 10)
  at = startMany(rate, 2, at).at(-1)?.at as number
  t.is(jitterOf(rate), 9)

  startMany(rate, 2 * 100 * 30, at)
  t.is(jitterOf(rate), 0, 'less than a thousandth of per is none')
})

test('learn: the jitter is never longer than per, and refusals beyond that had another cause', t => {
  const rate = learning()
  let at = learn(rate, 20, 0)
  at = startMany(rate, 2 * 101, at).at(-1)?.at as number
  t.is(jitterOf(rate), 18)
  at = learn(rate, 1_000, at)
  t.is(jitterOf(rate), 1_000)

  const refuseOne = (): void => {
    const start = startMany(rate, 3, at)[2] as { grant: number; at: number }
    rate.refused(start.grant, start.at)
    at = start.at
  }
  refuseOne()
  t.is(jitterOf(rate), 20, 'back to the last one with which nothing was refused for long')
  // From now on refusals teach nothing, for a thousand full windows.
  for (let i = 0; i < 300; i++) refuseOne()
  t.is(jitterOf(rate), 20)
  at = startMany(rate, 2 * 560, at).at(-1)?.at as number
  refuseOne()
  t.is(jitterOf(rate), 30)
})

test('learn: a reply that comes later than the start is remembered teaches nothing', t => {
  const refusedAfter = (ms: number): number | undefined => {
    const rate = learning()
    const [, , third] = startMany(rate, 3, 0)
    startMany(rate, 1, (third?.at as number) + ms)
    rate.refused(third?.grant as number, (third?.at as number) + ms)
    return jitterOf(rate)
  }

  t.is(refusedAfter(6_900), 10)
  t.is(refusedAfter(8_100), 0)
})

test('learn: the learned jitter survives a change of the rate that keeps the window and the unit', t => {
  const rate = learning()
  const at = learn(rate, 20, 0)
  const rule = { limit: 5, per: 1_000, jitter: 'learn' }

  rate.change(parseRate('rate', [{ limit: 1, per: 1_000 }, rule]), at)
  t.is(jitterOf(rate, 1), 20)
  rate.change(parseRate('rate', rate.rules), at)
  t.is(jitterOf(rate, 1), 20)
  rate.change(parseRate('rate', { ...rule, of: 'tokens' }), at)
  t.is(jitterOf(rate), 0)
  t.deepEqual(withLearned(parseRate('rate', { limit: 1, per: 1_000, jitter: 5 }), learning().rules), [
    { limit: 1, perMs: 1_000, unit: undefined, burst: undefined, jitterMs: 5 },
  ])
})

test('learn: a longer window counts starts again that had left the shorter one', t => {
  const rate = learning()
  startAt(rate, 0)
  startAt(rate, 500)
  const third = startAt(rate, 1_000)
  startAt(rate, 1_500)
  t.is(rate.used(1_995)[0]?.used, 2)

  rate.refused(third.grant, 1_995)

  // The start at 1,000 ms would leave at 2,000 ms.
  t.is(rate.next(undefined, 1_995), 2_010)
  t.is(rate.used(2_005)[0]?.used, 2)
})

test('learn: a stored rate has learned the same, and goes on alike', t => {
  const act = fc.record({
    kind: fc.constantFrom('start', 'start', 'start', 'refused', 'wait'),
    ms: fc.integer({ min: 0, max: 60 }),
    which: fc.nat(8),
  })
  let longest = 0
  fc.assert(
    fc.property(
      fc.constantFrom({}, { spread: true }, { burst: 1 }),
      fc.array(act, { maxLength: 200, size: 'max' }),
      (shape, acts) => {
        const rules = [
          { limit: 3, per: 100, jitter: 'learn', ...shape },
          { limit: 7, per: 130, jitter: 'learn' },
        ]
        let rate = new Rate(parseRate('rate', rules))
        const starts: { grant: number; at: number }[] = []
        let now = 0
        for (const { kind, ms, which } of acts) {
          if (kind === 'wait') now += ms
          else if (kind === 'start') {
            const next = rate.next(undefined, now)
            if (stored(rate).next(undefined, now) !== next) throw new Error('the stored rate differs')
            // A spread adds fractions of its own.
            const start = startAt(rate, Math.max(now, next) + ('limit' in shape ? 0 : 1e-6))
            starts.push(start)
            now = start.at
          } else {
            const refused = starts.at(-1 - which)
            const copy = stored(rate)
            if (refused) for (const one of [rate, copy]) one.refused(refused.grant, now)
            if (JSON.stringify(copy.state()) !== JSON.stringify(rate.state()))
              throw new Error('the stored rate differs')
            rate = copy
          }
          const jitters = rate.rules.map(({ jitterMs }) => jitterMs as number)
          longest = Math.max(longest, ...jitters)
          if (rate.rules.some(({ jitterMs = -1, perMs }) => jitterMs < 0 || jitterMs > perMs))
            throw new Error(`${jitters}`)
        }
        // Whatever was learned, the rule itself is kept.
        const instants = starts.map(({ at }) => at)
        if (fullest(instants, 100) > 3 || fullest(instants, 130) > 7) throw new Error('over the limit')
      },
    ),
    { numRuns: 200, includeErrorInReport: true },
  )
  t.true(longest > 10, `too quiet: the longest jitter was ${longest}`)
})

test('learn: a changed jitter is written with the changes of a rate', t => {
  const rate = learning()
  rate.track()
  const [, , third] = startMany(rate, 3, 0)
  rate.changes()

  rate.refused(third?.grant as number, 1_000)

  t.deepEqual(rate.changes().marks.windows[0]?.learned, { jitterMs: 10, provenMs: 0, quiet: 0, quietAt: 1_000 })
})
