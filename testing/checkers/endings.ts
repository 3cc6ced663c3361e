/** I3, I11, I16: each job ends once, its events come in order, and everybody who awaits it gets the same result. */
import type { Entry } from '../entry.ts'
import { Announcements } from './announcements.ts'
import { at, type Checker, found, isEnding, isWaiting } from './judge.ts'

/** How often a job may end: once for its put, and once more for each manual retry or new put of its id. */
class Lives {
  readonly called = new Map<string, { puts: Set<number>; existed: number; retries: Set<number>; before: number }>()
  take(entry: Entry): void {
    // A job from before the history has had a put that is not recorded.
    if (entry.kind === 'launch' && !this.called.has(entry.job)) this.#of(entry.job).before = 1
    if (entry.kind === 'put' && entry.job !== undefined) this.#of(entry.job).puts.add(entry.call)
    else if (entry.kind === 'accepted' && entry.existed) this.#of(entry.job).existed++
    else if (entry.kind === 'retry') this.#of(entry.job).retries.add(entry.call)
    else if (entry.kind === 'refused' && entry.code !== 'OUTCOME_UNKNOWN') {
      for (const { puts, retries } of this.called.values()) {
        puts.delete(entry.call)
        retries.delete(entry.call)
      }
    }
  }
  /** An upper bound: an unanswered request counts as granted. */
  of(job: string): number {
    const { puts, existed, retries, before } = this.#of(job)
    return Math.max(puts.size - existed + before, 1) + retries.size
  }
  #of(job: string): { puts: Set<number>; existed: number; retries: Set<number>; before: number } {
    return found(this.called, job, () => ({ puts: new Set(), existed: 0, retries: new Set(), before: 0 }))
  }
}

/** Whether the process was notified, or could not be notified any more, that this run of the job had lost it. */
function disowned(history: readonly Entry[], launch: Entry<'launch'>): boolean {
  return history.some(
    entry =>
      entry.seq > launch.seq &&
      entry.process === launch.process &&
      (entry.kind === 'crash' ||
        (entry.kind === 'emitted' &&
          (entry.event === 'stalled' || (entry.event === 'lost' && entry.job === launch.job)))),
  )
}

/**
 * A process that reported a crash and then died may be followed by one that reports it again, because it cannot know.
 */
function forgetUnacknowledged(announced: Map<string, Entry[]>, recovered: ReadonlySet<string>, process: string): void {
  for (const [job, endings] of announced) {
    if (!recovered.has(`${process} ${job}`)) continue
    announced.set(
      job,
      endings.filter(entry => entry.process !== process),
    )
  }
}

/**
 * I3. No double finish: in each life of a job, all processes together announce at most one ending, and no run starts
 * after it. An ending by a crash may be announced again if the process that announced it dies too. A manual retry, or a
 * put of an id that is forgotten, opens another life. If the history shows the store, it records at most one ending.
 */
export const endsOnce: Checker = (history, sure) => {
  const lives = new Lives()
  const announced = new Map<string, Entry[]>()
  const recorded = new Map<string, Entry[]>()
  /** By process and job: recovered there, and not underway since. */
  const recovered = new Set<string>()
  for (const entry of history) {
    lives.take(entry)
    if (entry.kind === 'emitted' && entry.event === 'recovered') recovered.add(`${entry.process} ${entry.job}`)
    if (entry.kind === 'launch') recovered.delete(`${entry.process} ${entry.job}`)
    if (entry.kind === 'crash') forgetUnacknowledged(announced, recovered, entry.process)
    if (isEnding(entry) && entry.job !== undefined) {
      const endings = found(announced, entry.job, () => [])
      endings.push(entry)
      const holds = endings.length <= lives.of(entry.job)
      sure(holds, () => `job ${entry.job} ended again, as ${entry.event}: ${at(entry)}`, ...endings)
    } else if (entry.kind === 'recorded' && entry.changed && /^(?:finished|failed|cancelled)$/.test(entry.as)) {
      const endings = found(recorded, entry.job, () => [])
      endings.push(entry)
      const holds = endings.length <= lives.of(entry.job)
      sure(holds, () => `job ${entry.job} was recorded as ${entry.as} again: ${at(entry)}`, ...endings)
    } else if (entry.kind === 'launch') {
      const endings = announced.get(entry.job) ?? []
      const holds = endings.length < lives.of(entry.job) || disowned(history, entry)
      sure(holds, () => `job ${entry.job} started after it had ended: ${at(entry)}`, ...endings, entry)
    }
  }
}

/** The progress of one job's events in one process. */
interface Course {
  at: 'out' | 'waits' | 'underway' | 'returns' | 'ended' | 'settled'
  last: Entry<'emitted'> | undefined
  /** The job was underway here once. */
  ran: boolean
  launched: boolean
  released: boolean
  /** `pending` or `delayed` was announced, either for the put or because the job went back without a call. */
  perhapsBack: boolean
  recovered: boolean
  /** The process was notified since that it had lost all its claims. */
  stalled: boolean
  /** Somebody requested that it run again, or cancelled it. */
  reopened: boolean
  cut: boolean
}

/**
 * I11. Event grammar: for each job and process `(pending | delayed)* (underway (progress | checkpoint)* [retry]
 * (pending | delayed))* [underway (progress | checkpoint)*] (finished | failed | cancelled) settled`, and then nothing
 * but `stuck` and `abandoned` of a body that still runs. Events are local, so a process may emit fewer; on a file a job
 * may be underway before its put is announced. `recovered` may come at any time, and `lost` ends `underway`. Each first
 * line follows `underway` of its attempt, and `finished` follows the body's end.
 */
export const eventsInOrder: Checker = (history, sure) => {
  const courses = new Map<string, Course>()
  const announcements = new Announcements()
  const fresh = (): Course => ({
    ...{ at: 'out', last: undefined, ran: false, launched: false, released: false, perhapsBack: false },
    ...{ recovered: false, stalled: false, reopened: false, cut: false },
  })
  /** Unanswered calls that make a job run again. An ending in the meantime may have been before them. */
  const requesting = new Map<string, Set<number>>()
  /**
   * Jobs whose ending was announced since their last start; and jobs that were retried, so they must have ended, before
   * that was announced.
   */
  const ended = new Set<string>()
  const owed = new Set<string>()
  const of = (process: string, job: string): Course => found(courses, `${process} ${job}`, fresh)
  const each = (job: string, does: (course: Course) => void): void => {
    for (const [key, course] of courses) if (key.endsWith(` ${job}`)) does(course)
  }
  for (const entry of history) {
    const ofPut = announcements.ofPut(entry)
    if (entry.kind === 'opened' || entry.kind === 'crash') {
      for (const key of courses.keys()) if (key.startsWith(`${entry.process} `)) courses.delete(key)
    } else if (entry.kind === 'retry' || (entry.kind === 'put' && entry.job !== undefined)) {
      const { job } = entry
      if (job === undefined) continue
      of(entry.process, job)
      each(job, course => (course.reopened = true))
      found(requesting, job, () => new Set()).add(entry.call)
    } else if (isAnswer(entry)) {
      for (const [job, calls] of requesting) {
        const retried = calls.delete(entry.call) && entry.kind === 'answered' && entry.of === 'retry'
        if (retried && !ended.has(job)) owed.add(job)
      }
    } else if (entry.kind === 'cancel' || entry.kind === 'recorded') {
      // The ending was recorded while the body runs, and is announced when the run is interrupted.
      each(entry.job, course => (course.cut = true))
    } else if (entry.kind === 'emitted' && entry.event === 'stalled') {
      for (const [key, course] of courses) if (key.startsWith(`${entry.process} `)) course.stalled = true
    } else if (entry.kind === 'release') of(entry.process, entry.job).released = true
    else if (entry.kind === 'launch') {
      const course = of(entry.process, entry.job)
      const { last } = course
      course.launched = true
      ended.delete(entry.job)
      const holds = last?.event === 'underway' && last.attempt === entry.attempt
      sure(holds, () => `job ${entry.job} started without its event underway: ${at(entry)}`, entry)
    } else if (entry.kind === 'emitted' && entry.job !== undefined) {
      const course = of(entry.process, entry.job)
      const { last } = course
      const late = ofPut && course.at === 'underway'
      if (late && (!course.launched || course.released)) course.perhapsBack = true
      const problem = late ? undefined : follow(course, entry)
      if (isEnding(entry)) {
        course.reopened = (requesting.get(entry.job)?.size ?? 0) > 0 || owed.delete(entry.job)
        ended.add(entry.job)
      }
      const message = (): string => `job ${entry.job} emitted ${entry.event} ${problem}: ${at(entry)}`
      sure(problem === undefined, message, ...(last ? [last] : []), entry)
      if (!late) course.last = entry
    }
  }
}

/** Whether the result of the call is known from here on. */
function isAnswer(entry: Entry): entry is Entry<'accepted'> | Entry<'answered'> | Entry<'refused'> {
  if (entry.kind === 'refused') return entry.code !== 'OUTCOME_UNKNOWN'
  return entry.kind === 'accepted' || entry.kind === 'answered'
}

/** Moves one event forward. Returns what is wrong, if anything. */
function follow(course: Course, entry: Entry<'emitted'>): string | undefined {
  const { event } = entry
  const from = course.at
  const over = from === 'ended' || from === 'settled'
  if (event === 'recovered') {
    course.recovered = true
    if (over || entry.state === 'pending' || entry.state === 'delayed') course.at = 'out'
    // The interrupted run may have been one of this very process, and the job may have been claimed here again.
    else if (course.stalled) course.perhapsBack = true
    return undefined
  }
  if (event === 'stuck' || event === 'abandoned') return course.ran ? undefined : 'and never ran here'
  if (event === 'lost') {
    course.at = 'out'
    return from === 'underway' ? undefined : 'and was not underway'
  }
  if (event === 'settled') {
    course.at = 'settled'
    return from === 'ended' ? undefined : 'and no ending before it'
  }
  if (from === 'ended') return `after ${course.last?.event} and before settled`
  if (from === 'settled' && !course.reopened) return `after it had ended and settled`
  if (from === 'returns' && !isWaiting(entry)) return 'after retry, and not that it waits'
  if (isEnding(entry)) {
    const early = event === 'finished' && course.ran && !course.released && !course.recovered && !course.cut
    course.at = 'ended'
    if (entry.state !== undefined && entry.state !== event) return `while its state is ${entry.state}`
    return early ? 'before its body had ended' : undefined
  }
  if (isWaiting(entry)) {
    course.at = 'waits'
    return undefined
  }
  if (event === 'underway') {
    const isSecond = from === 'underway' && !course.perhapsBack
    Object.assign(course, { at: 'underway', ran: true, launched: false, released: false, recovered: false, cut: false })
    course.perhapsBack = course.stalled = false
    return isSecond ? 'twice' : undefined
  }
  if (event === 'retry') course.at = 'returns'
  // A body whose job was taken away runs on until its process is notified.
  const goesOn = course.recovered && course.ran && !course.released
  return from === 'underway' || goesOn ? undefined : 'and was not underway'
}

/** The codes with which a put is refused. `run` rejects the same promise that reports the job's ending. */
const refusals: ReadonlySet<string | undefined> = new Set([
  ...['OPTION', 'PAYLOAD', 'QUEUE_FULL', 'ID_CONFLICT', 'COST', 'QUEUE_STOPPED', 'OUTCOME_UNKNOWN', 'STORE'],
  ...['DISK_FULL', 'BACKLOG_BUSY', 'BACKLOG_DISK', 'BACKLOG_CORRUPT', 'BACKLOG_THREAD', 'BACKLOG_FILE'],
])

/**
 * I16. Promise coherence: the promises of `run` and `job.result` settle once, in agreement with the job's ending:
 * resolved after `finished` was announced, rejected after `failed` or `cancelled`, or because the job was removed, its
 * run lost, the queue stopped or the put refused. After a stop none stays pending. `idle` resolves only when everything
 * that this process put before has ended. An inventory agrees with what was announced.
 */
export const promisesHold: Checker = (history, sure) => {
  const endings = new Map<string, Entry<'emitted'>>()
  const settled = new Map<number, Entry<'settled'>>()
  const promised = new Map<number, Entry<'promised'>>()
  const here = new Set<string>()
  const removed = new Set<string>()
  const lost = new Set<string>()
  const stopping = new Set<string>()
  const accepted = new Set<string>()
  const reopened = new Set<string>()
  const open = new Map<string, Entry>()
  /** Jobs that somebody requested to remove or cancel, even before they were accepted. */
  const doomed = new Set<string>()
  /** Unanswered clears, by process. */
  const clears = new Map<number, string>()
  const idles = new Map<number, readonly string[]>()
  const puts = new Map<string, number>()
  /** The last entry about a body of each job: its call, or its end. */
  const bodies = new Map<string, Entry>()
  const announcedElsewhere = new Set(history.filter(isEnding).map(({ job, event }) => `${job} ${event}`))
  const crashed = new Set(history.filter(({ kind }) => kind === 'crash').map(({ process }) => process))
  for (const entry of history) {
    switch (entry.kind) {
      case 'put':
        if (entry.job === undefined) break
        here.add(entry.job)
        puts.set(`${entry.call} ${entry.job}`, entry.seq)
        break
      case 'accepted': {
        // A job of a batch may have ended before the whole batch is reported as accepted.
        const ended = (endings.get(entry.job)?.seq ?? 0) > (puts.get(`${entry.call} ${entry.job}`) ?? 0)
        if (entry.existed) here.delete(entry.job)
        else if (!doomed.has(entry.job) && clears.size === 0 && !ended) open.set(entry.job, entry)
        break
      }
      case 'launch':
      case 'release':
        bodies.set(entry.job, entry)
        break
      case 'remove':
      case 'cancel':
        if (entry.kind === 'remove') removed.add(entry.job)
        doomed.add(entry.job)
        open.delete(entry.job)
        break
      case 'retry':
        reopened.add(entry.job)
        endings.delete(entry.job)
        break
      case 'clear':
        // An ending by `clear` on a file is announced only where the job is followed.
        clears.set(entry.call, entry.process)
        open.clear()
        break
      case 'stop':
        stopping.add(entry.process)
        break
      case 'idle':
        // It may not know yet of puts by others.
        idles.set(
          entry.call,
          [...open].filter(([, { process }]) => process === entry.process).map(([job]) => job),
        )
        break
      case 'promised':
        promised.set(entry.call, entry)
        break
      case 'emitted':
        if (entry.job === undefined) break
        accepted.add(entry.job)
        if (entry.event === 'lost') lost.add(`${entry.process} ${entry.job}`)
        if (!isEnding(entry)) break
        endings.set(entry.job, entry)
        open.delete(entry.job)
        break
      case 'settled': {
        const before = settled.get(entry.call)
        sure(
          !before,
          () => `the promise of job ${entry.job} settled twice: ${at(entry)}`,
          ...(before ? [before] : []),
          entry,
        )
        settled.set(entry.call, entry)
        const { job, how, code } = entry
        if (job === undefined || !here.has(job) || reopened.has(job)) break
        const ran = history.some(
          ({ kind, process, seq, ...of }) =>
            kind === 'launch' && process === entry.process && seq < entry.seq && 'job' in of && of.job === job,
        )
        const ending = endings.get(job)?.event
        // The process that ran the job may announce the ending later than the file recorded it, may have died before
        // that, or may have lost the job over it.
        const lostElsewhere = [...lost].some(run => run.endsWith(` ${job}`))
        const elsewhere = (event: string): boolean =>
          !ran && (crashed.size > 0 || lostElsewhere || announcedElsewhere.has(`${job} ${event}`))
        const fits =
          how === 'resolved'
            ? ending === 'finished' || elsewhere('finished')
            : ending === 'failed' || ending === 'cancelled' || elsewhere('failed') || elsewhere('cancelled')
        const otherwise =
          (how === 'rejected' && (refusals.has(code) || code === 'RESULT_NOT_KEPT')) ||
          removed.has(job) ||
          (code === 'CANCELLED' && (doomed.has(job) || [...clears.values()].some(by => by !== entry.process))) ||
          // A clear also removes puts that wait for space.
          (code === 'CANCELLED' && clears.size > 0 && !accepted.has(job)) ||
          stopping.has(entry.process) ||
          lost.has(`${entry.process} ${job}`)
        const message = (): string =>
          `the promise of job ${job} ${how} (${code ?? 'a value'}) and the job is ${ending ?? 'not over'}: ${at(entry)}`
        sure(fits || otherwise, message, entry)
        break
      }
      case 'answered': {
        clears.delete(entry.call)
        if (entry.of === 'stop' && !crashed.has(entry.process)) {
          for (const promise of promised.values()) {
            if (promise.process !== entry.process || promise.seq > entry.seq) continue
            const settles = history.some(
              ({ kind, ...of }) => kind === 'settled' && 'call' in of && of.call === promise.call,
            )
            sure(
              settles,
              () => `the promise of job ${promise.job} is open after the stop: ${at(promise)}`,
              promise,
              entry,
            )
          }
        }
        const waited = idles.get(entry.call)
        // A stop returns jobs that had not ended, and then nothing is left to wait for.
        if (!waited || crashed.size > 0 || stopping.has(entry.process)) break
        // If another process ran the job, the file may record its end before that process announces it.
        const elsewhere = (job: string): boolean => {
          const body = bodies.get(job)
          return body?.kind === 'release' && body.process !== entry.process
        }
        const left = waited.filter(job => open.has(job) && !elsewhere(job))
        sure(
          left.length === 0,
          () => `idle, while ${left.length} jobs had not ended, as job ${left[0]}: ${at(entry)}`,
          entry,
        )
        break
      }
      case 'inventory':
        for (const { id, state, code } of entry.jobs) {
          // Whichever process noticed the death, some process must announce the outcome.
          if (state === 'failed' && code === 'POISON') {
            const isAnnounced = announcedElsewhere.has(`${id} failed`)
            sure(
              isAnnounced,
              () => `job ${id} failed by the death of its process, and no process emitted failed: ${at(entry)}`,
              entry,
            )
          }
          const ending = endings.get(id)
          // A job that somebody ran again has had several endings, and processes may announce them in different orders.
          if (!ending || reopened.has(id)) continue
          sure(
            ending.event === state,
            () => `job ${id} emitted ${ending.event} and is ${state}: ${at(entry)}`,
            ending,
            entry,
          )
        }
    }
  }
}
