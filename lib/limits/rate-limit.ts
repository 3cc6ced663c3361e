/** The rules of a scope: at most so many starts, or units of cost, in any window (lib/rate/). */
import type { Limit } from './limit.ts'

export const rateLimit: Limit = {
  refuses({ rate, rule: heldRule }, cost, now) {
    const blocking = rate?.blocking(cost, now)
    if (!blocking) return undefined
    const { until, rule } = blocking
    return { why: rule ? 'rate' : 'hold', until, rule: rule ?? heldRule, never: until === Infinity }
  },
}
