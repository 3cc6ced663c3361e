/**
 * Much that ends at once: it is worked off a slice at a time, so that the event loop is late by no more than a slice
 * and one step. What hears of each job takes a millisecond of the virtual clock, and the test counts how many do
 * between two turns of the loop.
 */
import type { ExecutionContext } from 'ava'
import { type CancelledError, type Job, MemoryBacklog } from '../../lib/index.ts'
import type { Task } from '../../lib/run/task.ts'
import { VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, test } from '../support/backlog-under-test.ts'

const many = 600
const sliceMs = 5

/** A step takes a millisecond; and how many were taken between two turns of the loop, at most. */
function paced(clock: VirtualClock) {
  const paced = { worst: 0, steps: 0, step: (): void => {}, over: (): void => {} }
  let since = 0
  paced.step = () => {
    clock.block(1)
    paced.steps++
    paced.worst = Math.max(paced.worst, ++since)
  }
  const turn = (): void => {
    since = 0
    next = setImmediate(turn)
  }
  let next = setImmediate(turn)
  paced.over = () => clearImmediate(next)
  return paced
}

/** A body that ends when its signal aborts, after a step of its own. */
function heeding(step: () => void) {
  return (_: unknown, { signal }: Task): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        step()
        reject(signal.reason)
      })
    })
}

/** @param repliesApart Replies may come in a phase of the loop of their own, with a slice of its own. */
function judge(t: ExecutionContext, pace: ReturnType<typeof paced>, steps: number, repliesApart = durable()): void {
  pace.over()
  t.is(pace.steps, steps)
  t.true(
    pace.worst <= (repliesApart ? 2 * sliceMs : sliceMs + 1),
    `${pace.worst} steps of 1 ms between two turns of the loop`,
  )
}

test('one signal cancels very many waiting jobs a slice at a time', async t => {
  const clock = new VirtualClock()
  const pace = paced(clock)
  const controller = new AbortController()
  const queue = new DispatchQueue<number, void>(() => {}, { clock, paused: true })
  queue.on('cancelled', pace.step)
  await queue.putMany([...Array(many).keys()], { signal: controller.signal })
  controller.abort()
  await queue.idle()

  judge(t, pace, many)
  t.is(queue.counts.cancelled, many)
})

test('very many single cancels are announced a slice at a time, and idle is announced after all of them', async t => {
  const clock = new VirtualClock()
  const pace = paced(clock)
  const queue = new DispatchQueue<number, void>(() => {}, { clock, paused: true })
  let stepsAtIdle = 0
  queue.on('cancelled', pace.step)
  queue.on('idle', () => (stepsAtIdle = pace.steps))
  const jobs = await queue.putMany([...Array(many).keys()])
  const idle = queue.idle()
  t.true((await Promise.all(jobs.map(job => job.cancel()))).every(Boolean))
  await idle

  judge(t, pace, many, true)
  t.is(stepsAtIdle, many)
})

test('a single cancel in memory is announced in the turn of the loop in which it was made', async t => {
  const clock = new VirtualClock()
  const backlog = new MemoryBacklog()
  const queue = new DispatchQueue<number, void>(() => {}, { clock, paused: true, backlog })
  const announced: number[] = []
  queue.on('cancelled', job => announced.push(job.payload))
  for (const job of await queue.putMany([1, 2, 3])) {
    await clock.settle()
    // The slice of an earlier turn is over.
    clock.block(100)
    let turned = false
    const next = setImmediate(() => (turned = true))
    await job.cancel()
    clearImmediate(next)
    t.is(announced.at(-1), job.payload)
    t.false(turned)
  }
  await queue.stop()
})

test('clear emits the events of very many jobs a slice at a time, and idle comes after all of them', async t => {
  const clock = new VirtualClock()
  const pace = paced(clock)
  const queue = new DispatchQueue<number, void>(() => {}, { clock, paused: true })
  let seen = 0
  queue.on('cancelled', pace.step)
  queue.on('idle', () => (seen = pace.steps))
  await queue.putMany([...Array(many).keys()])
  t.is(await queue.clear(), many)
  await queue.idle()

  judge(t, pace, many)
  t.is(seen, many)
})

test('a job that is retried while very many endings are announced shows its own ending first', async t => {
  const clock = new VirtualClock()
  const pace = paced(clock)
  const queue = new DispatchQueue<number, void>(() => {}, { clock, paused: true })
  const last = (await queue.putMany([...Array(many).keys()])).at(-1) as Job<number, void>
  const result = last.result.catch((error: CancelledError) => error.reason)
  const events: string[] = []
  let retried: Promise<unknown> | undefined
  queue.on('cancelled', job => {
    retried ??= queue.retry(last.id)
    if (job.id === last.id) events.push('cancelled')
    pace.step()
  })
  queue.on('pending', job => events.push(`pending ${job.payload}`))
  await queue.clear()
  await retried

  judge(t, pace, many)
  t.deepEqual(events, ['cancelled', `pending ${many - 1}`])
  t.is(await result, 'cleared')
  t.is(last.state, 'pending')
})

test('one signal cancels very many bodies a slice at a time', async t => {
  const clock = new VirtualClock()
  const pace = paced(clock)
  const controller = new AbortController()
  const queue = new DispatchQueue<number, void>(heeding(pace.step), { clock, width: Infinity })
  await queue.putMany([...Array(many).keys()], { signal: controller.signal })
  await clock.settle()
  t.is(queue.counts.underway, many)
  controller.abort()
  await queue.idle()

  judge(t, pace, many)
  t.is(queue.counts.cancelled, many)
})

test('the endings of very many bodies are emitted a slice at a time', async t => {
  const clock = new VirtualClock()
  const pace = paced(clock)
  const ends: (() => void)[] = []
  const queue = new DispatchQueue<number, void>(() => new Promise<void>(resolve => ends.push(resolve)), {
    clock,
    width: Infinity,
  })
  await queue.putMany([...Array(many).keys()])
  await clock.settle()
  queue.on('finished', pace.step)
  for (const end of ends) end()
  await queue.idle()

  judge(t, pace, many)
})

test('a stop cuts very many bodies short a slice at a time', async t => {
  const clock = new VirtualClock()
  const pace = paced(clock)
  const queue = new DispatchQueue<number, void>(heeding(pace.step), { clock, width: Infinity })
  await queue.putMany([...Array(many).keys()])
  await clock.settle()
  const { abandoned } = await queue.stop({ cancelUnderway: true })

  judge(t, pace, many)
  t.deepEqual(abandoned, [])
})

for (const [what, withdraw] of [
  ['one signal takes out', (controller: AbortController) => controller.abort()],
  ['clear takes out', (_: AbortController, queue: DispatchQueue<number, void>) => queue.clear()],
  ['a stop refuses', (_: AbortController, queue: DispatchQueue<number, void>) => queue.stop()],
] as const) {
  test(`${what} very many puts that wait for space a slice at a time`, async t => {
    const clock = new VirtualClock()
    const controller = new AbortController()
    const queue = new DispatchQueue<number, void>(() => {}, { clock, paused: true, size: 1, overflow: 'wait' })
    await queue.put(0)
    let out = 0
    let worst = 0
    let since = 0
    const all = [...Array(many).keys()].map(n =>
      queue.put(n, { signal: controller.signal }).catch(() => {
        out++
        worst = Math.max(worst, ++since)
      }),
    )
    await clock.settle()
    const turn = (): void => {
      since = 0
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    await withdraw(controller, queue)
    await Promise.all(all)
    clearImmediate(next)

    t.is(out, many)
    t.true(worst < many / 2, `${worst} at once`)
  })
}

/** Each look at it takes a millisecond, so that whoever does much at once soon gives the loop a turn. */
class QuickClock extends VirtualClock {
  override now(): number {
    this.block(1)
    return super.now()
  }
}

test('jobs that are put while a clear is under way are not cleared, and start when it is over', async t => {
  const clock = new QuickClock()
  const called: number[] = []
  const queue = new DispatchQueue<number, void>(n => void called.push(n), { clock, width: 5, paused: true })
  await queue.putMany([...Array(2_000).keys()])
  const cleared = queue.clear()
  queue.resume()
  const put = queue.put(5_000)
  await undefined
  const later = queue.put(5_001)

  t.is(await cleared, 2_000)
  await Promise.all([put, later])
  await queue.idle()
  t.deepEqual(called, [5_000, 5_001])
})
