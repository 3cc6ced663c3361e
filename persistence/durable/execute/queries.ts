/** Queries that change nothing: why a job does not run, and what holds for keys. */
import type { KeyReport, KeysQuery } from '../../../lib/backlog.ts'
import type { Due } from '../../../lib/decisions/due.ts'
import { explainWait } from '../../../lib/decisions/explain.ts'
import type { JobState } from '../../../lib/job.ts'
import { freeSlots } from '../../../lib/limits/global-width.ts'
import { heldUntil } from '../../../lib/limits/hold.ts'
import type { Refusal } from '../../../lib/limits/limit.ts'
import { refusalOf } from '../../../lib/limits/limits.ts'
import { blockingByRules } from '../../../lib/limits/named-rules.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import type { ExplainReply, ExplainRequest, JobRow, RowRef } from '../store.ts'
import type { LimitStore } from './limit-store.ts'
import type { QueueState } from './queue-state.ts'
import { namedRules } from './rules.ts'

interface HoldStore<Queue> {
  /** Until when the key is held, in a queue that is not sorted by key. */
  heldUntil(queue: Queue, key: string): number | undefined
}

export interface ExplainStore<Queue, Job> extends HoldStore<Queue> {
  readonly limits: LimitStore<Queue>
  locate(queue: Queue, target: RowRef): Job | undefined
  rowOf(queue: Queue, job: Job): JobRow
  /** When a delayed job comes due. */
  dueOf(job: Job): Due | undefined
  /** How many bodies of the queue run, in all processes. */
  bodies(queue: Queue): number
  /**
   * How many jobs start before this one, which is pending: of its key where keys take turns, of suspects if it is one.
   */
  startBefore(queue: Queue, job: Job): number
  /** Whether nothing else starts in this process, because a suspect runs alone. */
  runsAlone(): boolean
}
export interface ExplainedJob {
  readonly state: JobState
  readonly key: string | undefined
  readonly cost: Cost | undefined
  readonly crashes: number
}

export function explain<Queue extends QueueState, Job extends ExplainedJob>(
  store: ExplainStore<Queue, Job>,
  queue: Queue,
  { target, now, wall }: ExplainRequest,
): ExplainReply | undefined {
  const job = store.locate(queue, target)
  if (!job) return undefined
  const { limits } = store
  const { key, cost, crashes } = job
  const isSorted = queue.keysVersion > 0
  const isPending = job.state === 'pending'
  const bounds = {
    due: job.state === 'delayed' ? store.dueOf(job) : undefined,
    keyHeldUntil: key === undefined || isSorted ? undefined : holdOf(store, queue, key, now)?.until,
    blocking: blockingByRules(limits.rate(queue), namedRules(limits, queue), cost, now),
    refusal: key !== undefined && isSorted ? refusalOf(limits.keyNow(queue, key, now), cost, now) : undefined,
    noFreeSlot: queue.globalWidth < Infinity && freeSlots(queue.globalWidth, store.bodies(queue)) === 0,
    waitsForSuspect: isPending && (crashes > 0 || store.runsAlone()),
  }
  const { ofKey, ...explained } = explainWait(bounds, now, wall)
  return {
    row: store.rowOf(queue, job),
    position: isPending ? store.startBefore(queue, job) : undefined,
    ...explained,
    ...(ofKey && { key: key as string }),
  }
}

/** The hold of the key, where keys are not limited. */
function holdOf<Queue>(store: HoldStore<Queue>, queue: Queue, key: string, now: number): Refusal | undefined {
  const until = store.heldUntil(queue, key)
  return until !== undefined && until > now ? heldUntil(until) : undefined
}

export interface KeyReportStore<Queue> extends HoldStore<Queue> {
  readonly limits: LimitStore<Queue>
  /** The first key behind that one that has jobs which wait or run, or an override. */
  nextKey(queue: Queue, after: string): string | undefined
  /** The jobs of the key that wait or run. */
  countsOfKey(queue: Queue, key: string): Pick<KeyReport, 'pending' | 'delayed' | 'underway'>
  /** Why the next job of the key may not start. */
  refusalOfNext(queue: Queue, key: string, now: number): Refusal | undefined
}

/** Keys that have jobs which wait or run, or an override, in order of key. */
export function reportKeys<Queue extends QueueState>(
  store: KeyReportStore<Queue>,
  queue: Queue,
  { key, state, limit, after = '' }: KeysQuery,
  now: number,
): readonly KeyReport[] {
  const found: KeyReport[] = []
  let name = key ?? store.nextKey(queue, after)
  while (name !== undefined && found.length < limit) {
    const counts = store.countsOfKey(queue, name)
    const isListed =
      counts.pending + counts.delayed + counts.underway > 0 || store.limits.override(queue, name) !== undefined
    if (isListed && (state === undefined || counts[state] > 0)) {
      const refusal = queue.keysVersion > 0 ? store.refusalOfNext(queue, name, now) : holdOf(store, queue, name, now)
      const until = refusal && refusal.until < Infinity ? refusal.until : undefined
      found.push({ key: name, ...counts, why: refusal?.why, until })
    }
    name = key === undefined ? store.nextKey(queue, name) : undefined
  }
  return found
}
