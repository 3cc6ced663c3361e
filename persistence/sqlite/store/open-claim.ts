/** A claim of rows: durable/execute/claim-reply.ts, with what the file has of each job. */
import { cautionOf } from '../../../lib/decisions/crash-outcome.ts'
import { grantOfCharges } from '../../durable/execute/admission.ts'
import { type ClaimedExtras, type ClaimFacts, ClaimReply } from '../../durable/execute/claim-reply.ts'
import type { JobRow } from '../../durable/store.ts'
import { extrasOf, type JobRows } from '../tables/job.ts'
import type { StartedJob } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import { hasLastRun, unreportedLaunch } from '../tables/schema.ts'
import type { Row } from './claim-row.ts'

/** The queue and exchange that a claim serves. */
export interface RowClaimFacts extends ClaimFacts {
  readonly queue: QueueRow
  /** The number of the exchange. */
  readonly exchange: number
  readonly jobRows: JobRows
  /** Receives the jobs that can never start, and so end. */
  readonly endedUnrun: JobRow[]
}

export class OpenClaim extends ClaimReply<RowClaimFacts> {
  /** Adds a job that starts to the reply. */
  add(row: Omit<Row, 'isJson'>, start: StartedJob): void {
    const grant = this.facts.isRated ? grantOfCharges(start.key, start) : 0
    this.take(row as typeof row & { readonly id: string }, start, row.key, this.#extrasOf(row, start.alone), grant)
  }
  #extrasOf(row: Omit<Row, 'isJson'>, alone: boolean): ClaimedExtras | undefined {
    const { seq, extras, fingerprint, crashes, flags } = row
    const ran = (flags & hasLastRun) !== 0
    const launchUnreported = (flags & unreportedLaunch) !== 0
    const hasNoExtras = extras === null && fingerprint === null && crashes === 0
    if (hasNoExtras && !ran && !launchUnreported) return undefined
    const facts: { -readonly [K in keyof ClaimedExtras]: ClaimedExtras[K] } = { ...extrasOf(row) }
    if (fingerprint !== null) facts.fingerprint = fingerprint
    if (ran) {
      const [, , error, checkpoint] = this.facts.jobRows.lastRunOf(seq)
      if (error !== null) facts.error = error
      if (checkpoint !== null) facts.checkpoint = checkpoint
    }
    if (crashes > 0) facts.crashes = crashes
    const caution = cautionOf({ crashes, launchUnreported, alone })
    if (caution !== undefined) facts.caution = caution
    return facts
  }
}
