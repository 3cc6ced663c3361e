/** What an exchange says about the limits that its queue waits for: its named rules, and a slot of the global width. */
import type { Exchange } from '../backlog.ts'

/**
 * Whether the queue still waits for what it has waited for so far.
 *
 * An exchange without room says nothing else while there are free slots: another one in flight may have requested them,
 * or the settings are being changed. Nor does that of a queue object without a handler. A queue that is paused, or whose
 * slots are all taken, would start nothing now whatever its limits say, so it waits no more.
 */
export function keepsWaits({
  room,
  mayLaunch,
  isFull = false,
}: Readonly<Pick<Exchange, 'room' | 'mayLaunch' | 'isFull'>>): boolean {
  return room === 0 && mayLaunch && !isFull
}
