/** The row of a waiting job as a claim reads it. */
import type { MovingFields } from '../tables/location.ts'

/** A waiting job: its row in the table where it waits, and its body. */
export interface Row extends MovingFields {
  /** Null, as all that follows, if the job has no body, which only foreign code can cause. */
  readonly id: string | null
  readonly payload: string
  readonly queuedAt: number
  readonly key: string | null
  readonly more: string | null
  readonly fingerprint: string | null
  /** Whether the payload is JSON. */
  readonly isJson: 0 | 1
}

/** The columns of a job's body, from `rdq_job j`. */
export const bodyColumns = 'j.id, j.payload, j.queued_wall as queuedAt, j.key, j.more, j.fingerprint'
/** A {@link Row} from a table `r` of waiting jobs, joined with their bodies. */
export const rowColumns: string = `r.priority, r.seq, r.attempt, r.fence, r.crashes, r.flags, ${bodyColumns}, json_valid(j.payload) as isJson`

export function movingFieldsOf({ priority, seq, attempt, fence, crashes, flags }: Row): MovingFields {
  return { seq, priority, attempt, fence, crashes, flags }
}
