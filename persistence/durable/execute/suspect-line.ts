/**
 * Decides when suspects run. A suspect is a job with a crash counted against it (lib/decisions/crash-outcome.ts), until the
 * job ends. Any suspect may have been the cause. A job whose launch had not been reported is no suspect: its next launch
 * is only reported before its body begins.
 *
 * A process runs at most one suspect at a time, over all its queues, beside other jobs. A suspect that the next crash
 * would fail runs alone: nothing else is underway in the process. So a job that fails as poison was the only possible
 * cause. Each store passes the facts in its database; this object holds the memory of one process, and decides.
 *
 * The order among suspects: within a queue those with fewer crashes first, then by priority, then by put. Between queues,
 * whose priorities cannot be compared, those with fewer crashes first, then the one that has waited longer.
 */
import { type Standing, suspectPatienceMs } from '../../../lib/decisions/suspects.ts'

/** How long a process keeps itself empty for a job of another queue, which is notified and may not make an exchange. */
const maxYieldMs = 1_000
/**
 * How soon a queue that got nothing because of a suspect makes another exchange, although it is notified of that run's
 * end.
 */
const nextLookMs = 250
/**
 * A process in which a job could not run alone, because of bodies that the store does not know, tries again after this
 * time.
 */
const crowdedMs = 10_000

/** A suspect that runs. */
interface SuspectRun {
  readonly seq: number
  readonly fence: number
}
/** A queue that makes an exchange, and its process. */
export interface Claimant {
  readonly queue: number
  readonly now: number
  /** The suspect that runs in this process. */
  readonly running: { readonly alone: boolean } | undefined
  /** Whether nothing is underway in this process. */
  nothingUnderway(): boolean
  /**
   * Whether it can become empty. It cannot while a body runs whose job has ended or whose queue has stopped, because the
   * end of such a body is not reported.
   */
  canDrain(): boolean
}
/** The suspects of the queue that could start now. */
export interface Candidates {
  /** Since when the oldest job that must run alone waits; undefined if none of them may start. */
  readonly aloneSince: number | undefined
  /** The first of the other suspects. */
  readonly first: Standing | undefined
}
/**
 * The decision for this exchange: the queue claims a suspect alone, or nothing, or other jobs, with the first suspect
 * beside them.
 */
export interface SuspectPlan {
  readonly claims: 'alone' | 'nothing' | 'others'
  readonly withFirst: boolean
  /** The next look because of a suspect that holds up waiting jobs. */
  readonly nextLookAt: number
}
/** The jobs that a queue of this process would start if the process were free for it. */
interface Waiting extends Candidates {
  /** Since when this process keeps itself empty for it. */
  yieldedAt: number | undefined
}

/** The order among the first suspects of several queues. */
function inOrderOfQueues(a: Standing, b: Standing): number {
  return a.crashes - b.crashes || a.since - b.since
}
export class SuspectLine {
  /** The suspects that wait in the queues of this process, as of the last exchange of each. */
  readonly #waiting = new Map<number, Waiting>()
  #crowdedUntil = -Infinity
  #wakes = false
  /** The suspect that ran in this process at its last claim. */
  #running: SuspectRun | undefined

  // Questions.
  get isEmpty(): boolean {
    return this.#waiting.size === 0
  }
  /** Whether a job that must run alone waits in that queue, as of its last exchange that could claim one. */
  waitsAlone(queue: number): boolean {
    return this.#waiting.get(queue)?.aloneSince !== undefined
  }
  /** The next look of a queue that got nothing. */
  nextLook(now: number): number {
    return now + nextLookMs
  }

  // Commands.
  /** Decides what starts. The queue can claim jobs, and no suspect runs alone. */
  plan(claimant: Claimant, { aloneSince, first }: Candidates): SuspectPlan {
    const { queue, now, running } = claimant
    this.#waits(queue, aloneSince, undefined)
    let nextLookAt = Infinity
    if (this.#canDrain(claimant)) {
      const isEmpty = claimant.nothingUnderway()
      if (aloneSince !== undefined && isEmpty) return { claims: 'alone', withFirst: false, nextLookAt }
      if (this.#drains(now) || (isEmpty && this.#giveWayToAlone(queue, now))) {
        return { claims: 'nothing', withFirst: false, nextLookAt: this.nextLook(now) }
      }
      if (aloneSince !== undefined) nextLookAt = aloneSince + suspectPatienceMs
    } else if (aloneSince !== undefined && now < this.#crowdedUntil) nextLookAt = this.#crowdedUntil
    const withFirst = first !== undefined && !running && !this.#giveWayToSuspect(queue, first, now)
    if (first && !withFirst) {
      this.#waits(queue, aloneSince, first)
      // Another queue goes first, if it makes an exchange in time.
      if (!running) nextLookAt = Math.min(nextLookAt, this.nextLook(now))
    }
    return { claims: 'others', withFirst, nextLookAt: nextLookAt }
  }
  /** The queue claims nothing. If the process is empty by now, the queue whose job must run alone is notified. */
  notePassed(claimant: Claimant): void {
    if (this.#canDrain(claimant) && claimant.nothingUnderway()) this.#giveWayToAlone(claimant.queue, claimant.now)
  }
  /** The queue starts nothing at present. */
  noteLeft(queue: number): void {
    if (this.#waiting.delete(queue)) this.#wakes = true
  }
  /** A suspect of the queue runs. */
  took(queue: number, run: SuspectRun): void {
    this.#waiting.delete(queue)
    this.#running = { seq: run.seq, fence: run.fence }
  }
  /** Called before each claim: the suspect that runs in this process. If the last one has ended, others are woken. */
  noteRun(run: SuspectRun | undefined): void {
    const last = this.#running
    if (last && (run?.seq !== last.seq || run.fence !== last.fence)) this.#wakes = true
    this.#running = run && { seq: run.seq, fence: run.fence }
  }
  /** The runs of this process may have changed otherwise than by its exchanges. */
  forgetRun(): void {
    this.#running = undefined
  }
  /** The queue is gone, and no longer holds up others. */
  stops(queue: number): void {
    if (this.#waiting.delete(queue) || this.#waiting.size > 0) this.#wakes = true
  }
  /** A job that was to run alone has found other bodies in the process. */
  crowded(now: number): void {
    this.#crowdedUntil = now + crowdedMs
  }
  /** The other queues of this process should make an exchange. */
  wake(): void {
    this.#wakes = true
  }
  /**
   * Whether the other queues of this process should make an exchange now, because a suspect no longer holds them up.
   * Says so once.
   */
  takeSuspectWake(): boolean {
    const wakes = this.#wakes
    this.#wakes = false
    return wakes
  }

  #canDrain(claimant: Claimant): boolean {
    return claimant.now >= this.#crowdedUntil && claimant.canDrain()
  }
  #waits(queue: number, aloneSince: number | undefined, first: Standing | undefined): void {
    if (aloneSince === undefined && first === undefined) this.#waiting.delete(queue)
    else this.#waiting.set(queue, { aloneSince, first, yieldedAt: undefined })
  }
  /**
   * Whether a job that must run alone has waited so long, in any queue of this process, that the process drains for it.
   */
  #drains(now: number): boolean {
    for (const { aloneSince = Infinity } of this.#waiting.values())
      if (now - aloneSince >= suspectPatienceMs) return true
    return false
  }
  /** An empty process stays empty for a job of another of its queues that must run alone. Returns whether there is one. */
  #giveWayToAlone(queue: number, now: number): boolean {
    return this.#giveWay(queue, now, ({ aloneSince }) => aloneSince !== undefined)
  }
  /** The suspect of another queue of this process goes before this one. Returns whether there is one. */
  #giveWayToSuspect(queue: number, suspect: Standing, now: number): boolean {
    return this.#giveWay(queue, now, ({ first }) => first !== undefined && inOrderOfQueues(first, suspect) < 0)
  }
  /**
   * Lets another queue go first, and returns whether one does. It is notified once that it may go. If it makes no
   * exchange in time, the others continue without it.
   */
  #giveWay(queue: number, now: number, goesFirst: (waiting: Waiting) => boolean): boolean {
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
