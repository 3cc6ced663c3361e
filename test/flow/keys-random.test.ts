/**
 * Whatever is put, ends and is set in whatever order, the checkers find that each key kept its width, its rate, its pause
 * and its holds, that keys shared, and that everything ran in the end. `KEY_SEED` chooses the schedules.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { type KeysOptions, Throttled } from '../../lib/index.ts'
import { assertHolds, History, type Invariant, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, test } from '../support/backlog-under-test.ts'
import { randomOf } from '../support/random.ts'

const seed = Number(process.env.KEY_SEED ?? 1)
const names = ['a', 'b', 'c', '__proto__']
const ofKeys = ['I7', 'I8', 'I24', 'I25', 'I26', 'I27'] as const
const perMs = 200
const retry = { attempts: 2, delay: 30, jitter: false }
const declarations: readonly KeysOptions[] = [
  { width: 2, rate: { limit: 4, per: perMs } },
  { width: 1, order: 'priority' },
  { weight: 2 },
]
/** On a file replies come in turns of the real event loop, in which no virtual time passes. */
const bounds = { lateMs: 100, slackMs: 0 }

interface Body {
  readonly key: string | undefined
  readonly end: (error?: Error) => void
}

/** Runs a schedule, and returns how often each invariant was judged. */
async function run(round: number): Promise<Readonly<Record<Invariant, number>>> {
  const random = randomOf(seed * 1_000 + round)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const clock = new VirtualClock()
  const history = new History({ clock })
  const bodies = new Set<Body>()
  const keys = declarations[round % declarations.length] as KeysOptions
  const handler = (_: string, { key }: { readonly key?: string | undefined }): Promise<void> =>
    new Promise((resolve, reject) => {
      const body: Body = {
        key,
        end: error => {
          bodies.delete(body)
          if (error) reject(error)
          else resolve()
        },
      }
      bodies.add(body)
    })
  const queue = history.watch(
    record => new DispatchQueue<string, void>(record(handler), { clock, width: 1 + (round % 5), keys, retry }),
    { keys, retry },
  )
  queue.on('failed', () => {})
  let put = 0
  const ids: string[] = []
  const set = async (change: () => unknown): Promise<void> => {
    await change()
    await queue.key('a').stored()
  }
  for (let step = 0; step < 120; step++) {
    const key = queue.key(pick(names))
    const kind = random()
    if (kind < 0.35) {
      const many = 1 + Math.floor(random() * 6)
      const jobs = await queue.putMany(
        Array.from({ length: many }, () => `${put++}`),
        () => ({
          ...(random() < 0.85 && { key: pick(names) }),
          priority: Math.floor(random() * 3),
          ...(random() < 0.15 && { delay: 50 }),
        }),
      )
      ids.push(...jobs.map(({ id }) => id))
    } else if (kind < 0.7) {
      const body = pick([...bodies])
      const error = pick([undefined, undefined, undefined, new Error('no'), new Throttled(40, { key: body?.key })])
      body?.end(error)
    } else if (kind < 0.74) await set(() => (key.width = pick([0, 1, 2, 3, undefined])))
    else if (kind < 0.77) await set(() => (key.weight = pick([0.5, 1, 3, undefined])))
    else if (kind < 0.8) await set(() => (key.rate = pick([undefined, [], { limit: 2, per: 60 }])))
    else if (kind < 0.81) await set(() => queue.clearOverrides('keys'))
    else if (kind < 0.84) await key.pause()
    else if (kind < 0.87) await key.resume()
    else if (kind < 0.9 && ids.length > 0) await queue.cancel(pick(ids))
    else if (kind < 0.93 && ids.length > 0) await queue.reprioritize(pick(ids), 1).catch(() => {})
    else await clock.advance(Math.floor(random() * 80))
    await clock.settle()
  }
  for (const name of names) await queue.key(name).resume()
  await queue.clearOverrides()
  const left = (): number => queue.counts.pending + queue.counts.delayed + queue.counts.underway
  for (let tries = 3_000; tries > 0 && left() > 0; tries--) {
    for (const body of [...bodies]) body.end()
    await clock.advance(20)
    await turn()
  }
  if (left() > 0) throw new Error(`${left()} of ${put} jobs did not end: ${JSON.stringify(await queue.keys())}`)
  await history.inventory(queue)
  await queue.stop({ cancelUnderway: true })
  return assertHolds(history, bounds).judged
}

test('keys hold in random schedules of puts, endings, cancels, pauses, holds and settings', async t => {
  const rounds = durable() ? 3 : 9
  const judged: Record<string, number> = {}
  for (let round = 0; round < rounds; round++) {
    await t.notThrowsAsync(async () => {
      const counts = await run(round)
      for (const invariant of ofKeys) judged[invariant] = (judged[invariant] ?? 0) + counts[invariant]
    }, `KEY_SEED=${seed}, round ${round}`)
  }

  for (const invariant of ofKeys) t.true((judged[invariant] ?? 0) > 0, `${invariant} was not judged`)
  t.log(JSON.stringify(judged))
})
