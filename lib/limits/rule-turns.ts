/**
 * Whose turn it is among the queues that share a named rule.
 *
 * Queues take turns start by start, by the tags of fairness.ts with equal weights. A queue that finds no capacity
 * waits: it says how many starts it wants, and from when until when it is to be waited for. A queue that requests
 * starts meanwhile leaves capacity for the starts that come before its own, and may take what is left. So no queue
 * starves, queues need not request one after the other, and capacity that nobody waits for is never left unused.
 *
 * A queue is waited for only until shortly after the instant at which it will request starts again. A queue that is
 * late, because its process is halted or dead, forfeits its turn and holds nobody up.
 */
import { clockAfterStart, tagOnArrival } from './fairness.ts'
import type { Ahead } from './limit.ts'

/** For how long a queue is waited for after the instant at which it was to request starts again. */
export const patienceMs = 250

/** One queue that waits for the rule, as one of its sessions has requested it. */
export interface RuleWait {
  /** The number of the queue. */
  readonly queue: number
  /** The session, or the process, that requested it. A queue may have several; its turns are those of the queue. */
  readonly worker: string | number
  /** The virtual instant of the queue's next start. */
  tag: number
  /** How many starts it wants, and how much of the rule each takes. */
  wants: number
  amount: number
  /** Others leave capacity for it from this instant on, and no longer than until that one. */
  from: number
  until: number
}

export class RuleTurns {
  /** The virtual clock: the tag of the queue that started a job last. */
  clock: number
  /** In the order in which they began. Of equal tags the queue that has waited longest is first. */
  waits: RuleWait[]

  constructor(clock = 0, waits: RuleWait[] = []) {
    this.clock = clock
    this.waits = waits
  }
  /** The starts that come before the next start of that queue; undefined if there are none. */
  ahead(queue: number, now: number): Ahead | undefined {
    if (this.waits.length === 0) return undefined
    const own = this.#tagOf(queue)
    const rank = this.#rankOf(queue)
    const counted = new Map<number, number>()
    let amount = 0
    let until = Infinity
    let dueUntil: number | undefined
    for (const wait of this.waits) {
      if (wait.queue === queue || !isActive(wait, now)) continue
      const turns = own - wait.tag + (this.#rankOf(wait.queue) < rank ? 1 : 0)
      const before = counted.get(wait.queue) ?? 0
      const starts = Math.min(wait.wants, turns - before)
      if (starts <= 0) continue
      counted.set(wait.queue, before + starts)
      amount += starts * wait.amount
      until = Math.min(until, wait.until)
      if (wait.until - patienceMs <= now) dueUntil = Math.min(dueUntil ?? Infinity, wait.until)
    }
    return amount > 0 ? { amount, until, dueUntil } : undefined
  }
  /** The queue starts a job that takes something of the rule. */
  started(queue: number, now: number): void {
    const tag = this.#tagOf(queue)
    this.clock = clockAfterStart(this.clock, tag)
    // A queue that is waited for takes its turns later, each of them. A queue that is not waited for has missed its turn.
    this.waits = this.waits.filter(wait => wait.queue === queue || now < wait.until)
    for (const wait of this.waits) {
      if (wait.queue === queue) wait.tag = tag + 1
      else if (now < wait.from) wait.tag = Math.max(wait.tag, tagOnArrival(this.clock, 1))
    }
  }
  /** The queue waits from now on, or still does. It keeps its turn. */
  wait(wait: Omit<RuleWait, 'tag'>): void {
    const { queue, worker } = wait
    const at = this.waits.findIndex(other => other.queue === queue && other.worker === worker)
    const waits = { ...wait, tag: this.#tagOf(queue) }
    if (at < 0) this.waits.push(waits)
    else this.waits[at] = waits
  }
  /** The queue waits no more. Returns whether it did. */
  leave(queue: number, worker: RuleWait['worker']): boolean {
    const at = this.waits.findIndex(other => other.queue === queue && other.worker === worker)
    if (at >= 0) this.waits.splice(at, 1)
    return at >= 0
  }
  /** The waits that are not over, in the order of their turns. */
  inOrder(now: number): readonly RuleWait[] {
    return this.waits.filter(({ until }) => now < until).sort((a, b) => a.tag - b.tag)
  }
  /** A queue that does not wait yet comes behind all that do. */
  #rankOf(queue: number): number {
    const rank = this.waits.findIndex(wait => wait.queue === queue)
    return rank < 0 ? this.waits.length : rank
  }
  #tagOf(queue: number): number {
    return this.waits.find(wait => wait.queue === queue)?.tag ?? tagOnArrival(this.clock, 1)
  }
}

/** Whether others leave capacity for it. */
export function isActive({ from, until }: RuleWait, now: number): boolean {
  return from <= now && now < until
}
