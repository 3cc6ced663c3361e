/**
 * The order and the patience of suspects: jobs with a crash counted against them (crash-outcome.ts), until they end.
 *
 * Within a queue those with fewer crashes come first, then by priority, then by put.
 */
import { inOrderOfStart, type Ordered } from './order.ts'

/** A suspect that has waited for this long goes before other jobs; for one that runs alone, a busy process drains. */
export const suspectPatienceMs = 300_000
/**
 * After its second crash a suspect lets other jobs go first for this long, and after each further crash for twice as
 * long.
 */
const restMs = 1_000
/** The facts that decide a suspect's position. */
export interface Standing {
  readonly crashes: number
  readonly since: number
}
/** From this many crashes on a job runs alone: the next one fails it. */
export function aloneFrom(crashLimit: number): number {
  return Math.max(crashLimit - 1, 1)
}
/** The order among the suspects of one queue. */
export function inOrderOfSuspects(
  a: Ordered & Pick<Standing, 'crashes'>,
  b: Ordered & Pick<Standing, 'crashes'>,
): number {
  return a.crashes - b.crashes || inOrderOfStart(a, b)
}
/** Whether a suspect goes before the other jobs of its queue, behind them, or in its order of start. */
export function precedence({ crashes, since }: Standing, now: number): 'first' | 'last' | 'inOrder' {
  const waitedMs = now - since
  if (waitedMs >= suspectPatienceMs) return 'first'
  return crashes >= 2 && waitedMs < restMs * 2 ** (crashes - 2) ? 'last' : 'inOrder'
}
