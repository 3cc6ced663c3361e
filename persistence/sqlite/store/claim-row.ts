/** The row of a waiting job as a claim reads it. */
import type { MovingFields } from '../tables/location.ts'

/** A waiting job: its row in the table where it waits, and its body. */
export interface Row extends MovingFields {
  /** Null, as all that follows, if the job has no body, which only foreign code can cause. */
  readonly id: string | null
  readonly payload: string
  readonly queuedAt: number
  readonly key: string | null
  readonly extras: string | null
  readonly fingerprint: string | null
  /** Whether the payload is JSON. */
  readonly isJson: 0 | 1
}

/** The columns of a job's body, from `rdq_job j`. */
export const bodyColumns = 'j.id, j.payload, j.queued_wall as queuedAt, j.key, j.extras, j.fingerprint'
/** A {@link Row} from a table `r` of waiting jobs, joined with their bodies. */
export const rowColumns: string = `r.priority, r.seq, r.attempt, r.fence, r.crashes, r.flags, ${bodyColumns}, json_valid(j.payload) as isJson`

/** The row of {@link rowColumns} from that index of a raw row on; undefined if there is none. */
export function rowOf(columns: readonly unknown[], at: number): Row | undefined {
  if (columns[at] === null) return undefined
  return {
    priority: columns[at],
    seq: columns[at + 1],
    attempt: columns[at + 2],
    fence: columns[at + 3],
    crashes: columns[at + 4],
    flags: columns[at + 5],
    id: columns[at + 6],
    payload: columns[at + 7],
    queuedAt: columns[at + 8],
    key: columns[at + 9],
    extras: columns[at + 10],
    fingerprint: columns[at + 11],
    isJson: columns[at + 12],
  } as Row
}
export function movingFieldsOf({ priority, seq, attempt, fence, crashes, flags }: Row): MovingFields {
  return { seq, priority, attempt, fence, crashes, flags }
}
