/** I7, I8: the most important first, and of those alike the first that was put. */
import type { Entry } from '../entry.ts'
import { at, type Checker, type Sure } from './judge.ts'
import { Waiting, type WaitingJob } from './waiting.ts'

/**
 * I7. FIFO within a priority: when a job starts, none of the same priority that was put before waits and is due. Put before
 * means: by the same process before it, or accepted before it was asked for. A job that comes back, by retry or recovery,
 * has its old place; but for one that was underway in a crash, which is in a line of its own.
 */
export const firstInFirstOut: Checker = (history, sure, { slackMs }) => {
  order(history, sure, slackMs, (a, b) => a.priority === b.priority && isBefore(a, b))
}

/** I8. Priority: when a job starts, none that is more important (a lower number) waits and is due. */
export const mostImportantFirst: Checker = (history, sure, { slackMs }) => {
  order(history, sure, slackMs, (a, b) => a.priority < b.priority)
}

function isBefore(a: WaitingJob, b: WaitingJob): boolean {
  const together = a.by.process === b.by.process
  return together ? a.by.seq < b.by.seq : a.acceptedSeq < b.by.seq
}

/** Where nobody heard when `own` was given out, that was at its first line. */
function isGivenBefore(job: WaitingJob, own: WaitingJob): boolean {
  return job.given !== undefined && job.given.seq < (own.given?.seq ?? Infinity)
}

/** Somebody was passed over, and it is not known yet whether another process had him. */
interface Passed {
  readonly job: WaitingJob
  readonly by: Entry<'launch'>
}

/**
 * Jobs are given out in order some time before their first lines, so only one that was due at an earlier instant, and
 * `slackMs` before, was surely passed over. Where a process heard `underway` of a job, it was given out by then: a job
 * whose launch has to be stored before its first line may begin behind others that were given out after it. Where there are several processes, another may have had it: that is so unless
 * the next that happens to it is its start in the same process, by the claim that follows its last start.
 */
function order(
  history: readonly Entry[],
  sure: Sure,
  slackMs: number,
  first: (a: WaitingJob, b: WaitingJob) => boolean,
): void {
  const waiting = new Waiting()
  let doubts: Passed[] = []
  const fences = new Map<string, number>()
  const tell = (holds: boolean, job: WaitingJob, entry: Entry<'launch'>): void =>
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
        if (job.id === entry.job) tell(by.process !== entry.process || between, job, by)
      }
      doubts = doubts.filter(({ job }) => job.id !== entry.job)
      const passed =
        own && own.changing === 0 && own.phase === 'waits' && !entry.crashes
          ? waiting.due(entry.nowMs - slackMs).filter(job => job !== own && !isGivenBefore(job, own) && first(job, own))
          : []
      const alone = waiting.processes <= 1 && !waiting.crashed
      if (passed.length === 0) sure(true, () => '')
      for (const job of passed) {
        if (alone) tell(false, job, entry)
        else doubts.push({ job, by: entry })
      }
    } else if (entry.kind === 'crash' || entry.kind === 'stop' || entry.kind === 'opened') doubts = []
    else if (entry.kind === 'heard' && entry.job !== undefined && entry.event !== 'underway') {
      doubts = doubts.filter(({ job }) => job.id !== entry.job)
    }
    waiting.take(entry)
  }
}
