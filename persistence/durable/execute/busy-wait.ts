/** How requests wait while others keep the store busy, and which of them are refused after a long wait. */

import type { NumberedRequest } from '../store.ts'
import { isPatient } from './request-batch.ts'

/** After this time all requests are refused but exchanges and detaches, which continue to wait. */
const maxBusyMs = 10_000

export interface BusySplit {
  readonly waiting: readonly NumberedRequest[]
  readonly refused: readonly NumberedRequest[]
  /** For how long the store has been busy. */
  readonly busyMs: number
  readonly isTooLong: boolean
}

export class BusyWait {
  #since: number | undefined

  /** The store has executed something. */
  over(): void {
    this.#since = undefined
  }
  /** The store was busy at this instant. Says which of these requests still wait. */
  split(requests: readonly NumberedRequest[], now: number): BusySplit {
    this.#since ??= now
    const busyMs = now - this.#since
    const isTooLong = busyMs > maxBusyMs
    return {
      waiting: isTooLong ? requests.filter(isPatient) : requests,
      refused: isTooLong ? requests.filter(numbered => !isPatient(numbered)) : [],
      ...{ busyMs, isTooLong },
    }
  }
}
/** The delay before a busy store is called again, randomised so that two processes do not collide again. */
export function busyRetryMs(random: number): number {
  return 1 + 4 * random
}
