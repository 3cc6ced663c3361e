/**
 * Whatever costs in whatever units: at the start of each job no window of any rule holds more than its limit, by the
 * costs as they are known then; no job overtakes another of its key; and no job waits for which all limits have room.
 *
 * Judged from outside, by brute force over all starts, at the first line of each body and whenever nothing moves.
 * `COST_SEED` chooses the schedule.
 */
import { VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, sharedBacklog, test } from '../support/backlog-under-test.ts'
import { randomOf } from '../support/random.ts'

const seed = Number(process.env.COST_SEED ?? 1)
type Cost = Record<string, number>
interface Rule {
  readonly limit: number
  readonly per: number
  readonly of?: string
}
interface Given {
  readonly n: number
  readonly key: string | undefined
  readonly priority: number
  readonly cost: Cost
}
interface Start extends Given {
  readonly at: number
  /** As corrected so far. */
  known: Cost
}

const ofQueue: readonly Rule[] = [
  { limit: 5, per: 300 },
  { limit: 14, per: 400, of: 'tokens' },
  { limit: 6, per: 700, of: 'images' },
]
const ofKeys: readonly Rule[] = [
  { limit: 9, per: 500, of: 'tokens' },
  { limit: 3, per: 250 },
]
const ofB: readonly Rule[] = [{ limit: 5, per: 900, of: 'images' }]
const keys = [undefined, 'a', 'b', 'c']
const rulesOf = (key: string | undefined): readonly Rule[] => (key === undefined ? [] : key === 'b' ? ofB : ofKeys)

/** The rule that has no room for the job among these starts. */
function refusing(rules: readonly Rule[], starts: readonly Start[], cost: Cost, now: number): Rule | undefined {
  const amount = (of: string | undefined, spent: Cost): number => (of === undefined ? 1 : (spent[of] ?? 0))
  return rules.find(({ limit, per, of }) => {
    const inWindow = starts.filter(({ at }) => at > now - per + 1e-6)
    return inWindow.reduce((sum, { known }) => sum + amount(of, known), amount(of, cost)) > limit + 1e-9
  })
}

async function run(round: number, steps: number): Promise<string[]> {
  const random = randomOf(seed * 1_000 + round)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const costOf = (): Cost => ({
    ...(random() < 0.8 && { tokens: pick([0, 1, 2, 3.5, 5, 9]) }),
    ...(random() < 0.4 && { images: pick([1, 2, 5]) }),
  })
  const clock = new VirtualClock()
  const wrong: string[] = []
  const starts: Start[] = []
  const waiting: Given[] = []
  const bodies: { readonly start: Start; spent(cost: Cost): void; end(): void }[] = []
  const startsOf = (key: string | undefined): Start[] => starts.filter(start => start.key === key)
  const blockedBy = (job: Given): Rule | undefined =>
    refusing(ofQueue, starts, job.cost, clock.now()) ??
    refusing(rulesOf(job.key), startsOf(job.key), job.cost, clock.now())
  const isBefore = (a: Given, b: Given): boolean => a.priority < b.priority || (a.priority === b.priority && a.n < b.n)
  const heads = (): Given[] =>
    waiting.filter(job => !waiting.some(other => other.key === job.key && isBefore(other, job)))
  const backlog = sharedBacklog()
  const open = () =>
    new DispatchQueue<number, void>(
      (n, task) => {
        const job = waiting.find(other => other.n === n) as Given
        const rule = blockedBy(job)
        if (rule) wrong.push(`${n} started at ${clock.now()} without room in ${JSON.stringify(rule)}`)
        if (!heads().includes(job)) wrong.push(`${n} has overtaken a job of its key`)
        waiting.splice(waiting.indexOf(job), 1)
        const start: Start = { ...job, at: clock.now(), known: job.cost }
        starts.push(start)
        return new Promise<void>(resolve => {
          const spent = (cost: Cost): void => {
            start.known = { ...start.known, ...cost }
            task.spent(cost)
          }
          bodies.push({ start, spent, end: resolve })
        })
      },
      {
        ...{ clock, backlog, name: 'costs', width: Infinity, rate: ofQueue, keys: { rate: ofKeys } },
        cost: n => ({ tokens: n % 4 }),
      },
    )
  let queue = open()
  queue.key('b').rate = ofB
  await queue.key('b').stored()
  let put = 0
  for (let step = 0; step < steps; step++) {
    const kind = random()
    if (kind < 0.4) {
      const n = put++
      const [key, priority] = [pick(keys), pick([0, 0, 0, 1])]
      const own = random() < 0.7 ? { cost: costOf() } : {}
      waiting.push({ n, key, priority, cost: own.cost ?? { tokens: n % 4 } })
      await queue.put(n, { key, priority, ...own })
    } else if (kind < 0.6 && bodies.length > 0) {
      const body = pick(bodies)
      body.spent(costOf())
      if (random() < 0.5) bodies.splice(bodies.indexOf(body), 1)[0]?.end()
    } else if (kind < 0.63 && durable()) {
      for (const { end } of bodies.splice(0)) end()
      await queue.stop()
      queue = open()
      await queue.ready()
    } else await clock.advance(pick([1, 10, 50, 100, 300]))
    await clock.settle()
    // The keys take turns, so the next job is one of those that their own keys let start. If the queue has room for
    // each of these, it has room for that one.
    const free = heads().filter(({ key, cost }) => !refusing(rulesOf(key), startsOf(key), cost, clock.now()))
    if (free.length > 0 && free.every(({ cost }) => !refusing(ofQueue, starts, cost, clock.now()))) {
      wrong.push(`${free.map(({ n }) => n).join()} wait at ${clock.now()} though every limit has room`)
    }
    if (wrong.length > 0) break
  }
  for (const { end } of bodies.splice(0)) end()
  for (let i = 0; i < 100 && waiting.length > 0; i++) {
    await clock.advance(200)
    for (const { end } of bodies.splice(0)) end()
  }
  if (waiting.length > 0) wrong.push(`${waiting.length} of ${put} jobs never started`)
  await clock.settle()
  await queue.stop()
  return wrong.map(what => `seed ${seed}, round ${round}: ${what}`)
}

test('random costs: every window of every rule is kept by the known costs, and no job waits without a cause', async t => {
  const [rounds, steps] = durable() ? [1, 80] : [25, 200]

  for (let round = 0; round < rounds; round++) t.deepEqual(await run(round, steps), [])
})
