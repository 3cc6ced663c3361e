/** Runs a queue until it is idle, under a clock that a test advances. */
import type { DispatchQueue } from '../lib/queue.ts'
import type { VirtualClock } from './virtual-clock.ts'

/**
 * Advances `clock` from alarm to alarm until the queue is idle. Throws if that does not help, because the test must end
 * running jobs, or a pause or a width of 0 stops waiting ones.
 */
export async function drain(queue: DispatchQueue<never, never> | DispatchQueue, clock: VirtualClock): Promise<void> {
  const { idle } = watch(queue as DispatchQueue)
  for (;;) {
    await clock.settle()
    if (idle()) return
    const { next } = clock
    const { pending, delayed, underway } = queue.counts
    if (next === undefined || next > clock.now() + 2 ** 39) {
      throw new Error(
        `cannot drain: ${pending} pending, ${delayed} delayed, ${underway} underway, and no time to wait for`,
      )
    }
    await clock.advance(Math.max(0, next - clock.now()))
  }
}

function watch(queue: DispatchQueue): { idle(): boolean } {
  let reached = false
  void queue.idle().then(
    () => {
      reached = true
    },
    () => {
      reached = true
    },
  )
  return { idle: () => reached }
}
