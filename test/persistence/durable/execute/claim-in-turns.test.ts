/** A claim in which keys take turns. */
import test from 'ava'
import type { Ordered } from '../../../../lib/decisions/order.ts'
import { unlimited } from '../../../../lib/limits/limit.ts'
import type { Obstacle } from '../../../../persistence/durable/execute/admission.ts'
import { claimInTurns, type KeyInTurn, KeysInTurn } from '../../../../persistence/durable/execute/claim-in-turns.ts'
import { ClaimReply } from '../../../../persistence/durable/execute/claim-reply.ts'

interface Key extends KeyInTurn {
  readonly name: string
  readonly jobs: Ordered[]
}
const refusal = { why: 'width', until: Infinity, rule: undefined, never: false } as const

/** Claims from keys with so many jobs each, and names the keys in the order of their starts. */
function claim(
  jobsOf: Readonly<Record<string, readonly number[]>>,
  {
    most = 9,
    isFair = true,
    weights = {} as Record<string, number>,
    obstacleOf = (_: string): Obstacle | undefined => undefined,
  },
): { started: string; passed: number; heldUp: string[] } {
  const queue = { keyClock: 0 }
  const inTurn = new KeysInTurn<Key>(queue, isFair)
  let seq = 0
  for (const [name, priorities] of Object.entries(jobsOf)) {
    const jobs = priorities.map(priority => ({ priority, seq: ++seq }))
    const [first] = jobs as [Ordered]
    const { [name]: weight = 1 } = weights
    const turn = { tag: isFair ? 1 / weight : first.priority, tie: first.seq, at: -1 }
    inTurn.add({ ...unlimited, ...turn, name, jobs, weight })
  }
  const reply = new ClaimReply({ now: 0, most, isRated: false, graceMs: 0 })
  const [started, heldUp]: [string[], string[]] = [[], []]
  const leaves = ({ jobs }: Key): Ordered | undefined => {
    jobs.shift()
    return jobs[0]
  }
  const passed = claimInTurns<Key, Ordered>(
    reply,
    {
      inTurn,
      next: () => inTurn.next && { key: inTurn.next, job: inTurn.next.jobs[0] as Ordered },
      obstacle: (_job, { name }) => obstacleOf(name),
      holdUp: ({ name }) => void heldUp.push(name),
      take: (job, key) => {
        started.push(key.name)
        const facts = { ...job, id: '', payload: '', queuedAt: 0, attempt: 1, fence: 1 }
        reply.take(facts, facts, key.name, undefined, 0)
        return leaves(key)
      },
      passOver: (_job, key) => leaves(key),
    },
    () => 9,
  )
  return { started: started.join(''), passed, heldUp }
}

test('keys of one weight start a job each, and a key of twice the weight starts two', t => {
  t.is(claim({ a: [0, 0, 0], b: [0, 0, 0] }, {}).started, 'ababab')
  t.is(claim({ a: [0, 0, 0, 0], b: [0, 0] }, { weights: { a: 2 } }).started.replaceAll(/b/g, ''), 'aaaa')
  t.is(claim({ a: [0, 0, 0, 0], b: [0, 0] }, { weights: { a: 2 }, most: 3 }).started.match(/b/g)?.length, 1)
})

test('where priority comes first, the key of the most important job is next', t => {
  t.is(claim({ a: [1, 1], b: [0, 2], c: [1] }, { isFair: false }).started, 'baacb')
})

test('a key that a limit holds up is left out, and the others go on', t => {
  const heldUp = claim(
    { a: [0, 0], b: [0, 0] },
    { obstacleOf: key => (key === 'a' ? { kind: 'keyWaits', refusal } : undefined) },
  )

  t.deepEqual(heldUp, { started: 'bb', passed: 1, heldUp: ['a'] })
})

test('a job that can never start is passed over, and its key keeps its turn', t => {
  let fails = true
  const obstacleOf = (): Obstacle | undefined => {
    const first = fails
    fails = false
    return first ? { kind: 'fails', error: '{}' } : undefined
  }

  t.deepEqual(claim({ a: [0, 0], b: [0] }, { obstacleOf }), { started: 'ab', passed: 1, heldUp: [] })
})

test('a limit of the queue ends the claim, whichever key is next', t => {
  const obstacleOf = (): Obstacle => ({ kind: 'queueWaits', refusal, cost: undefined })

  t.deepEqual(claim({ a: [0], b: [0] }, { obstacleOf }), { started: '', passed: 1, heldUp: [] })
})
