/** Which of the jobs that a turn told of have gone on without the run that it told of. */
import type { Exchange, Settled } from '../../lib/backlog.ts'
import type { TurnDone } from './wire.ts'

/**
 * The jobs whose present run is lost. A run that was lost before may come to its end beside the run that has its job now:
 * the store then names the job for the sake of the older one, whose fence is not the present one.
 */
export function lostOf(
  { news }: TurnDone,
  settled: readonly Settled[],
  checkpoints: Exchange['checkpoints'],
): ReadonlySet<number> {
  const lost = new Set(news?.lost)
  if (lost.size === 0) return lost
  for (const { record, fence } of checkpoints) if (fence !== record.fence) lost.delete(record.seq)
  const seen = new Set<number>()
  for (const { record, fence } of settled) {
    if (fence !== record.fence || seen.has(record.seq)) lost.delete(record.seq)
    seen.add(record.seq)
  }
  return lost
}
