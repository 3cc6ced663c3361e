/**
 * I7, I8: the most important job first, and among equals the one that was put first. Where keys share, this holds within
 * each key.
 */
import type { Entry } from '../entry.ts'
import { FreeKeys } from './free-keys.ts'
import { at, type Checker, type Sure } from './judge.ts'
import { Waiting, type WaitingJob } from './waiting.ts'

/**
 * I7. FIFO within a priority: when a job starts, no job of the same priority that was put before it waits and is due.
 * "Put before" means: by the same process before it, or accepted before it was requested. A job that goes back, by
 * retry or recovery, keeps its place, except a job with a crash counted against it, which waits in a line of its own.
 */
export const firstInFirstOut: Checker = (history, sure, { slackMs }) => {
  order(history, sure, slackMs, (a, b) => a.priority === b.priority && isBefore(a, b))
}

/** I8. Priority: when a job starts, no more important one (a lower number) waits and is due. */
export const mostImportantFirst: Checker = (history, sure, { slackMs }) => {
  order(history, sure, slackMs, (a, b) => a.priority < b.priority)
}

function isBefore(a: WaitingJob, b: WaitingJob): boolean {
  const together = a.by.process === b.by.process
  return together ? a.by.seq < b.by.seq : a.acceptedSeq < b.by.seq
}

/** If no event shows when `own` was granted, its first line counts. */
function isGivenBefore(job: WaitingJob, own: WaitingJob): boolean {
  return job.given !== undefined && job.given.seq < (own.given?.seq ?? Infinity)
}

/** A job was passed over, and it is not known yet whether another process had claimed it. */
interface Passed {
  readonly job: WaitingJob
  readonly by: Entry<'launch'>
}

/**
 * Jobs are granted in order some time before their first lines. So only a job that was due at an earlier instant, and
 * `slackMs` before, was certainly passed over. If a process emitted `underway` for a job, it was granted by then: a job
 * whose launch must be stored before its first line may start behind others that were granted after it. With several
 * processes, another one may have claimed the job, unless the next entry about it is its start in the same process, by
 * the claim that follows its last start.
 */
function order(
  history: readonly Entry[],
  sure: Sure,
  slackMs: number,
  first: (a: WaitingJob, b: WaitingJob) => boolean,
): void {
  const waiting = new Waiting()
  const keys = new FreeKeys(slackMs)
  /** Whether the limits of its key let the job be passed over, or the other key's turn. */
  const mayBePassed = (job: WaitingJob, own: WaitingJob, entry: Entry): boolean => {
    const { key } = job.by
    if (key === own.by.key) return false
    if (keys.settings.isFair(entry, Infinity) !== false) return true
    return !(keys.freeAt(key, waiting.mostCost, entry) < entry.nowMs - slackMs)
  }
  let doubts: Passed[] = []
  const fences = new Map<string, number>()
  const judge = (holds: boolean, job: WaitingJob, entry: Entry<'launch'>): void =>
    sure(
      holds,
      () => `job ${entry.job} started while job ${job.id} was due and comes before it: ${at(entry)}`,
      job.by,
      entry,
    )
  for (const entry of history) {
    if (entry.kind === 'launch') {
      const own = waiting.jobs.get(entry.job)
      const between = (entry.fence ?? 0) > (fences.get(entry.job) ?? 0) + 1
      fences.set(entry.job, entry.fence ?? 0)
      for (const { job, by } of doubts) {
        if (job.id === entry.job) judge(by.process !== entry.process || between, job, by)
      }
      doubts = doubts.filter(({ job }) => job.id !== entry.job)
      const passed =
        own && own.changing === 0 && own.phase === 'waits' && !entry.crashes
          ? waiting
              .due(entry.nowMs - slackMs)
              .filter(job => job !== own && !isGivenBefore(job, own) && first(job, own))
              .filter(job => !mayBePassed(job, own, entry))
          : []
      const alone = waiting.processes <= 1 && !waiting.crashed
      if (passed.length === 0) sure(true, () => '')
      for (const job of passed) {
        if (alone) judge(false, job, entry)
        else doubts.push({ job, by: entry })
      }
    } else if (entry.kind === 'crash' || entry.kind === 'stop' || entry.kind === 'opened') doubts = []
    else if (entry.kind === 'emitted' && entry.job !== undefined && entry.event !== 'underway') {
      doubts = doubts.filter(({ job }) => job.id !== entry.job)
    }
    waiting.take(entry)
    keys.take(entry)
  }
}
