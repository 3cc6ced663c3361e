/**
 * The states of a run, and the table of legal transitions. The settling of the job and the end of the body are
 * separate: the body may end first, or the job may settle first, here or elsewhere.
 */

/** In the pool, without a job. */
export const free = 1
/** The job is claimed; the body was not called. */
export const granted = 2
/** Its body runs. */
export const running = 4
/** The body runs and was interrupted by a stop: if it throws, the job goes back instead of failing. */
export const interrupted = 8
/** The job has settled and the body has not ended: it still runs, or is never called. */
export const closing = 16
/** The job went to another run: nothing that this one reports counts any more. */
export const lost = 32
/** The queue has stopped and no longer waits for the body. */
export const abandoned = 64
/** The body has ended, or will never be called. */
export const ended = 128
/** The same after {@link closing}. */
export const closed = 256

export type RunState =
  | typeof free
  | typeof granted
  | typeof running
  | typeof interrupted
  | typeof closing
  | typeof lost
  | typeof abandoned
  | typeof ended
  | typeof closed

/** Bits, because each job passes this table three times. A transition that is not listed is illegal. */
export const edges: Readonly<Record<RunState, number>> = {
  [free]: granted,
  [granted]: running | closing | lost | abandoned | ended,
  [running]: interrupted | closing | lost | abandoned | ended,
  [interrupted]: closing | lost | abandoned | ended,
  [closing]: abandoned | closed,
  [lost]: abandoned | ended,
  [abandoned]: ended,
  [ended]: free,
  [closed]: free,
}
/** The job has not settled. */
export const open: number = granted | running | interrupted
/** Nobody waits for the body. */
export const over: number = free | abandoned | ended | closed

const names = ['free', 'granted', 'running', 'interrupted', 'closing', 'lost', 'abandoned', 'ended', 'closed'] as const

export function stateName(state: RunState): (typeof names)[number] {
  return names[31 - Math.clz32(state)] as (typeof names)[number]
}
