/** I23: a crash counts only against jobs that it is proven against. */
import type { Entry } from '../entry.ts'
import { at, type Checker, found, isEnding, isWaiting } from './judge.ts'

/** A run, from `underway` on, because a body whose launch is stored may die before its first line. */
interface Run {
  readonly process: string
  readonly job: string
  /** The launch, with the number of crashes that counted against the job before, once the handler was called. */
  launch: Entry<'launch'> | undefined
  /** The body has ended; until the job's ending is announced, it may not be stored. */
  released: boolean
  /** The job has ended, or waits again. */
  over: boolean
}

/**
 * I23. Blame: no more crashes count against a job than there were deaths during its runs. A process runs at most one
 * job at a time against which crashes count, and beside a job that the next crash would fail, none at all. A job that
 * fails with PoisonError was the only one underway when its process last died; if `crashLimit` is 1 or `afterCrash` is
 * 'fail', the first death is enough.
 */
export const blame: Checker = (history, sure) => {
  const runs = new Map<string, Run>()
  const deaths = new Map<string, number>()
  /** The jobs that were underway beside the job at the last death of its process, and that death. */
  const beside = new Map<string, { readonly others: readonly string[]; readonly crash: Entry }>()
  /** Manual retries, by call: the job, and the number of its deaths at the time of the request. */
  const retries = new Map<number, { readonly job: string; readonly count: number }>()
  const lastStalls = new Map<string, number>()
  for (const { kind, process, seq, ...of } of history) {
    if (kind === 'emitted' && 'event' in of && of.event === 'stalled') lastStalls.set(process, seq)
  }
  const stallsAfter = (process: string, { seq }: Entry): boolean => (lastStalls.get(process) ?? 0) > seq
  let limit: number | undefined
  let failsAtOnce = false
  const isSuspect = (run: Run): boolean => !run.over && (run.launch?.crashes ?? 0) > 0
  const isAlone = (run: Run): boolean =>
    isSuspect(run) && limit !== undefined && (run.launch?.crashes ?? 0) >= Math.max(limit - 1, 1)
  for (const entry of history) {
    if (entry.kind === 'opened') {
      if (entry.crashLimit !== undefined) limit = entry.crashLimit
      if (entry.afterCrash === 'fail') failsAtOnce = true
    }
    // If the retry takes effect, the job's crashes count from 0 again. A death before the reply may be before or after
    // that.
    if (entry.kind === 'retry') retries.set(entry.call, { job: entry.job, count: deaths.get(entry.job) ?? 0 })
    if (entry.kind === 'answered' && entry.of === 'retry') {
      const { job, count } = retries.get(entry.call) ?? { job: '', count: 0 }
      deaths.set(job, (deaths.get(job) ?? 0) - count)
    }
    if (entry.kind === 'emitted' && entry.event === 'underway' && entry.job !== undefined) {
      const { process, job } = entry
      runs.set(`${process} ${job}`, { process, job, launch: undefined, released: false, over: false })
    }
    if (entry.kind === 'release') {
      const run = runs.get(`${entry.process} ${entry.job}`)
      if (run) run.released = true
      if (run?.over) runs.delete(`${entry.process} ${entry.job}`)
    }
    const isOver = isEnding(entry) || isWaiting(entry) || (entry.kind === 'emitted' && entry.event === 'lost')
    if (isOver) {
      const key = `${entry.process} ${entry.job}`
      const run = runs.get(key)
      // A body that was never called, or has ended, holds up nobody.
      if (run && (!run.launch || run.released)) runs.delete(key)
      else if (run) run.over = true
    }
    if (entry.kind === 'emitted' && entry.event === 'failed' && entry.code === 'POISON') {
      const last = beside.get(entry.job as string)
      if (last && limit !== undefined && limit > 1 && !failsAtOnce) {
        const others = last.others.join(' and ')
        const message = (): string =>
          `job ${entry.job} is condemned, and ${others} was underway beside it: ${at(entry)}`
        sure(last.others.length === 0, message, last.crash, entry)
      }
    }
    if (entry.kind === 'crash') {
      const here = [...runs.values()].filter(({ process }) => process === entry.process)
      const called = here.filter(({ launch, released, over }) => launch && !released && !over).map(({ job }) => job)
      for (const { job, process } of here) {
        deaths.set(job, (deaths.get(job) ?? 0) + 1)
        beside.set(job, { others: called.filter(other => other !== job), crash: entry })
        runs.delete(`${process} ${job}`)
      }
    }
    const stalled = entry.kind === 'emitted' && entry.event === 'stalled'
    // Both are a death to the recovering process, though bodies run on, because the lock of a process belongs to its
    // thread.
    if (stalled || (entry.kind === 'fault' && /^(?:the )?thread dies/.test(entry.what))) {
      for (const run of runs.values()) {
        if (run.process !== entry.process) continue
        deaths.set(run.job, (deaths.get(run.job) ?? 0) + 1)
        if (stalled) run.over = true
      }
    }
    if (entry.kind !== 'launch') continue
    const { process, job, crashes = 0 } = entry
    const run = found(runs, `${process} ${job}`, () => ({
      process,
      job,
      launch: undefined,
      released: false,
      over: false,
    }))
    run.launch = entry as Entry<'launch'>
    const others = [...runs.values()].filter(
      other => other !== run && other.process === process && other.launch && !other.released,
    )
    if (crashes > 0) {
      // A loop that stands still notices only when it goes on that its jobs were taken over.
      const unnoticed = [...runs.values()].filter(
        other => other.job === job && other.process !== process && !other.over && stallsAfter(other.process, entry),
      )
      const count = (deaths.get(job) ?? 0) + unnoticed.length
      sure(crashes <= count, () => `job ${job} is blamed for ${crashes} crashes of ${count}: ${at(entry)}`, entry)
      const other = others.find(isSuspect)
      const message = (): string => `job ${job} started beside ${other?.job}, and both are suspects: ${at(entry)}`
      sure(other === undefined, message, ...(other?.launch ? [other.launch] : []), entry)
    }
    const lone = isAlone(run) ? others[0] : others.find(isAlone)
    if (crashes > 0 || lone) {
      const message = (): string => `job ${job} and ${lone?.job} ran at a time, and one was to run alone: ${at(entry)}`
      sure(lone === undefined, message, ...(lone?.launch ? [lone.launch] : []), entry)
    }
  }
}
