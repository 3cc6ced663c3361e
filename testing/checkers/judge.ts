/**
 * The definition of a checker: it reads one queue's history, reports only what is certain, and shares no code with the
 * queue.
 */
import type { Entry } from '../entry.ts'

/** The invariants, as docs/reference/checkers.md explains them. */
export type Invariant =
  | 'I1'
  | 'I2'
  | 'I3'
  | 'I4'
  | 'I5'
  | 'I6'
  | 'I7'
  | 'I8'
  | 'I9'
  | 'I10'
  | 'I11'
  | 'I12'
  | 'I13'
  | 'I14'
  | 'I15'
  | 'I16'
  | 'I17'
  | 'I18'
  | 'I19'
  | 'I20'
  | 'I21'
  | 'I22'
  | 'I23'
  | 'I24'
  | 'I25'
  | 'I26'
  | 'I27'
  | 'I28'
  | 'I29'
  | 'I30'

export const invariants: readonly Invariant[] = [
  ...(['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8'] as const),
  ...(['I9', 'I10', 'I11', 'I12', 'I13', 'I14', 'I15', 'I16'] as const),
  ...(['I17', 'I18', 'I19', 'I20', 'I21', 'I22', 'I23', 'I24'] as const),
  ...(['I25', 'I26', 'I27', 'I28', 'I29', 'I30'] as const),
]
/** One place at which a history breaks an invariant. */
export interface Violation {
  readonly invariant: Invariant
  /** Contains the job and the number of the entry. */
  readonly message: string
  /** The entries that show it. */
  readonly entries: readonly Entry[]
}

/** Counts one judgement. If `holds` is false, it is a violation, and `message` says which. */
export type Sure = (holds: boolean, message: () => string, ...entries: readonly Entry[]) => void

export interface Bounds {
  /** How much later than possible a job may start. */
  readonly lateMs: number
  /** How long a claimed job may wait for its first line, and a change for its effect. */
  readonly slackMs: number
  /** Another run with the same seed, which must be equal. */
  readonly rerun: readonly Entry[] | undefined
}

/** Reads the entries of one queue and those of its processes; or, for a whole run, all entries. */
export type Checker = (history: readonly Entry[], sure: Sure, bounds: Bounds) => void

/** Instants that were converted between the clocks of two processes may differ by this much. */
export const hairMs = 0.001

/** `a job, entry 12`. */
export function at(entry: Entry): string {
  return `entry ${entry.seq} at ${entry.nowMs} ms in ${entry.process}`
}

/** The value of that key, created on first use. */
export function found<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}

/** Whether the event announces that its job has ended. */
export function isEnding(
  entry: Entry,
): entry is Entry<'emitted'> & { readonly event: 'finished' | 'failed' | 'cancelled' } {
  return (
    entry.kind === 'emitted' && (entry.event === 'finished' || entry.event === 'failed' || entry.event === 'cancelled')
  )
}

/** Whether the event announces that its job waits: since its put, or again. */
export function isWaiting(entry: Entry): entry is Entry<'emitted'> & { readonly event: 'pending' | 'delayed' } {
  return entry.kind === 'emitted' && (entry.event === 'pending' || entry.event === 'delayed')
}
