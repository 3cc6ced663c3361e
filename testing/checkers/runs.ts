/**
 * I9, I14, I17, I18: attempts are counted, no job starts early, crashes are bounded, and checkpoints do not go back.
 */
import type { RetryPolicy } from '../../lib/job.ts'
import type { Entry } from '../entry.ts'
import { Announcements } from './announcements.ts'
import { at, type Checker, found, hairMs, isEnding, isWaiting } from './judge.ts'

/** The course of a job since its last start, or since it was put. */
interface Since {
  launch: Entry<'launch'> | undefined
  release: Entry<'release'> | undefined
  retry: Entry<'emitted'> | undefined
  /** The event that announced that it waits again. */
  back: Entry<'emitted'> | undefined
  /** Its process died, or lost the job. */
  cut: boolean
  /** Somebody requested it again: a manual retry, or a put of its id. Unanswered calls may yet take effect. */
  anew: boolean
  requesting: Set<number>
  attempts: number | undefined
  /** The put that created it, and all puts that requested it. */
  put: Entry<'put'> | undefined
  puts: Entry<'put'>[]
  known: boolean
  /** Requests for another due time since its last start, and which of them were answered. */
  moves: Entry<'cancel'>[]
  moved: Set<number>
}

/** Follows each job from start to start. */
class Followed {
  readonly #jobs = new Map<string, Since>()
  readonly #announcements = new Announcements()

  of(job: string): Since {
    return found(this.#jobs, job, () => ({
      ...{ launch: undefined, release: undefined, retry: undefined, back: undefined, cut: false },
      ...{
        anew: false,
        requesting: new Set<number>(),
        attempts: undefined,
        put: undefined,
        puts: [],
        known: false,
        moves: [],
        moved: new Set<number>(),
      },
    }))
  }
  take(entry: Entry): void {
    const ofPut = this.#announcements.ofPut(entry)
    switch (entry.kind) {
      case 'put': {
        if (entry.job === undefined) break
        const job = this.of(entry.job)
        job.puts.push(entry)
        if (job.known) this.called(job, entry.call)
        else Object.assign(job, { put: entry, known: true, attempts: entry.attempts })
        break
      }
      case 'reschedule':
      case 'promote':
        this.of(entry.job).moves.push(entry)
        break
      case 'retry':
        this.called(this.of(entry.job), entry.call)
        break
      case 'answered':
      case 'refused':
        for (const { requesting, moves, moved } of this.#jobs.values()) {
          requesting.delete(entry.call)
          if (entry.kind === 'answered' && moves.some(({ call }) => call === entry.call)) moved.add(entry.call)
        }
        break
      case 'accepted': {
        const job = this.of(entry.job)
        job.requesting.delete(entry.call)
        const put = entry.existed ? undefined : job.puts.find(({ call }) => call === entry.call)
        if (put) Object.assign(job, { put, attempts: put.attempts })
        break
      }
      case 'launch': {
        const job = this.of(entry.job)
        Object.assign(job, {
          ...{ launch: entry, release: undefined, retry: undefined, back: undefined, cut: false },
          anew: job.requesting.size > 0,
          // An unanswered request may take effect after this run.
          moves: job.moves.filter(({ call }) => !job.moved.has(call)),
          moved: new Set<number>(),
        })
        break
      }
      case 'release': {
        const job = this.of(entry.job)
        if (job.launch?.process === entry.process && job.launch.attempt === entry.attempt) job.release = entry
        break
      }
      case 'crash':
        for (const job of this.#jobs.values()) if (job.launch?.process === entry.process) job.cut = true
        break
      case 'emitted': {
        if (entry.job === undefined) break
        const job = this.of(entry.job)
        if (entry.event === 'retry') job.retry = entry
        else if (isWaiting(entry) && !ofPut) job.back = entry
        else if (entry.event === 'lost' || entry.event === 'recovered') job.cut = true
      }
    }
  }
  called(job: Since, call: number): void {
    job.anew = true
    job.requesting.add(call)
  }
}

/**
 * I9. The attempts of a job are 1, 2, 3, … without a gap and never above its maximum; a manual retry starts from 1
 * again. A run that uses no attempt is followed by another of the same number: after `RetryLater` and `Throttled`,
 * after a stop that interrupted it, and after the death of its process (design.md: crashes use no attempt of `retry`),
 * unless crashes count as attempts.
 */
export const attemptsCount: Checker = (history, sure) => {
  const followed = new Followed()
  const most = new Map<string, number | undefined>()
  for (const entry of history) {
    if (entry.kind === 'opened') most.set(entry.process, entry.attempts)
    if (entry.kind === 'launch') {
      const job = followed.of(entry.job)
      if (job.known) {
        const allowed = nextAttempts(job)
        const message = (): string =>
          `job ${entry.job} started at attempt ${entry.attempt}, not ${allowed.join(' or ')}: ${at(entry)}`
        sure(allowed.includes(entry.attempt), message, ...(job.launch ? [job.launch] : []), entry)
      }
      const own = job.puts.some(put => put.attempts !== job.attempts) ? Infinity : job.attempts
      const limit = own ?? most.get(entry.process) ?? Infinity
      sure(
        entry.attempt <= limit,
        () => `job ${entry.job} started at attempt ${entry.attempt} of ${limit}: ${at(entry)}`,
        entry,
      )
    }
    followed.take(entry)
  }
}

function nextAttempts({ launch, release, retry, cut, anew }: Since): number[] {
  if (!launch) return [1]
  const { attempt } = launch
  const callsLater = release?.code === 'RETRY_LATER' || release?.code === 'THROTTLED'
  // A body that returned may still have been too late.
  const failed = release !== undefined && !callsLater
  // For a process that died it is unknown whether the error of its body was stored.
  const next = retry
    ? [attempt + 1]
    : cut
      ? failed
        ? [attempt, attempt + 1]
        : [attempt]
      : callsLater
        ? [attempt]
        : [attempt, attempt + 1]
  return anew ? [1, ...next] : next
}

/**
 * I14. Not early: a job starts no sooner than its `delay` after the request, by the steady clock, and no sooner than
 * its `runAt`, by the wall clock; after a failed attempt or `RetryLater` no sooner than the announced wait, counted
 * from the end of the body. A manual retry waits for neither, and a job that was rescheduled or promoted waits for that
 * alone. The announced wait follows the policy, if that is known: with jitter it is at least half.
 */
export const notEarly: Checker = (history, sure) => {
  const followed = new Followed()
  const policies = new Map<string, RetryPolicy | undefined>()
  let latestWallMs = -Infinity
  for (const entry of history) {
    if (entry.kind === 'opened') policies.set(entry.process, entry.retry)
    if (entry.kind === 'emitted' && entry.event === 'retry' && entry.job !== undefined && entry.delayMs !== undefined) {
      const { put, launch } = followed.of(entry.job)
      const policy = put?.retry ?? policies.get(entry.process)
      if (policy && launch?.process === entry.process) {
        const most = Math.min(policy.delayMs * policy.factor ** (launch.attempt - 1), policy.maxMs)
        const least = policy.jitter ? most / 2 : most
        const { delayMs } = entry
        const message = (): string => `job ${entry.job} waits ${delayMs} ms, not ${least} to ${most}: ${at(entry)}`
        sure(delayMs >= least - hairMs && delayMs <= most + hairMs, message, launch, entry)
      }
    }
    // The entry of a jump has the reading of the clock after it.
    const before = entry.kind === 'jump' ? entry.wallMs - entry.ms : -Infinity
    latestWallMs = Math.max(latestWallMs, entry.wallMs, before)
    if (entry.kind === 'launch') {
      const { put, launch, release, retry, back, cut, anew, moves, moved } = followed.of(entry.job)
      const tooEarly = (since: Entry, ms: number, what: string): void => {
        const dueAt = since.nowMs + ms
        const message = (): string => `job ${entry.job} started before ${dueAt} ms, ${what}: ${at(entry)}`
        sure(entry.nowMs + hairMs >= dueAt, message, since, entry)
      }
      if (!launch && put && !anew && moves.length === 0) {
        if (put.delayMs !== undefined) tooEarly(put, put.delayMs, `its delay`)
        const { runAtMs } = put
        if (runAtMs !== undefined) {
          const message = (): string => `job ${entry.job} started before its runAt of ${runAtMs}: ${at(entry)}`
          sure(latestWallMs >= runAtMs, message, put, entry)
        }
      }
      const [move] = moves
      const isSince = move !== undefined && (!launch || move.seq > launch.seq)
      if (move?.delayMs !== undefined && isSince && moves.length === 1 && moved.has(move.call) && !anew) {
        tooEarly(move, move.delayMs, 'to which it was rescheduled')
      }
      if (launch && release && !cut && !anew && moves.length === 0) {
        if (retry?.delayMs !== undefined) tooEarly(release, retry.delayMs, 'the wait before its next attempt')
        else if (release.code === 'RETRY_LATER' && release.afterMs !== undefined && back?.event === 'delayed') {
          tooEarly(release, release.afterMs, 'as RetryLater requires')
        }
      }
    }
    followed.take(entry)
  }
}

/**
 * I17. Crash bound: a process may die during `crashLimit` runs of a job, and during one more if it is unknown whether
 * its handler had been called; after that the job never starts by itself again. A run counts if neither its body's end
 * nor its job's ending or return was seen before the death. (If crashes counted as attempts, the bound would be that of
 * attempts; here it is separate.)
 */
export const crashBound: Checker = (history, sure) => {
  const deaths = new Map<string, Entry[]>()
  const running = new Map<string, Entry<'launch'>>()
  /** Unanswered manual retries: a death meanwhile may be before or after them. */
  const retries = new Map<number, string>()
  let limit: number | undefined
  for (const entry of history) {
    if (entry.kind === 'opened' && entry.crashLimit !== undefined) limit = Math.max(limit ?? 0, entry.crashLimit)
    if (entry.kind === 'retry') retries.set(entry.call, entry.job)
    if (entry.kind === 'retry' || (entry.kind === 'put' && entry.job !== undefined)) deaths.delete(entry.job as string)
    if (entry.kind === 'answered' || entry.kind === 'refused') {
      if (entry.kind === 'answered') deaths.delete(retries.get(entry.call) ?? '')
      retries.delete(entry.call)
    }
    if (
      entry.kind === 'release' ||
      isEnding(entry) ||
      isWaiting(entry) ||
      (entry.kind === 'emitted' && entry.event === 'lost')
    ) {
      running.delete(`${entry.process} ${entry.job}`)
    }
    if (entry.kind === 'crash') {
      for (const [key, launch] of running) {
        if (launch.process !== entry.process) continue
        found(deaths, launch.job, () => []).push(launch, entry)
        running.delete(key)
      }
    }
    if (entry.kind !== 'launch') continue
    running.set(`${entry.process} ${entry.job}`, entry)
    const before = deaths.get(entry.job) ?? []
    const count = before.length / 2
    if (limit !== undefined && ![...retries.values()].includes(entry.job)) {
      const most = limit + 1
      sure(
        count < most,
        () => `job ${entry.job} started again after ${count} deaths of ${most}: ${at(entry)}`,
        ...before,
        entry,
      )
    }
  }
}

/**
 * I18. Checkpoints: a run begins with the value that was stored last, or with a value whose storage was requested
 * since, if the requesting process died before the reply; without one, if none was ever requested. A job that is put
 * again because its id was forgotten has none.
 */
export const checkpointsStay: Checker = (history, sure) => {
  const stored = new Map<string, Entry<'stored'>>()
  const called = new Map<string, Entry<'checkpoint'>[]>()
  /** Put again: another job, if the id was free. */
  const anew = new Map<string, number>()
  const puts = new Set<string>()
  for (const entry of history) {
    if (entry.kind === 'put' && entry.job !== undefined) {
      if (puts.has(entry.job)) anew.set(entry.job, entry.call)
      puts.add(entry.job)
    }
    if (entry.kind === 'accepted' && entry.existed && anew.get(entry.job) === entry.call) anew.delete(entry.job)
    // Another job, which may have stored a checkpoint already, because fences of one job only grow.
    const before = entry.kind === 'launch' ? (stored.get(entry.job)?.fence ?? 0) : 0
    if (entry.kind === 'launch' && (entry.fence ?? Infinity) <= before) {
      stored.delete(entry.job)
      called.delete(entry.job)
    }
    if (entry.kind === 'checkpoint') found(called, entry.job, () => []).push(entry as Entry<'checkpoint'>)
    if (entry.kind === 'stored') {
      stored.set(entry.job, entry as Entry<'stored'>)
      // Values requested before the stored one, in the same run, are overwritten.
      const later = called.get(entry.job) ?? []
      const i = later.findIndex(({ value, process }) => value === entry.value && process === entry.process)
      called.set(entry.job, later.slice(i + 1))
    }
    if (entry.kind !== 'launch') continue
    const { job, restored } = entry
    if (anew.has(job) && restored === undefined) {
      for (const known of [stored, called, anew]) known.delete(job)
    }
    const last = stored.get(job)
    const since = called.get(job) ?? []
    if (!last && since.length === 0 && restored === undefined) continue
    const allowed = [last?.value, ...since.map(({ value }) => value)]
    const message = (): string => `job ${job} began with ${restored} and not with ${allowed.join(' or ')}: ${at(entry)}`
    sure(allowed.includes(restored), message, ...(last ? [last] : []), ...since, entry)
  }
}
