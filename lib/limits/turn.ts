/** The turns of queues that share a named rule: capacity is left for starts of others that come first (rule-turns.ts). */
import { amountOf } from '../rate/start-log.ts'
import type { Limit } from './limit.ts'

export const turnLimit: Limit = {
  refuses({ rate, ahead }, cost, now) {
    const rule = rate?.rules[0]
    if (!rate || !rule || !ahead || ahead.amount === 0) return undefined
    // A job that takes nothing of the rule takes nothing from others.
    if (rule.unit !== undefined && amountOf(cost, rule.unit) === 0) return undefined
    // The first start after a hold may hold the rule again, which takes the capacity that is left for others. So it
    // belongs to the queue whose turn it is, if that one is to come by now. The rate remembers the hold until then.
    const isAfterHold = rate.heldUntil > -Infinity && rate.heldUntil <= now
    const strictly = isAfterHold ? ahead.dueUntil : undefined
    const until = strictly ?? Math.min(rate.nextBehind(ahead.amount, cost, now), ahead.until)
    return until > now ? { why: 'rate', until, rule, never: false } : undefined
  },
}
