/** Whether a queue goes on waiting after an exchange: for its named rules, and for a slot of the global width. */
import type { Exchange } from '../backlog.ts'

/**
 * Returns true if the exchange does not say what the queue waits for, so earlier waits stay: it has no room although
 * there are free slots, because another exchange in flight may have requested them, because the settings are being
 * changed, or because the queue object has no handler. Returns false if the exchange has room, and then says it itself,
 * or if the queue would start nothing now, so it stops waiting: it is paused, or all its slots are taken.
 */
export function keepsWaits({
  room,
  mayLaunch,
  isFull = false,
}: Readonly<Pick<Exchange, 'room' | 'mayLaunch' | 'isFull'>>): boolean {
  return room === 0 && mayLaunch && !isFull
}
