/** A hold: the far end has asked for a pause until an instant (`Throttled`). */
import type { Limit } from './limit.ts'

export const holdLimit: Limit = {
  refuses: ({ heldUntil }, _, now) =>
    heldUntil > now ? { why: 'hold', until: heldUntil, rule: undefined, never: false } : undefined,
}
