/** Decodes the notices in the reply to an exchange, which are rare: seqs and rows become records. */
import type { Exchange, Notices, Settlement } from '../../lib/backlog.ts'
import { EventsLostError } from '../../lib/errors.ts'
import type { JobRecord } from '../../lib/job.ts'
import { errorFromJson } from './error-from-json.ts'
import type { IdentityMap } from './identity-map.ts'
import { type ExchangeReply, type JobRow, maxReports } from './store.ts'

/** Makes records of rows. */
export interface RowRecords {
  /** The updated record of that job. */
  recordOf(row: JobRow): JobRecord
  /** The same. If the job has ended elsewhere, callers that await it are notified. */
  seen(row: JobRow): JobRecord
}

/**
 * The jobs whose present run is lost. A run that lost its job earlier may end while another run of the job is active
 * here. The store then names the job because of the older run, whose fence differs from that of the active one.
 */
export function lostRunsOf(
  { notices }: ExchangeReply,
  settled: readonly Settlement[],
  checkpoints: Exchange['checkpoints'],
  identities: IdentityMap,
): ReadonlySet<number> {
  const lost = new Set(notices?.lostRuns)
  if (lost.size === 0) return lost
  const isOld = (record: JobRecord, fence: number): boolean => fence !== (identities.fenceOf(record) ?? fence)
  for (const { record, fence } of checkpoints) if (isOld(record, fence)) lost.delete(record.seq)
  const seen = new Set<number>()
  for (const { record, fence } of settled) {
    if (isOld(record, fence) || seen.has(record.seq)) lost.delete(record.seq)
    seen.add(record.seq)
  }
  return lost
}

/** The notices of a reply, with what the exchange reported and what the session knows. */
export interface NoticeFacts extends Readonly<Pick<Exchange, 'settled' | 'checkpoints'>> {
  readonly notices: NonNullable<ExchangeReply['notices']>
  /** The jobs whose present run is lost, as {@link lostRunsOf} finds them. */
  readonly lost: ReadonlySet<number>
  readonly identities: IdentityMap
  readonly records: RowRecords
}

export function noticesOf({ notices, lost, settled, checkpoints, identities, records }: NoticeFacts): Notices {
  const { recovered, endedByRecovery, needVerdict, cancelRequests } = notices
  const gone: JobRecord[] = []
  // Several exchanges may name one run, each for another settle or checkpoint that was ignored.
  const before = new Set<number>()
  const fences = new Map<number, number | undefined>()
  for (const seq of notices.lostRuns) {
    const record = identities.get(seq)
    if (record) fences.set(seq, identities.fenceOf(record))
  }
  for (const seq of lost) {
    const record = identities.get(seq)
    if (!record || !identities.runsHere(record)) before.add(seq)
    else gone.push(record)
    if (record) identities.noLongerRuns(record)
  }
  // After a stall this process finds its own jobs among those that were taken from a worker.
  for (const { seq, fence, state } of [...recovered, ...needVerdict]) {
    const record = identities.get(seq)
    const here = record && identities.fenceOf(record)
    if (!record || here === undefined || lost.has(seq) || (state === 'underway' && fence === here)) continue
    identities.noLongerRuns(record)
    gone.push(record)
  }
  const isOld = ({ record, fence }: { readonly record: JobRecord; readonly fence: number }): boolean =>
    before.has(record.seq) || (fences.has(record.seq) && fence !== fences.get(record.seq))
  const claimedAnew = needVerdict.map(row => {
    const record = records.recordOf(row)
    if (record.extras) record.extras.asOf = undefined
    identities.awaitVerdict(record)
    return record
  })
  const back = recovered.map(row => (endedByRecovery.includes(row.seq) ? records.recordOf(row) : records.seen(row)))
  return {
    lostRuns: gone,
    ignoredSettles: settled.filter(isOld),
    ignoredCheckpoints: checkpoints.filter(isOld),
    recovered: back,
    endedByRecovery: back.filter(({ seq }) => endedByRecovery.includes(seq)),
    needVerdict: claimedAnew,
    cancelRequests: cancelRequests.flatMap(({ seq, reason }) => {
      const record = identities.get(seq)
      return record ? [{ record, reason: reason === undefined ? undefined : errorFromJson(reason) }] : []
    }),
  }
}

/** @param dropped How many crash reports the store dropped because it keeps a limited number. */
export function reportsDropped(name: string, dropped: number): EventsLostError {
  return new EventsLostError(
    `${dropped} jobs of '${name}' were cut short when their process died, and their events are lost: no queue with a handler had the name, and only the newest ${maxReports} are kept for the next one; jobs({ state: 'failed' }) lists those that failed`,
    dropped,
  )
}
