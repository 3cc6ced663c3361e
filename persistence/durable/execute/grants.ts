/**
 * Confirms, corrects and removes the starts that a claim has charged: in the rate of the queue, in that of a key, and in
 * named rules.
 */
import type { Grant } from '../../../lib/backlog.ts'
import { factorAfterLaunch, factorAfterReturn, isLate } from '../../../lib/decisions/grace.ts'
import { furtherOf, startOf } from '../../../lib/decisions/grants.ts'
import type { Rate } from '../../../lib/rate/rate.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import type { LimitStore } from './limit-store.ts'

/** The job was launched at that instant. */
export function confirmStarts<Queue>(
  store: LimitStore<Queue>,
  queue: Queue,
  grant: Grant,
  at: number,
  now: number,
): void {
  eachStart(store, queue, grant, now, (rate, start) => rate.confirm(start, at))
  store.setGraceFactor(queue, factorAfterLaunch(store.graceFactor(queue)))
}
/** Replaces the reserved cost of a job. */
export function correctStarts<Queue>(
  store: LimitStore<Queue>,
  queue: Queue,
  grant: Grant,
  cost: Cost,
  now: number,
): void {
  eachStart(store, queue, grant, now, (rate, start) => rate.correct(start, cost))
}
/** The far end has refused these starts: rules that learn their jitter learn from it. */
export function refuseStarts<Queue>(store: LimitStore<Queue>, queue: Queue, grant: Grant, now: number): void {
  eachStart(store, queue, grant, now, (rate, start) => rate.refused(start, now))
}
/** The body was not called: what the claim has charged is free again. */
export function refundStarts<Queue>(store: LimitStore<Queue>, queue: Queue, grant: Grant, now: number): void {
  eachStart(store, queue, grant, now, (rate, start) => rate.refund(start))
}
/**
 * The same for a job that goes back because it was not launched. If its grace was over, the next grants get a longer
 * one, because otherwise no job might ever start.
 */
export function returnStarts<Queue>(store: LimitStore<Queue>, queue: Queue, grant: Grant, now: number): void {
  eachStart(store, queue, grant, now, (rate, start) => {
    if (isLate(rate.countsAt(start), now))
      store.setGraceFactor(queue, factorAfterReturn(store.graceFactor(queue), rate.rules))
    rate.refund(start)
  })
}
/** Until when all starts of the grant count at least, if no launch is reported. */
export function countedUntil<Queue>(store: LimitStore<Queue>, queue: Queue, grant: Grant): number {
  const own = startOf(grant)
  let until = own > 0 ? (store.rate(queue).countsAt(own) ?? -Infinity) : Infinity
  for (const further of furtherOf(grant)) {
    until = Math.min(until, store.furtherRate(queue, further)?.countsAt(further.start) ?? -Infinity)
  }
  return until
}

function eachStart<Queue>(
  store: LimitStore<Queue>,
  queue: Queue,
  grant: Grant,
  now: number,
  act: (rate: Rate, start: number) => void,
): void {
  const own = startOf(grant)
  if (own > 0) act(store.rateToChange(queue), own)
  for (const further of furtherOf(grant)) {
    const rate = store.furtherRate(queue, further)
    if (rate) act(rate, further.start)
    store.recounted(queue, further, now)
  }
}
