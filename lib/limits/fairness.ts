/**
 * Fair sharing among keys: which key's turn it is. The only place where that is decided. (turns.ts keeps the keys in the
 * order of their tags.)
 *
 * This is self-clocked fair queueing (Golestani, 1994). The queue has a virtual clock, which shows the tag of the key
 * that started a job last. A key that has jobs has a tag, the virtual instant at which its next job is to start. The
 * key with the smallest tag is next. Each start moves the key's tag on by `1 / weight`, so a key of weight 2 has two
 * turns where a key of weight 1 has one.
 *
 * - No key starves. A key that gets work is never placed before a key of the same weight that waits already, so between
 *   two starts of a waiting key, another key starts at most `its weight / the waiting key's weight + 1` jobs.
 * - A key without jobs has no state. When its last job starts, the clock shows its tag, so a key that comes back gets
 *   the same tag whether or not its former one is remembered. (Start-time fair queueing has to remember it. Otherwise a
 *   key that puts one job at a time would always be next.)
 * - A key that is held up by a limit of its own leaves the turns and keeps its tag. When it returns late, its next turn
 *   comes at once, but it does not make up for the turns that it missed.
 */

/** The tag of a key that gets work and had none. */
export function tagOnArrival(clock: number, weight: number): number {
  return clock + 1 / weight
}
/** The reading of the virtual clock after a start of the key with this tag. */
export function clockAfterStart(clock: number, tag: number): number {
  return Math.max(clock, tag)
}
/** The tag of a key after one of its jobs was started. A key that returned late goes on from the clock. */
export function tagAfterStart(clock: number, tag: number, weight: number): number {
  return Math.max(clock, tag) + 1 / weight
}
/** The tag of a key one of whose jobs was claimed but not launched: it gets the turn back. */
export function tagAfterReturn(clock: number, tag: number, weight: number): number {
  return Math.max(clock, tag - 1 / weight)
}
/** The tag of a key whose weight has changed: a key that became heavier does not wait for its former turn. */
export function tagAfterChange(clock: number, tag: number, weight: number): number {
  return Math.min(tag, tagOnArrival(clock, weight))
}

/**
 * From this reading on, the clock and all tags are set back by it. Beyond it, adding `1 / weight` would lose digits: the
 * smallest step, of the largest weight, is still exact to a thousandth here.
 */
export const clockBound: number = 2 ** 32

export const leastWeight = 0.001
export const mostWeight = 1_000
