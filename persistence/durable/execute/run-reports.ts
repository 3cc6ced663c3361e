/** Reports of runs before their end: launches and checkpoints. */
import type { ExchangeRequest, JobRow } from '../store.ts'

/** Notices for the reply, gathered while the reports of runs are executed. */
export interface RunNotices {
  /** Runs whose claim is no longer valid. */
  readonly lostRuns: Set<number>
  /** Runs whose handler has recorded the ending itself. */
  readonly within: number[]
  /** Jobs that ended without a run. */
  readonly endedUnrun: JobRow[]
}

export interface RunReportStore<Queue> {
  /**
   * From now on a crash counts against these jobs: those with successive seqs and this fence that this worker holds.
   * Returns how many there are.
   */
  markLaunchReported(queue: Queue, first: number, last: number, fence: number): number
  /** Keeps the checkpoint of a run for later runs. Returns whether this worker holds the job by that claim. */
  saveCheckpoint(queue: Queue, seq: number, fence: number, value: string): boolean
}

/** Jobs that were claimed in succession take one call. */
export function reportLaunches<Queue>(
  store: RunReportStore<Queue>,
  queue: Queue,
  { seqs, fences, first }: ExchangeRequest['launchReports'],
  { lostRuns }: RunNotices,
): void {
  for (let from = 0, to = 0; from < seqs.length; from = to) {
    const [seq, fence] = [seqs[from] as number, fences[from] as number]
    do to++
    while (!first[from] && !first[to] && seqs[to] === seq + to - from && fences[to] === fence)
    const marked = store.markLaunchReported(queue, seq, seq + to - from - 1, fence)
    // Nobody waits for the report of a body that runs already.
    if (marked === 0 && first[from]) lostRuns.add(seq)
  }
}

export function reportCheckpoints<Queue>(
  store: RunReportStore<Queue>,
  queue: Queue,
  checkpoints: ExchangeRequest['checkpoints'],
  { lostRuns }: RunNotices,
): void {
  for (const { seq, fence, value } of checkpoints) {
    if (!store.saveCheckpoint(queue, seq, fence, value)) lostRuns.add(seq)
  }
}
