/**
 * Whatever queues of one backlog declare, set, put and do, and however the wall clock jumps, the checkers find that the
 * rule which they share was kept by all of them together, that they took turns, and that everything ran in the end.
 * `RULE_SEED` chooses the schedules.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { type Rule, Throttled } from '../../lib/index.ts'
import type { Task } from '../../lib/run/task.ts'
import { assertHolds, History, type Invariant, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, sharedBacklog, test } from '../support/backlog-under-test.ts'
import { randomOf } from '../support/random.ts'

const seed = Number(process.env.RULE_SEED ?? 1)
const judgedHere = ['I5', 'I29', 'I30'] as const
type Queue = DispatchQueue<string, void>

/** Runs a schedule, and returns how often each invariant was judged. */
async function run(round: number): Promise<Readonly<Record<Invariant, number>>> {
  const random = randomOf(seed * 1_000 + round)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const clock = new VirtualClock()
  const history = new History({ clock })
  const backlog = sharedBacklog()
  const bodies = new Set<(error?: Error) => void>()
  const handler = (payload: string, task: Task): Promise<void> => {
    if (payload === 'short') return Promise.resolve()
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        bodies.delete(end)
        if (round % 3 === 1) task.spent({ tokens: Math.floor(random() * 4) })
        if (error) reject(error)
        else resolve()
      }
      bodies.add(end)
    })
  }
  // Units in a third of the schedules, and another rule of their own for some queues.
  const unit = round % 3 === 1 ? { of: 'tokens' } : {}
  const gateway = (): Rule => ({ name: 'gateway', limit: 3 + Math.floor(random() * 4), per: pick([50, 200]), ...unit })
  const [declared, own] = [gateway(), { limit: 4, per: 120 }]
  const queues: Queue[] = ['a', 'b', 'c'].map((name, i) => {
    const rate = i === 2 && round % 2 === 1 ? [declared, own] : [declared]
    const cost = i === 1 && round % 3 === 1 ? { tokens: 2 } : undefined
    const options = { clock, backlog, name, rate, width: 1 + Math.floor(random() * 4), ...(cost && { cost }) }
    const watch = { process: name, attempts: 1, ...(cost && { cost }) }
    return history.watch(record => new DispatchQueue<string, void>(record(handler), options), watch)
  })
  for (const queue of queues) queue.on('failed', () => {})
  await Promise.all(queues.map(queue => queue.ready()))
  const ids: (readonly [Queue, string])[] = []
  for (let step = 0; step < 100; step++) {
    const queue = pick(queues)
    const kind = random()
    if (kind < 0.4) {
      const many = 1 + Math.floor(random() * 5)
      const tokens = round % 3 === 1 && random() < 0.7 ? { cost: { tokens: Math.floor(random() * 4) } } : {}
      const jobs = await queue.putMany(
        Array.from({ length: many }, () => pick(['short', 'long'])),
        () => ({ ...tokens, ...(random() < 0.1 && { delay: 60 }) }),
      )
      ids.push(...jobs.map(({ id }) => [queue, id] as const))
    } else if (kind < 0.65) {
      const holds = new Throttled(40, { rule: 'gateway' })
      pick([...bodies])?.(pick([undefined, undefined, undefined, undefined, new Error('no'), holds]))
    } else if (kind < 0.68) {
      queue.rate = random() < 0.2 ? undefined : [gateway(), ...(random() < 0.3 ? [own] : [])]
    } else if (kind < 0.69) await queue.clearOverrides('rate')
    else if (kind < 0.71) queue.width = pick([0, 1, 2, 5])
    else if (kind < 0.73) void queue.pause()
    else if (kind < 0.77) queue.resume()
    else if (kind < 0.8 && ids.length > 0) {
      const [of, id] = pick(ids)
      await of.cancel(id)
    } else if (kind < 0.81) {
      const ms = pick([-86_400_000, -500, 500])
      clock.jumpWall(ms)
      history.add({ kind: 'jump', ms })
    } else await clock.advance(Math.floor(random() * 60))
    await clock.settle()
  }
  const left = (): number =>
    queues.reduce((sum, { counts }) => sum + counts.pending + counts.delayed + counts.underway, 0)
  for (const queue of queues) {
    queue.resume()
    queue.width = 5
  }
  for (let tries = 3_000; tries > 0 && left() > 0; tries--) {
    for (const end of [...bodies]) end()
    await clock.advance(20)
    await turn()
  }
  if (left() > 0) throw new Error(`${left()} of ${ids.length} jobs did not end`)
  for (const queue of queues) await history.inventory(queue)
  await Promise.all(queues.map(queue => queue.stop({ cancelUnderway: true })))
  return assertHolds(history, { lateMs: 100 }).judged
}

test('a named rule holds over all queues in random schedules of puts, endings, holds, settings and clock jumps', async t => {
  const rounds = durable() ? 3 : 12
  const judged: Record<string, number> = {}
  for (let round = 0; round < rounds; round++) {
    await t.notThrowsAsync(async () => {
      const counts = await run(round)
      for (const invariant of judgedHere) judged[invariant] = (judged[invariant] ?? 0) + counts[invariant]
    }, `RULE_SEED=${seed}, round ${round}`)
  }
  for (const invariant of judgedHere) t.true((judged[invariant] as number) > 0, `${invariant} was never judged`)
})
