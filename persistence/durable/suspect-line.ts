/**
 * When suspects run: jobs that were underway when their process died, until they end. Any of them may have been the cause.
 *
 * A process runs at most one of them at a time, over all its queues, beside other jobs. One that the next crash would fail
 * runs alone: nothing else is underway in the process. So a job that is condemned was the only one that can have been the
 * cause. Each store brings what it finds in its database; this object is the memory of one process, and decides.
 */

/** A suspect that has waited for this long goes before other jobs; and for one that runs alone a busy process drains. */
export const patienceMs = 300_000
/** After its second crash a suspect lets other jobs go first for so long, and after each further one for twice as long. */
const restMs = 1_000
/** How long a process keeps itself idle for a job of another queue, which is told and may not answer. */
const maxYieldMs = 1_000
/** How soon a queue that was given nothing because of a suspect looks again, though it is told of the end. */
const lookAgainMs = 250
/** A process where a job could not run alone, because of bodies that the store does not know, tries again after this time. */
const crowdedMs = 10_000

/** Where a suspect stands. */
export interface Standing {
  readonly crashes: number
  readonly since: number
}
/** A queue that takes a turn, and its process. */
export interface SuspectTurn {
  readonly queue: number
  readonly now: number
  /** The suspect that runs in this process. */
  readonly running: { readonly alone: boolean } | undefined
  /** Whether nothing is underway in this process. */
  isIdle(): boolean
  /** Whether it can come to be idle: no body runs whose job has ended or whose queue has stopped, for nobody says when it ends. */
  canBeIdle(): boolean
}
/** The suspects of the queue that could start now. */
export interface Candidates {
  /** Since when the longest of those waits that are to run alone; undefined where none of them may start. */
  readonly aloneSince: number | undefined
  /** The first of the others. */
  readonly first: Standing | undefined
}
/** What starts in this turn: a suspect alone, nothing, or other jobs, and beside them the first suspect. */
export interface SuspectPlan {
  readonly starts: 'alone' | 'nothing' | 'others'
  readonly withFirst: boolean
  /** When to look again, because a suspect holds up what waits. */
  readonly lookAt: number
}
/** What a queue of this process would start if the process were free for it. */
interface Waiting extends Candidates {
  /** Since when this process keeps itself idle for it. */
  yieldedAt: number | undefined
}

/** From this many crashes on a job runs alone: the next one fails it. */
export function aloneFrom(crashLimit: number): number {
  return Math.max(crashLimit - 1, 1)
}
/** Whether a suspect goes before the other jobs of its queue, behind them, or at its place among them. */
export function precedence({ crashes, since }: Standing, now: number): 'first' | 'last' | 'place' {
  const waitedMs = now - since
  if (waitedMs >= patienceMs) return 'first'
  return crashes >= 2 && waitedMs < restMs * 2 ** (crashes - 2) ? 'last' : 'place'
}

export class SuspectLine {
  /** What waits in the queues of this process, as of the last turn of each. */
  readonly #waiting = new Map<number, Waiting>()
  #crowdedUntil = -Infinity
  #wakes = false

  // Questions.
  get isEmpty(): boolean {
    return this.#waiting.size === 0
  }
  /** Whether a job that is to run alone waits in that queue, as of its last turn that could take one. */
  waitsAlone(queue: number): boolean {
    return this.#waiting.get(queue)?.aloneSince !== undefined
  }
  /** When a queue that was given nothing looks again. */
  lookAgain(now: number): number {
    return now + lookAgainMs
  }

  // Commands.
  /** The queue can take jobs, and no suspect runs alone. */
  plan(turn: SuspectTurn, { aloneSince, first }: Candidates): SuspectPlan {
    const { queue, now, running } = turn
    this.#waits(queue, aloneSince, undefined)
    let lookAt = Infinity
    if (this.#canBeIdle(turn)) {
      const isIdle = turn.isIdle()
      if (aloneSince !== undefined && isIdle) return { starts: 'alone', withFirst: false, lookAt }
      if (this.#drains(now) || (isIdle && this.#yields(queue, now))) {
        return { starts: 'nothing', withFirst: false, lookAt: this.lookAgain(now) }
      }
      if (aloneSince !== undefined) lookAt = aloneSince + patienceMs
    } else if (aloneSince !== undefined && now < this.#crowdedUntil) lookAt = this.#crowdedUntil
    const withFirst = first !== undefined && !running && !this.#isBehind(queue, first, now)
    if (first && !withFirst) {
      this.#waits(queue, aloneSince, first)
      // Another queue goes first, if it comes.
      if (!running) lookAt = Math.min(lookAt, this.lookAgain(now))
    }
    return { starts: 'others', withFirst, lookAt }
  }
  /** The queue takes nothing. If the process is idle by now, the queue whose job is to run alone is told. */
  passes(turn: SuspectTurn): void {
    if (this.#canBeIdle(turn) && turn.isIdle()) this.#yields(turn.queue, turn.now)
  }
  /** The queue starts nothing at present. */
  leaves(queue: number): void {
    if (this.#waiting.delete(queue)) this.#wakes = true
  }
  /** A suspect of the queue runs. */
  took(queue: number): void {
    this.#waiting.delete(queue)
  }
  /** The queue is gone, and with it what held up others. */
  stops(queue: number): void {
    if (this.#waiting.delete(queue) || this.#waiting.size > 0) this.#wakes = true
  }
  /** A job that was to run alone has found other bodies in the process. */
  crowded(now: number): void {
    this.#crowdedUntil = now + crowdedMs
  }
  /** The other queues of this process are to look. */
  wake(): void {
    this.#wakes = true
  }
  /** Whether they are to look now, because a suspect holds them up no more. */
  wakes(): boolean {
    const wakes = this.#wakes
    this.#wakes = false
    return wakes
  }

  #canBeIdle(turn: SuspectTurn): boolean {
    return turn.now >= this.#crowdedUntil && turn.canBeIdle()
  }
  #waits(queue: number, aloneSince: number | undefined, first: Standing | undefined): void {
    if (aloneSince === undefined && first === undefined) this.#waiting.delete(queue)
    else this.#waiting.set(queue, { aloneSince, first, yieldedAt: undefined })
  }
  /** Whether one that is to run alone has waited for so long in one of the queues of this process that the process drains. */
  #drains(now: number): boolean {
    for (const { aloneSince = Infinity } of this.#waiting.values()) if (now - aloneSince >= patienceMs) return true
    return false
  }
  /** Whether an idle process stays so for a job of another of its queues, which is to run alone. */
  #yields(queue: number, now: number): boolean {
    return this.#waitsFor(queue, now, ({ aloneSince }) => aloneSince !== undefined)
  }
  /** Whether the suspect of another queue of this process comes before this one. */
  #isBehind(queue: number, { crashes, since }: Standing, now: number): boolean {
    return this.#waitsFor(
      queue,
      now,
      ({ first }) =>
        first !== undefined && (first.crashes < crashes || (first.crashes === crashes && first.since < since)),
    )
  }
  /** That other queue is told once that it may go. Where it does not come in time, the others go on without it. */
  #waitsFor(queue: number, now: number, goesFirst: (waiting: Waiting) => boolean): boolean {
    for (const [other, waiting] of this.#waiting) {
      if (other === queue || !goesFirst(waiting)) continue
      if (waiting.yieldedAt === undefined) this.#wakes = true
      waiting.yieldedAt ??= now
      if (now - waiting.yieldedAt < maxYieldMs) return true
      this.#waiting.delete(other)
    }
    return false
  }
}
