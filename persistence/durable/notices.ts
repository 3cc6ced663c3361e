/** What a turn told besides, which is seldom anything: rows of the file become the records that somebody here may hold. */
import type { Exchange, Notices, Settlement } from '../../lib/backlog.ts'
import { EventsLostError } from '../../lib/errors.ts'
import type { JobRecord } from '../../lib/job.ts'
import { thrownOf } from './error-json.ts'
import type { Followed } from './identity-map.ts'
import { type JobRow, maxReports, type TurnDone } from './store.ts'

export interface NewsParts {
  readonly followed: Followed
  /** The record of that row, brought up to date. */
  recordOf(row: JobRow): JobRecord
  /** The same; one that has ended elsewhere is told to whoever waits for it. */
  seen(row: JobRow): JobRecord
}

/** @param lost The jobs of `told` whose present run is lost, as lost-runs.ts finds them. */
export function newsOf(
  told: NonNullable<TurnDone['news']>,
  lost: ReadonlySet<number>,
  settled: readonly Settlement[],
  checkpoints: Exchange['checkpoints'],
  { followed, recordOf, seen }: NewsParts,
): Notices {
  const { recovered, endedSo, inDoubt, cancels } = told
  // What was never called has lost nothing, and only does not go back.
  const uncalled = settled.filter(({ record, kind }) => kind === 'notLaunched' && lost.has(record.seq))
  const gone: JobRecord[] = []
  // Several turns may tell of one run, each of something else that changed nothing.
  const before = new Set<number>()
  const fences = new Map<number, number | undefined>()
  for (const seq of told.lost) {
    const record = followed.get(seq)
    if (record) fences.set(seq, followed.fenceOf(record))
  }
  for (const seq of lost) {
    const record = followed.get(seq)
    if (!record || !followed.runsHere(record)) before.add(seq)
    else if (!uncalled.some(one => one.record === record)) gone.push(record)
    if (record) followed.release(record)
  }
  // A loop that was silent for too long finds its own jobs among those that were taken from somebody.
  for (const { seq, fence, state } of [...recovered, ...inDoubt]) {
    const record = followed.get(seq)
    const here = record && followed.fenceOf(record)
    if (!record || here === undefined || lost.has(seq) || (state === 'underway' && fence === here)) continue
    followed.release(record)
    gone.push(record)
  }
  const isOld = ({ record, fence }: { readonly record: JobRecord; readonly fence: number }): boolean =>
    before.has(record.seq) || (fences.has(record.seq) && fence !== fences.get(record.seq))
  const claimedAnew = inDoubt.map(row => {
    const record = recordOf(row)
    if (record.extras) record.extras.asOf = undefined
    followed.doubt(record)
    return record
  })
  const back = recovered.map(row => (endedSo.includes(row.seq) ? recordOf(row) : seen(row)))
  return {
    lostRuns: gone,
    ignoredSettles: [...settled.filter(isOld), ...uncalled],
    ignoredCheckpoints: checkpoints.filter(isOld),
    recovered: back,
    endedByRecovery: back.filter(({ seq }) => endedSo.includes(seq)),
    needVerdict: claimedAnew,
    cancelRequests: cancels.flatMap(({ seq, reason }) => {
      const record = followed.get(seq)
      return record ? [{ record, reason: reason === undefined ? undefined : thrownOf(reason) }] : []
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
