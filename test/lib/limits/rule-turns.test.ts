import test from 'ava'
import { RuleTurns, type RuleWait } from '../../../lib/limits/rule-turns.ts'
import { randomOf } from '../../support/random.ts'

const wait = (queue: number, parts: Partial<RuleWait> = {}): Omit<RuleWait, 'tag'> => ({
  ...{ queue, worker: 0, wants: 100, amount: 1, from: -Infinity, until: Infinity },
  ...parts,
})
/** Gives out `room` starts at one instant, as queues that ask in that order take them. Returns the starts of each. */
function share(turns: RuleTurns, room: number, queues: readonly number[], now = 0): number[] {
  let left = room
  return queues.map(queue => {
    let taken = 0
    while (left >= (turns.ahead(queue, now)?.amount ?? 0) + 1) {
      turns.started(queue, now)
      taken++
      left--
    }
    return taken
  })
}

test('turns: a queue waits for no turn if no other queue wants the rule, nor for itself', t => {
  const turns = new RuleTurns()
  t.is(turns.ahead(1, 0), undefined)
  turns.wait(wait(1))
  t.is(turns.ahead(1, 0), undefined)
  t.deepEqual(turns.ahead(2, 0), { amount: 1, until: Infinity, dueUntil: undefined })
})

test('turns: of two queues that begin to wait at one instant exactly one is first, in any order of numbers', t => {
  for (const [early, late] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const turns = new RuleTurns()
    turns.wait(wait(early))
    t.deepEqual(turns.ahead(late, 0), { amount: 1, until: Infinity, dueUntil: undefined })
    turns.wait(wait(late))

    t.is(turns.ahead(early, 0), undefined)
    t.deepEqual(turns.ahead(late, 0), { amount: 1, until: Infinity, dueUntil: undefined })
    t.is(turns.inOrder(0)[0]?.queue, early)
  }
})

test('turns: queues that wait are first in turn, one start after the other', t => {
  const turns = new RuleTurns()
  for (const queue of [1, 2, 3]) turns.wait(wait(queue))
  const order: (number | undefined)[] = []
  for (let i = 0; i < 7; i++) {
    const { queue } = turns.inOrder(0)[0] as RuleWait
    t.is(turns.ahead(queue, 0), undefined)
    order.push(queue)
    turns.started(queue, 0)
  }

  t.deepEqual(order, [1, 2, 3, 1, 2, 3, 1])
})

test('turns: capacity for many starts is shared evenly, in any order of requests', t => {
  for (const queues of [
    [1, 2, 3],
    [3, 1, 2],
    [2, 3, 1],
  ]) {
    const turns = new RuleTurns()
    for (const queue of [1, 2, 3]) turns.wait(wait(queue))
    t.deepEqual(share(turns, 30, queues), [10, 10, 10], `${queues}`)
  }
})

test('turns: a queue that wants little gets it, and others get the rest', t => {
  const turns = new RuleTurns()
  turns.wait(wait(1))
  turns.wait(wait(2, { wants: 3 }))

  t.deepEqual(share(turns, 20, [1, 2]), [17, 3])
})

test('turns: a queue that comes late is not before those that wait, and does not make up for the past', t => {
  const turns = new RuleTurns()
  turns.wait(wait(1))
  for (let i = 0; i < 50; i++) turns.started(1, 0)
  turns.wait(wait(2))

  t.deepEqual(share(turns, 10, [2, 1]), [5, 5])
})

test('turns: capacity is left only within the time for which a queue is waited for', t => {
  const turns = new RuleTurns()
  turns.wait(wait(1, { from: 100, until: 200 }))

  t.is(turns.ahead(2, 99), undefined)
  t.deepEqual(turns.ahead(2, 100), { amount: 1, until: 200, dueUntil: 200 })
  t.is(turns.ahead(2, 200), undefined)
  t.is(turns.inOrder(199)[0]?.queue, 1)
  t.is(turns.inOrder(200)[0], undefined)
})

test('turns: a queue that was not waited for has missed its turns, and one that is late is forgotten', t => {
  const turns = new RuleTurns()
  turns.wait(wait(1, { from: 100, until: 200 }))
  turns.wait(wait(2))
  for (let i = 0; i < 20; i++) turns.started(2, 50)
  t.deepEqual(share(turns, 10, [2, 1], 150), [5, 5])

  turns.started(2, 200)
  t.deepEqual(
    turns.waits.map(({ queue }) => queue),
    [2],
  )
})

test('turns: the sessions of a queue share its turns', t => {
  const turns = new RuleTurns()
  turns.wait(wait(1))
  turns.wait(wait(2, { worker: 1, wants: 1 }))
  turns.wait(wait(2, { worker: 2, wants: 1 }))
  t.is(turns.ahead(3, 0)?.amount, 2)

  t.deepEqual(share(turns, 9, [1, 2]), [7, 2])
  t.true(turns.leave(2, 1))
  t.false(turns.leave(2, 1))
  t.true(turns.leave(2, 2))
  t.is(turns.ahead(1, 0), undefined)
})

test('turns: the capacity left for others is as much as their starts take', t => {
  const turns = new RuleTurns()
  turns.wait(wait(1, { amount: 40, wants: 1 }))

  t.is(turns.ahead(2, 0)?.amount, 40)
})

test('turns: no waiting queue starves, whatever others do', t => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = randomOf(seed)
    const turns = new RuleTurns()
    const sinceOf = new Map<number, number>()
    turns.wait(wait(9))
    for (let step = 0; step < 400; step++) {
      const queue = 1 + Math.floor(random() * 9)
      if (random() < 0.3 && queue !== 9) {
        if (random() < 0.5) turns.wait(wait(queue, { wants: 1 + Math.floor(random() * 5) }))
        else turns.leave(queue, 0)
      }
      // There is always room for one start.
      if ((turns.ahead(queue, 0)?.amount ?? 0) > 0) continue
      turns.started(queue, 0)
      const others = (sinceOf.get(queue) ?? 0) + 1
      sinceOf.set(queue, others)
      if (queue === 9) sinceOf.clear()
      // Each other queue is at most twice before it: once that waits already, and once that has just come.
      for (const [other, starts] of sinceOf) t.true(starts <= 2, `queue ${other} started ${starts} times, seed ${seed}`)
    }
  }
})
