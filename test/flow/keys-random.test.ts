/**
 * Whatever is put, ends and is set in whatever order: no key ever runs more bodies than its width, starts more than its
 * rule allows, or starts a job while it is paused, and everything that was put runs in the end.
 *
 * Judged from outside, at the first line of each body and by brute force over all starts. `KEY_SEED` chooses the schedule.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, test } from '../support/backlog-under-test.ts'
import { randomOf } from '../support/random.ts'

const seed = Number(process.env.KEY_SEED ?? 1)
const names = ['a', 'b', 'c', 'd']
const perMs = 200

interface Body {
  readonly key: string
  readonly end: (error?: Error) => void
}

async function run(round: number): Promise<string[]> {
  const random = randomOf(seed * 1_000 + round)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const clock = new VirtualClock()
  const wrong: string[] = []
  const bodies = new Set<Body>()
  const starts: { readonly key: string; readonly at: number }[] = []
  const widths = new Map<string, number>()
  const paused = new Set<string>()
  let finished = 0
  const queue = new DispatchQueue<string, void>(
    (_, { key = '' }) => {
      const running = [...bodies].filter(body => body.key === key).length
      const width = widths.get(key) ?? 2
      if (key !== '' && running >= width) wrong.push(`${running + 1} bodies of ${key}, whose width is ${width}`)
      if (paused.has(key)) wrong.push(`${key} is paused, and started a job`)
      starts.push({ key, at: clock.now() })
      return new Promise<void>((resolve, reject) => {
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
    },
    {
      clock,
      width: 5,
      keys: { width: 2, rate: { limit: 4, per: perMs } },
      retry: { attempts: 2, delay: 30, jitter: false },
    },
  )
  queue.on('failed', () => finished++)
  queue.on('finished', () => finished++)
  queue.on('cancelled', () => finished++)
  let put = 0
  const waiting: string[] = []
  for (let step = 0; step < 120; step++) {
    const kind = random()
    if (kind < 0.35) {
      const many = 1 + Math.floor(random() * 5)
      const jobs = await queue.putMany(
        Array.from({ length: many }, () => `${put++}`),
        () => ({
          ...(random() < 0.85 && { key: pick(names) }),
          priority: Math.floor(random() * 3),
          ...(random() < 0.15 && { delay: 50 }),
        }),
      )
      waiting.push(...jobs.map(({ id }) => id))
    } else if (kind < 0.7) {
      const body = pick([...bodies])
      body?.end(random() < 0.2 ? new Error('no') : undefined)
    } else if (kind < 0.76) {
      const key = pick(names)
      const width = pick([1, 2, 3])
      // A narrower key may have more bodies until they end.
      widths.set(key, Math.max(width, widths.get(key) ?? 2))
      queue.key(key).width = width
      await queue.key(key).stored()
      await clock.settle()
    } else if (kind < 0.82) {
      const key = pick(names)
      if (paused.has(key)) {
        paused.delete(key)
        await queue.key(key).resume()
      } else {
        await queue.key(key).pause()
        await clock.settle()
        paused.add(key)
      }
    } else if (kind < 0.88 && waiting.length > 0) await queue.cancel(pick(waiting))
    else if (kind < 0.92 && waiting.length > 0) {
      await queue.reprioritize(pick(waiting), Math.floor(random() * 3)).catch(() => {})
    } else await clock.advance(Math.floor(random() * 80))
    await clock.settle()
  }
  for (const key of names) {
    paused.delete(key)
    await queue.key(key).resume()
  }
  for (let left = 3_000; left > 0 && finished < put; left--) {
    for (const body of [...bodies]) body.end()
    await clock.advance(20)
    await turn()
  }
  if (finished < put) wrong.push(`${put - finished} of ${put} jobs did not end`)
  for (const { key, at } of starts) {
    const within = starts.filter(other => other.key === key && other.at >= at && other.at < at + perMs).length
    if (key !== '' && within > 4) wrong.push(`${within} starts of ${key} from ${at} on`)
  }
  const left = await queue.keys()
  const idle = left.filter(({ pending, delayed, underway }) => pending + delayed + underway > 0)
  if (idle.length > 0) wrong.push(`${JSON.stringify(idle)} are left`)
  await queue.stop({ cancelUnderway: true })
  return [...new Set(wrong)]
}

test('keys hold in random schedules of puts, endings, cancels, pauses and settings', async t => {
  const rounds = durable() ? 3 : 8
  for (let round = 0; round < rounds; round++) t.deepEqual(await run(round), [], `KEY_SEED=${seed}, round ${round}`)
})
