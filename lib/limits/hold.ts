/** A hold: after `Throttled` no job starts until an instant. */
import type { Limit, Refusal } from './limit.ts'

export const holdLimit: Limit = {
  refuses: ({ heldUntil: until }, _, now) => (until > now ? heldUntil(until) : undefined),
}

export function heldUntil(until: number): Refusal {
  return { why: 'hold', until, rule: undefined, never: false }
}
