/**
 * A claim in which keys take turns: the key that is next gives its first job. lib/limits/fairness.ts decides which key is
 * next where keys share; otherwise the key whose first job is the most important one.
 */

import { maxPassed } from '../../../lib/decisions/bounds.ts'
import type { Ordered } from '../../../lib/decisions/order.ts'
import { clockAfterStart, tagAfterStart } from '../../../lib/limits/fairness.ts'
import type { Refusal, Scope } from '../../../lib/limits/limit.ts'
import { type Turn, Turns } from '../../../lib/limits/turns.ts'
import type { Obstacle } from './admission.ts'
import type { PassedOver } from './claim.ts'
import type { ClaimReply } from './claim-reply.ts'

/** One key, as a claim uses it. */
export interface KeyInTurn extends Turn, Scope {
  readonly weight: number
  bodies: number
}

/** The keys that may start a job in this claim, in their order. */
export class KeysInTurn<Key extends KeyInTurn> {
  readonly isFair: boolean
  protected readonly turns: Turns<Key> = new Turns()
  readonly #queue: { keyClock: number }

  /** @param queue With the virtual clock of its keys. */
  constructor(queue: { keyClock: number }, isFair: boolean) {
    this.isFair = isFair
    this.#queue = queue
  }
  /** The key that is next. */
  get next(): Key | undefined {
    return this.turns.first
  }
  /** How many keys may still start a job, as far as they are read. */
  get size(): number {
    return this.turns.size
  }
  add(key: Key): void {
    this.turns.add(key)
  }
  /** The key starts a job. `next`: its next one. */
  started(key: Key, next: Ordered | undefined): void {
    if (this.isFair) {
      const { tag } = key
      const { keyClock } = this.#queue
      key.tag = tagAfterStart(keyClock, tag, key.weight)
      this.#queue.keyClock = clockAfterStart(keyClock, tag)
    }
    key.bodies++
    this.moved(key, next)
  }
  /** The next job of the key is another one; undefined: it has none. */
  moved(key: Key, next: Ordered | undefined): void {
    if (!next) return this.leaves(key)
    if (!this.isFair) {
      key.tag = next.priority
      key.tie = next.seq
    }
    this.turns.moved(key)
  }
  /** The key starts nothing more in this claim. */
  leaves(key: Key): void {
    this.turns.remove(key)
  }
}

/** The keys of a claim with their jobs. */
export interface JobsInTurn<Key extends KeyInTurn, Job> {
  readonly inTurn: KeysInTurn<Key>
  /** The key that is next, and its first job. */
  next(): { readonly key: Key; readonly job: Job } | undefined
  obstacle(job: Job, key: Key): Obstacle | undefined
  /** A limit of its own holds the key up. */
  holdUp(key: Key, refusal: Refusal): void
  // Its first job leaves the key. Each returns the next one.
  take(job: Job, key: Key): Ordered | undefined
  passOver(job: Job, key: Key, obstacle: PassedOver): Ordered | undefined
}

/** Claims as many jobs as there is room for. Returns how many it examined and did not start. */
export function claimInTurns<Key extends KeyInTurn, Job>(
  reply: ClaimReply,
  jobs: JobsInTurn<Key, Job>,
  pending: () => number,
): number {
  const { inTurn } = jobs
  let passed = 0
  while (reply.room > 0 && passed < maxPassed) {
    const next = jobs.next()
    if (!next) break
    const { key, job } = next
    const obstacle = jobs.obstacle(job, key)
    if (!obstacle) {
      inTurn.started(key, jobs.take(job, key))
      continue
    }
    passed++
    if (obstacle.kind === 'queueWaits') reply.refuse(obstacle, pending())
    else if (obstacle.kind === 'keyWaits') {
      inTurn.leaves(key)
      jobs.holdUp(key, obstacle.refusal)
    } else inTurn.moved(key, jobs.passOver(job, key, obstacle))
  }
  return passed
}
