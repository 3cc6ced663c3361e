/** Whether the row of a waiting job may start: durable/execute/admission.ts, besides what only foreign code can cause. */

import { errorToJson } from '../../../lib/text/error-to-json.ts'
import { Admission, noCharges, type Obstacle } from '../../durable/execute/admission.ts'
import { extrasOf, unreadable } from '../tables/job.ts'
import type { StartedJob } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { Row } from './claim-row.ts'
import type { KeyState } from './key-turns.ts'
import type { Limits } from './limits.ts'
import type { OpenClaim } from './open-claim.ts'

/** The admission of one claim. */
export class RowAdmission {
  readonly #queue: QueueRow
  readonly #isRated: boolean
  readonly #limits: Admission<QueueRow, KeyState>

  /** @param heldKeys Until when keys are held, in a queue that is not sorted by key. */
  constructor(limits: Limits, { facts }: OpenClaim, heldKeys: ReadonlyMap<string, number> | undefined) {
    this.#queue = facts.queue
    this.#isRated = facts.isRated
    this.#limits = new Admission(limits, facts.queue, facts, heldKeys)
  }
  /**
   * Why the job does not start; undefined: it may.
   *
   * @param ofKey Its key, in a queue that is sorted by key.
   */
  obstacle(row: Row, ofKey?: KeyState): Obstacle | undefined {
    return row.id !== null && row.crashes > 0 ? suspect : this.obstacleOfSuspect(row, ofKey)
  }
  /** The same for a job that waits in the line of suspects already. */
  obstacleOfSuspect(row: Row, ofKey?: KeyState): Obstacle | undefined {
    const { id, payload, key, extras, isJson } = row
    if (id === null) return gone
    const problem = isJson ? undefined : unreadable(id, payload, extras)
    if (problem) return { kind: 'fails', error: errorToJson(problem, 'none') }
    return this.#limits.obstacle(key ?? undefined, extrasOf(row).cost, ofKey)
  }
  /** Charges the limits of a job that may start. */
  charge(row: Row, ofKey?: KeyState, alone = false): StartedJob {
    const { seq, attempt, fence, crashes, flags } = row
    const key = this.#queue.sorted ? row.key : null
    // Most queues have no rules, and then the options of the job are not read.
    const charges = this.#isRated ? this.#limits.charge(extrasOf(row).cost, ofKey) : noCharges
    const { grant, keyStart, ruleStarts } = charges
    return { seq, attempt: attempt + 1, fence: fence + 1, crashes, flags, key, alone, grant, keyStart, ruleStarts }
  }
}

const gone: Obstacle = { kind: 'gone' }
const suspect: Obstacle = { kind: 'suspect' }
