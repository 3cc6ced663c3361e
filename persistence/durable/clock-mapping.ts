/** How a queue's steady clock and that of its store are read from each other. */
import type { Clock } from '../../lib/clock.ts'

/**
 * Where queue and store share a host the mapping is exact. Where they do not, an instant that was mapped may be wrong by up
 * to `errorMs`, either way; the rate then counts each start at the latest instant at which it can have been.
 */
export interface ClockMapping {
  toStore(now: number): number
  fromStore(at: number): number
  readonly errorMs: number
}

/** For a store that reads the steady clock of this host, which all its processes share. */
export function hostMapping({ origin }: Clock): ClockMapping {
  const offsetMs = origin?.offsetMs ?? 0
  return { toStore: now => now + offsetMs, fromStore: at => at - offsetMs, errorMs: 0 }
}
