/** What a turn told besides, which is seldom anything: rows of the file become the records that somebody here may hold. */
import type { Exchange, Notices, Settlement } from '../../lib/backlog.ts'
import { EventsLostError } from '../../lib/errors.ts'
import type { JobRecord } from '../../lib/job.ts'
import { thrownFrom } from './error-json.ts'
import type { IdentityMap } from './identity-map.ts'
import { type ExchangeReply, type JobRow, maxReports } from './store.ts'

export interface NoticesParts {
  readonly identities: IdentityMap
  /** The record of that row, brought up to date. */
  recordOf(row: JobRow): JobRecord
  /** The same; one that has ended elsewhere is told to whoever waits for it. */
  seen(row: JobRow): JobRecord
}

/** @param lost The jobs of `told` whose present run is lost, as lost-runs.ts finds them. */
export function noticesOf(
  told: NonNullable<ExchangeReply['notices']>,
  lost: ReadonlySet<number>,
  settled: readonly Settlement[],
  checkpoints: Exchange['checkpoints'],
  { identities, recordOf, seen }: NoticesParts,
): Notices {
  const { recovered, endedByRecovery, needVerdict, cancelRequests } = told
  // What was never called has lost nothing, and only does not go back.
  const uncalled = settled.filter(({ record, kind }) => kind === 'notLaunched' && lost.has(record.seq))
  const gone: JobRecord[] = []
  // Several turns may tell of one run, each of something else that changed nothing.
  const before = new Set<number>()
  const fences = new Map<number, number | undefined>()
  for (const seq of told.lostRuns) {
    const record = identities.get(seq)
    if (record) fences.set(seq, identities.fenceOf(record))
  }
  for (const seq of lost) {
    const record = identities.get(seq)
    if (!record || !identities.runsHere(record)) before.add(seq)
    else if (!uncalled.some(one => one.record === record)) gone.push(record)
    if (record) identities.release(record)
  }
  // A loop that was silent for too long finds its own jobs among those that were taken from somebody.
  for (const { seq, fence, state } of [...recovered, ...needVerdict]) {
    const record = identities.get(seq)
    const here = record && identities.fenceOf(record)
    if (!record || here === undefined || lost.has(seq) || (state === 'underway' && fence === here)) continue
    identities.release(record)
    gone.push(record)
  }
  const isOld = ({ record, fence }: { readonly record: JobRecord; readonly fence: number }): boolean =>
    before.has(record.seq) || (fences.has(record.seq) && fence !== fences.get(record.seq))
  const claimedAnew = needVerdict.map(row => {
    const record = recordOf(row)
    if (record.extras) record.extras.asOf = undefined
    identities.awaitVerdict(record)
    return record
  })
  const back = recovered.map(row => (endedByRecovery.includes(row.seq) ? recordOf(row) : seen(row)))
  return {
    lostRuns: gone,
    ignoredSettles: [...settled.filter(isOld), ...uncalled],
    ignoredCheckpoints: checkpoints.filter(isOld),
    recovered: back,
    endedByRecovery: back.filter(({ seq }) => endedByRecovery.includes(seq)),
    needVerdict: claimedAnew,
    cancelRequests: cancelRequests.flatMap(({ seq, reason }) => {
      const record = identities.get(seq)
      return record ? [{ record, reason: reason === undefined ? undefined : thrownFrom(reason) }] : []
    }),
  }
}

/** @param dropped How many reports of crashes the store dropped for want of room. */
export function reportsDropped(name: string, dropped: number): EventsLostError {
  return new EventsLostError(
    `${dropped} jobs of '${name}' were cut short when their process died, and their events are lost: no queue with a handler had the name, and only the newest ${maxReports} are kept for the next one; jobs({ state: 'failed' }) lists those that failed`,
    dropped,
  )
}
