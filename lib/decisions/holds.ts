/** The rates that a `Throttled` holds: that of the queue, or if the handler names a key, a rule or both, these. */
import type { Settlement } from '../backlog.ts'

/** Holds rates of a backlog until an instant. A hold that ends earlier than one in force changes nothing. */
export interface Holds {
  queue(until: number): void
  key(key: string, until: number): void
  /** Returns false if the queue is not limited by a rule of that name. */
  rule(name: string, until: number): boolean
}

export function hold(
  holds: Holds,
  { heldKey, heldRule }: Pick<Settlement, 'heldKey' | 'heldRule'>,
  until: number,
): void {
  if (heldKey !== undefined) holds.key(heldKey, until)
  if (heldRule === undefined) {
    if (heldKey === undefined) holds.queue(until)
    return
  }
  // Somebody may have set other rules while the job ran. Then nothing but a hold of the queue obeys the far end.
  if (!holds.rule(heldRule, until)) holds.queue(until)
}
