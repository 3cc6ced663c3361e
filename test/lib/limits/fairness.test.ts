import test from 'ava'
import fc from 'fast-check'
import {
  clockAfterStart,
  clockBound,
  leastWeight,
  mostWeight,
  tagAfterChange,
  tagAfterReturn,
  tagAfterStart,
  tagOnArrival,
} from '../../../lib/limits/fairness.ts'
import { type Turn, Turns } from '../../../lib/limits/turns.ts'

/** A key as a backlog holds it: the smallest use of fairness.ts that starts jobs. */
class Key implements Turn {
  readonly name: string
  readonly weight: number
  tie = 0
  jobs = 0
  #at = -1
  #tag = 0
  readonly #accesses: { count: number }

  constructor(name: string, weight: number, accesses: { count: number }) {
    this.name = name
    this.weight = weight
    this.#accesses = accesses
  }
  get at(): number {
    return this.#at
  }
  set at(at: number) {
    this.#accesses.count++
    this.#at = at
  }
  get tag(): number {
    this.#accesses.count++
    return this.#tag
  }
  set tag(tag: number) {
    this.#tag = tag
  }
}

function isBefore(a: Turn, b: Turn): boolean {
  return a.tag < b.tag || (a.tag === b.tag && a.tie < b.tie)
}

class Sharing {
  clock = 0
  readonly turns = new Turns<Key>()
  readonly accesses = { count: 0 }
  /** The keys that have jobs. A key without jobs is forgotten. */
  readonly known = new Map<string, Key>()
  #puts = 0

  put(name: string, weight = 1, jobs = 1): void {
    let key = this.known.get(name)
    if (!key) {
      key = new Key(name, weight, this.accesses)
      key.tag = tagOnArrival(this.clock, weight)
      key.tie = this.#puts++
      this.known.set(name, key)
      this.turns.add(key)
    }
    key.jobs += jobs
  }
  start(): string | undefined {
    const key = this.turns.first
    if (!key) return undefined
    const { tag } = key
    key.tag = tagAfterStart(this.clock, tag, key.weight)
    this.clock = clockAfterStart(this.clock, tag)
    if (--key.jobs > 0) this.turns.moved(key)
    else {
      this.turns.remove(key)
      this.known.delete(key.name)
    }
    return key.name
  }
  startMany(count: number): Map<string, number> {
    const starts = new Map<string, number>()
    for (let i = 0; i < count; i++) {
      const name = this.start() as string
      starts.set(name, (starts.get(name) ?? 0) + 1)
    }
    return starts
  }
  block(name: string): void {
    this.turns.remove(this.known.get(name) as Key)
  }
  unblock(name: string): void {
    this.turns.add(this.known.get(name) as Key)
  }
}

const weights = fc.oneof(
  fc.double({ min: leastWeight, max: mostWeight, noNaN: true }),
  fc.constantFrom(leastWeight, 1, mostWeight),
)

test('fairness: keys of equal weight take turns, beginning with the one that put first', t => {
  const sharing = new Sharing()
  for (const name of ['a', 'b', 'c']) sharing.put(name, 1, 9)

  t.is(Array.from({ length: 7 }, () => sharing.start()).join(''), 'abcabca')
})

test('fairness: a key of weight 3 has three turns where one of weight 1 has one', t => {
  const sharing = new Sharing()
  sharing.put('heavy', 3, 999)
  sharing.put('light', 1, 999)

  t.deepEqual(
    sharing.startMany(40),
    new Map([
      ['heavy', 30],
      ['light', 10],
    ]),
  )
})

test('fairness: with any weights, no key is more than a turn of each away from its share', t => {
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.array(weights, { minLength: 2, maxLength: 8 }),
        fc.integer({ min: 1, max: 3_000 }),
        (all, count) => {
          const sharing = new Sharing()
          for (const [i, weight] of all.entries()) sharing.put(String(i), weight, Infinity)

          const starts = sharing.startMany(count)

          const service = all.map((weight, i) => (starts.get(String(i)) ?? 0) / weight)
          for (const [i, a] of service.entries()) {
            for (const [j, b] of service.entries()) {
              const bound = 1 / (all[i] as number) + 1 / (all[j] as number)
              if (a - b > bound * (1 + 1e-6)) return false
            }
          }
          return true
        },
      ),
    ),
  )
})

test('fairness: over a long run every share is within 5 % of its weight', t => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 2, maxLength: 6 }), all => {
        const sharing = new Sharing()
        for (const [i, weight] of all.entries()) sharing.put(String(i), weight, Infinity)
        const total = all.reduce((sum, weight) => sum + weight, 0)
        const count = 20_000

        const starts = sharing.startMany(count)

        return all.every((weight, i) => {
          const share = ((starts.get(String(i)) ?? 0) / count) * (total / weight)
          return share > 0.95 && share < 1.05
        })
      }),
      { numRuns: 50 },
    ),
  )
})

test('fairness: a key that puts one job at a time does not overtake one that waits', t => {
  const sharing = new Sharing()
  sharing.put('waits', 1, 100)
  const order: string[] = []

  for (let i = 0; i < 20; i++) {
    sharing.put('returns')
    order.push(sharing.start() as string)
  }

  t.is(order.filter(name => name === 'waits').length, 10)
})

test('fairness: no key starves, whichever keys come, go, are blocked and return', t => {
  const event = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    kind: fc.constantFrom('put', 'put', 'block', 'unblock', 'start', 'start', 'start'),
  })
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(event, { minLength: 200, maxLength: 600 }), events => {
        const sharing = new Sharing()
        sharing.put('waits', 1, Infinity)
        const blocked = new Set<string>()
        let since = 0
        for (const { name, kind } of events) {
          if (kind === 'put') sharing.put(name, name === 'a' ? 3 : 1)
          else if (kind === 'block' && sharing.known.has(name) && !blocked.has(name)) {
            blocked.add(name)
            sharing.block(name)
          } else if (kind === 'unblock' && blocked.delete(name)) sharing.unblock(name)
          else if (kind === 'start') {
            since = sharing.start() === 'waits' ? 0 : since + 1
            // One turn of each of three keys, one more of each that returns, and four of the key of weight 3.
            if (since > 3 * 2 + 4 + 1) return false
          }
        }
        return true
      }),
    ),
  )
})

test('fairness: a blocked key that returns is next, and does not make up for the turns that it missed', t => {
  const sharing = new Sharing()
  for (const name of ['a', 'b']) sharing.put(name, 1, Infinity)
  sharing.startMany(2)
  sharing.block('a')
  sharing.startMany(50)

  sharing.unblock('a')

  const order = Array.from({ length: 20 }, () => sharing.start())
  t.is(order[0], 'a')
  t.true(order.filter(name => name === 'a').length <= 11)
})

test('fairness: with 99,999 of 100,000 keys blocked, a start costs what it costs with one key', t => {
  const one = new Sharing()
  one.put('free', 1, Infinity)
  const many = new Sharing()
  many.put('free', 1, Infinity)
  for (let i = 1; i < 100_000; i++) {
    many.put(String(i), 1, Infinity)
    many.block(String(i))
  }
  one.accesses.count = many.accesses.count = 0

  one.startMany(1_000)
  many.startMany(1_000)

  t.is(many.accesses.count, one.accesses.count)
})

test('fairness: with 100,000 free keys a start moves a dozen keys at most', t => {
  const sharing = new Sharing()
  for (let i = 0; i < 100_000; i++) sharing.put(String(i), 1, Infinity)
  sharing.accesses.count = 0

  sharing.startMany(10_000)

  t.true(sharing.accesses.count / 10_000 < 15, `${sharing.accesses.count / 10_000} accesses for each start`)
})

test('fairness: a job that was claimed and not launched gives its key the turn back', t => {
  t.is(tagAfterReturn(0.5, tagAfterStart(0.5, 2, 4), 4), 2)
  t.is(tagAfterReturn(7, tagAfterStart(0.5, 2, 4), 4), 7)
})

test('fairness: a key that becomes heavier does not wait for the turn that its old weight gave it', t => {
  t.is(tagAfterChange(10, tagOnArrival(10, leastWeight), 1), 11)
  t.is(tagAfterChange(10, 10.5, leastWeight), 10.5)
})

test('fairness: setting the clock back changes no order, and single steps keep three digits at its bound', t => {
  const sharing = new Sharing()
  sharing.clock = clockBound
  for (const [i, weight] of [1, 2, 3, mostWeight].entries()) sharing.put(String(i), weight, Infinity)
  sharing.startMany(100)
  const before = [...sharing.turns].sort((a, b) => (isBefore(a, b) ? -1 : 1)).map(({ name }) => name)

  sharing.turns.rebase(clockBound)
  sharing.clock -= clockBound

  t.deepEqual(
    [...sharing.turns].sort((a, b) => (isBefore(a, b) ? -1 : 1)).map(({ name }) => name),
    before,
  )
  const step = tagOnArrival(clockBound, mostWeight) - clockBound
  t.true(Math.abs(step * mostWeight - 1) < 1e-3)
})
