/** Which of the jobs that a turn told of have gone on without the run that it told of. */
import type { Exchange, Settlement } from '../../lib/backlog.ts'
import type { JobRecord } from '../../lib/job.ts'
import type { IdentityMap } from './identity-map.ts'
import type { ExchangeReply } from './store.ts'

/**
 * The jobs whose present run is lost. A run that was lost before may come to its end beside the run that has its job now:
 * the store then names the job for the sake of the older one, whose fence is not the one that runs here.
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
