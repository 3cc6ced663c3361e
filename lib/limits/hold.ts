/** A hold: after `Throttled` no job starts until an instant. */
import type { Limit } from './limit.ts'

export const holdLimit: Limit = {
  refuses: ({ heldUntil }, _, now) =>
    heldUntil > now ? { why: 'hold', until: heldUntil, rule: undefined, never: false } : undefined,
}
