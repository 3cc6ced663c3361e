import test from 'ava'
import fc from 'fast-check'
import { type Turn, Turns } from '../../../lib/limits/turns.ts'

function isBefore(a: Turn, b: Turn): boolean {
  return a.tag < b.tag || (a.tag === b.tag && a.tie < b.tie)
}

test('turns: first is always the smallest entry, whatever is added, moved and removed', t => {
  const change = fc.tuple(fc.nat(9), fc.nat(5))
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(change, { maxLength: 200 }), changes => {
        const turns = new Turns<Turn>()
        const all = Array.from({ length: 10 }, (_, i): Turn => ({ tag: 0, tie: i, at: -1 }))
        for (const [i, tag] of changes) {
          const key = all[i] as Turn
          if (tag === 0) {
            if (key.at >= 0) turns.remove(key)
          } else {
            key.tag = tag
            if (key.at >= 0) turns.moved(key)
            else turns.add(key)
          }
          const within = all.filter(({ at }) => at >= 0)
          const least = within.sort((a, b) => (isBefore(a, b) ? -1 : 1))[0]
          if (turns.first !== least || turns.size !== within.length) return false
        }
        return true
      }),
    ),
  )
})

test('turns: a key that goes behind all others takes constant time, however many there are', t => {
  const turns = new Turns<Turn>()
  let placed = 0
  class Counted implements Turn {
    tag = 1
    readonly tie: number
    #at = -1
    constructor(tie: number) {
      this.tie = tie
    }
    get at(): number {
      return this.#at
    }
    set at(at: number) {
      placed++
      this.#at = at
    }
  }
  for (let i = 0; i < 100_000; i++) turns.add(new Counted(i))
  placed = 0

  for (let i = 0; i < 10_000; i++) {
    const key = turns.first as Counted
    key.tag++
    turns.moved(key)
  }

  // It leaves its place and takes another one.
  t.is(placed, 2 * 10_000)
})

test('turns: a line that many keys have left gives back its memory and keeps its order', t => {
  const turns = new Turns<Turn>()
  const all = Array.from({ length: 1_000 }, (_, i): Turn => ({ tag: i, tie: 0, at: -1 }))
  for (const key of all) turns.add(key)
  const left = all.filter((_, i) => i % 97 === 0)

  for (const key of all) if (!left.includes(key)) turns.remove(key)

  t.deepEqual([...turns], left)
  t.true(left.every(({ at }) => at < 64))
})
