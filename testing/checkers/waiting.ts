/**
 * Which jobs of a queue certainly wait, since when and in which order, and since when some process certainly has a free
 * slot.
 *
 * Whatever is not certain is decided in favour of the queue: a job that is being changed, or whose process has died,
 * counts as not waiting.
 */
import type { Entry } from '../entry.ts'
import { Announcements } from './announcements.ts'
import { GlobalWidth } from './global-width.ts'
import { found, hairMs, isEnding, isWaiting } from './judge.ts'

export interface WaitingJob {
  readonly id: string
  /** The put that created it, as far as that is known, and the process that made it. */
  by: Entry<'put'>
  priority: number
  phase: 'requested' | 'waits' | 'runs' | 'released' | 'over' | 'unknown'
  /** When it was certainly in its place; Infinity while that is not known. */
  readyAt: number
  /** The entry that accepted it; Infinity until then. */
  acceptedSeq: number
  /** The entry that answered a change of its priority. */
  movedSeq: number
  /** The number of unanswered changes. */
  changing: number
  /**
   * By this entry it was granted to a process. Its first line may come later, because the file may have to store the
   * launch first.
   */
  given: Entry<'emitted'> | undefined
  run: Entry<'launch'> | undefined
  /**
   * A crash is counted against it: it waits for a worker that runs no other such job, and perhaps for one that runs
   * nothing.
   */
  suspect: boolean
  /** How long it must wait, by `retry` or by the error of its body. */
  backMs: number
  /** The entry of its last known start or end. */
  seenSeq: number
  /** It waits for an instant of the wall clock. */
  isDated: boolean
}

interface Process {
  width: number
  bodies: number
  paused: boolean
  open: boolean
  /** Jobs that run there and beside which perhaps nothing may start. */
  readonly suspects: Set<string>
}

/** A hold is over once it had certainly begun and its time has passed. */
interface Hold {
  readonly job: string
  readonly process: string
  readonly afterMs: number
  readonly key: string | undefined
  until: number
}

export class Waiting {
  readonly jobs: Map<string, WaitingJob> = new Map<string, WaitingJob>()
  readonly #processes = new Map<string, Process>()
  readonly #announcements = new Announcements()
  readonly #globalWidth = new GlobalWidth()
  /** Changes on their way, by call. */
  readonly #changes = new Map<number, Entry<'cancel'> | Entry<'clear'>>()
  /** Puts that requested each job and were not refused. */
  readonly calls: Map<string, Entry<'put'>[]> = new Map<string, Entry<'put'>[]>()
  #holds: Hold[] = []
  #clears = 0
  #shared = false
  #jumped = false
  /** When the machine last went down. Only the wall clock shows how much time passes until it is up again. */
  #downAt = Infinity
  /** A process has died: jobs that it had may belong to no process for a while. */
  crashed: boolean = false
  #roomSince = Infinity
  /** The highest cost of any put, by unit. */
  readonly mostCost: Record<string, number> = {}

  /** The number of processes that ever existed. */
  get processes(): number {
    return this.#processes.size
  }
  /** Since when some process is open, not paused, and has fewer bodies than its width; Infinity while none is. */
  get roomSince(): number {
    return this.#roomSince
  }
  /** Until when the rate of the whole queue is held. */
  get heldUntil(): number {
    return this.#holds.reduce(
      (until, hold) => (hold.key === undefined ? Math.max(until, hold.until) : until),
      -Infinity,
    )
  }
  /** Jobs that were certainly due before that instant. */
  due(nowMs: number): WaitingJob[] {
    if (this.#clears > 0) return []
    return [...this.jobs.values()].filter(
      job =>
        job.phase === 'waits' &&
        job.changing === 0 &&
        !job.suspect &&
        Math.max(job.readyAt, this.#keyHeldUntil(job.by.key)) < nowMs,
    )
  }
  #keyHeldUntil(key: string | undefined): number {
    return this.#holds.reduce(
      (until, hold) => (hold.key !== undefined && hold.key === key ? Math.max(until, hold.until) : until),
      -Infinity,
    )
  }

  take(entry: Entry): void {
    const ofPut = this.#announcements.ofPut(entry)
    this.#globalWidth.take(entry)
    switch (entry.kind) {
      case 'put':
        this.#put(entry)
        break
      case 'accepted':
        this.#accepted(entry)
        break
      case 'cancel':
      case 'retry':
      case 'remove':
      case 'reprioritize':
      case 'reschedule':
      case 'promote': {
        this.#changes.set(entry.call, entry)
        const job = this.jobs.get(entry.job)
        if (job) job.changing++
        break
      }
      case 'clear':
        this.#changes.set(entry.call, entry)
        this.#clears++
        break
      case 'answered':
      case 'refused':
        this.#answered(entry)
        break
      case 'launch':
        this.#launch(entry)
        break
      case 'release':
        this.#release(entry)
        break
      case 'emitted':
        this.#emitted(entry, ofPut)
        break
      case 'jump':
        this.#jumped = true
        // When the wall clock reaches its instant cannot be known any more.
        for (const job of this.jobs.values()) {
          if (job.isDated && job.phase === 'waits') job.readyAt = Infinity
        }
        this.#unmeasured(this.#downAt)
        break
      case 'fault':
        if (entry.what !== 'power cut') break
        this.#downAt = entry.nowMs
        if (this.#jumped) this.#unmeasured(entry.nowMs)
        break
      case 'crash':
        this.#crash(entry)
        break
      default:
        this.#state(entry)
    }
    const room = [...this.#processes.values()].some(
      ({ open, paused, bodies, width, suspects }) => open && !paused && bodies < width && suspects.size === 0,
    )
    const bodies = [...this.#processes.values()].reduce((sum, process) => sum + process.bodies, 0)
    // Bodies of a dead process count until somebody has recovered its jobs.
    const noFreeSlot = !this.#globalWidth.hasFreeSlot(this.crashed ? Infinity : bodies)
    if (!room || noFreeSlot || this.#shared) this.#roomSince = Infinity
    else if (this.#roomSince === Infinity) this.#roomSince = entry.nowMs
  }
  /** Delays and holds that had not passed by then were measured by a clock that jumped. */
  #unmeasured(sinceMs: number): void {
    for (const hold of this.#holds) if (hold.until > sinceMs) hold.until = Infinity
    for (const job of this.jobs.values()) if (job.phase === 'waits' && job.readyAt > sinceMs) job.readyAt = Infinity
  }
  #put(entry: Entry<'put'>): void {
    for (const [unit, cost] of Object.entries(entry.cost ?? {})) {
      this.mostCost[unit] = Math.max(this.mostCost[unit] ?? 0, cost)
    }
    if (entry.job === undefined) return
    found(this.calls, entry.job, () => []).push(entry)
    const known = this.jobs.get(entry.job)
    if (known && known.phase !== 'over') return
    const { job } = entry
    const changing = [...this.#changes.values()].filter(change => 'job' in change && change.job === job).length
    this.jobs.set(entry.job, {
      ...{ id: entry.job, by: entry, priority: entry.priority, phase: 'requested' },
      ...{ readyAt: Infinity, acceptedSeq: Infinity, movedSeq: 0 },
      ...{ changing, given: undefined, run: undefined, suspect: false, backMs: 0, seenSeq: 0, isDated: false },
    })
  }
  #accepted(entry: Entry<'accepted'>): void {
    const job = this.jobs.get(entry.job)
    const by = this.calls.get(entry.job)?.find(({ call }) => call === entry.call)
    if (!job || !by) return
    if (entry.existed) {
      if (job.phase === 'requested' && job.by === by) job.phase = 'unknown'
    } else if (job.phase === 'waits' && job.by !== by) {
      // It was removed in between, and it is unknown which of the two came later.
      job.phase = 'unknown'
    } else if (job.phase === 'requested' || job.phase === 'unknown' || job.phase === 'over' || job.by !== by) {
      if (job.phase !== 'runs' && job.phase !== 'released' && job.seenSeq < by.seq) this.#accept(job, entry, by)
    }
  }
  #accept(job: WaitingJob, entry: Entry, by: Entry<'put'>): void {
    const { delayMs = 0, runAtMs } = by
    // Its priority may have been changed before its put was answered.
    const priority = job.movedSeq > by.seq ? job.priority : by.priority
    Object.assign(job, { by, priority, phase: 'waits', given: undefined, run: undefined })
    job.acceptedSeq = entry.seq
    job.readyAt = entry.nowMs + Math.max(delayMs, runAtMs === undefined ? 0 : runAtMs - entry.wallMs)
    job.isDated = runAtMs !== undefined
    if (runAtMs !== undefined && runAtMs > entry.wallMs && this.#jumped) job.readyAt = Infinity
  }
  #answered(entry: Entry<'answered' | 'refused'>): void {
    const done = entry.kind === 'answered'
    if (entry.kind === 'refused' && entry.code === 'OUTCOME_UNKNOWN') return
    if (entry.of === 'put' && !done) this.#refused(entry.call)
    if (done) for (const id of entry.returned ?? []) this.#over(id)
    if (entry.of === 'stop' || entry.of === 'pause') {
      if (entry.of === 'pause' && !done) this.#shared = false
      return
    }
    const change = this.#changes.get(entry.call)
    if (!change) return
    this.#changes.delete(entry.call)
    if (!('job' in change)) {
      this.#clears--
      for (const job of this.jobs.values()) {
        const isCleared = change.key === undefined || change.key === job.by.key
        if (isCleared && job.phase === 'waits') job.phase = 'unknown'
      }
      return
    }
    const job = this.jobs.get(change.job)
    if (!job) return
    job.changing--
    if (!done) return
    if (change.kind === 'reprioritize') {
      job.priority = change.priority ?? job.priority
      job.movedSeq = entry.seq
      job.readyAt = Math.max(job.readyAt, entry.nowMs)
    } else if (change.kind === 'reschedule' || change.kind === 'promote') {
      // A run that began after the request was made has used up the new time.
      if (job.phase === 'waits' && job.seenSeq < change.seq) this.#moved(job, change, entry)
    } else if (change.kind === 'retry') {
      job.suspect = false
      if (job.phase === 'over' && job.seenSeq < change.seq) this.#wait(job, entry.nowMs)
    } else if (job.phase === 'waits' && entry.kind === 'answered' && entry.value === true) job.phase = 'over'
  }
  /**
   * From the reply on it waits for the requested time. If that is unknown, or the wall clock has jumped, it is not
   * judged.
   */
  #moved(job: WaitingJob, { kind, delayMs, runAtMs }: Entry<'cancel'>, { nowMs, wallMs }: Entry): void {
    const called = delayMs ?? (runAtMs === undefined ? undefined : runAtMs - wallMs)
    const unknown = (kind === 'reschedule' && called === undefined) || (runAtMs !== undefined && this.#jumped)
    job.readyAt = unknown ? Infinity : nowMs + Math.max(0, called ?? 0)
    job.isDated = runAtMs !== undefined
  }
  #refused(call: number): void {
    for (const [id, calls] of this.calls) {
      const left = calls.filter(note => note.call !== call)
      if (left.length === calls.length) continue
      this.calls.set(id, left)
      const job = this.jobs.get(id)
      if (job?.phase === 'requested' && left.length === 0) job.phase = 'over'
    }
  }
  #wait(job: WaitingJob, readyAt: number): void {
    job.phase = 'waits'
    job.readyAt = readyAt
    job.given = job.run = undefined
  }
  #over(id: string): void {
    const job = this.jobs.get(id)
    if (job) job.phase = 'over'
  }
  #launch(entry: Entry<'launch'>): void {
    const process = this.#processes.get(entry.process)
    const isSuspect = (entry.crashes ?? 0) > 0
    if (process) process.bodies++
    if (isSuspect) process?.suspects.add(entry.job)
    const job = this.jobs.get(entry.job)
    if (!job) return
    job.suspect = isSuspect
    job.phase = 'runs'
    job.isDated = false
    job.seenSeq = entry.seq
    job.given = undefined
    job.run = entry
    job.backMs = 0
  }
  #release(entry: Entry<'release'>): void {
    const process = this.#processes.get(entry.process)
    if (process) process.bodies = Math.max(process.bodies - 1, 0)
    process?.suspects.delete(entry.job)
    if (entry.code === 'THROTTLED' && entry.afterMs !== undefined) {
      const { job, afterMs, heldKey: key } = entry
      this.#holds.push({ job, process: entry.process, afterMs, key, until: Infinity })
    }
    const job = this.jobs.get(entry.job)
    if (job?.phase !== 'runs' || job.run?.process !== entry.process || job.run.attempt !== entry.attempt) return
    job.phase = 'released'
    if (entry.afterMs !== undefined && entry.code === 'RETRY_LATER') job.backMs = entry.afterMs
  }
  #emitted(entry: Entry<'emitted'>, ofPut: boolean): void {
    if (entry.event === 'stopped') return this.#close(entry.process)
    if (entry.event === 'stalled') return this.#suspect(entry.process)
    const job = entry.job === undefined ? undefined : this.jobs.get(entry.job)
    if (!job) return
    if (entry.event === 'underway') job.given = entry
    else if (job.given?.process === entry.process) job.given = undefined
    if (entry.event === 'retry') job.backMs = entry.delayMs ?? Infinity
    if (isWaiting(entry)) {
      this.#begin(job, entry)
      const calls = ofPut ? (this.calls.get(job.id) ?? []).filter(({ process }) => process === entry.process) : []
      const [by] = calls
      // Only a reply shows which of several puts it was, or whether it was a retry.
      if (by && job.phase === 'requested' && calls.length === 1 && job.changing === 0) this.#accept(job, entry, by)
      else if (ofPut && (job.phase === 'requested' || job.phase === 'released')) job.phase = 'unknown'
      else if (ofPut && job.phase === 'over') {
        // It was put again before it ended, and accepted once its id was forgotten: it is another job.
        if (calls.some(({ seq }) => seq > job.by.seq)) job.phase = 'unknown'
        else this.#wait(job, Infinity)
      } else if (job.phase === 'released') this.#wait(job, entry.nowMs + (entry.event === 'delayed' ? job.backMs : 0))
      else if (job.phase === 'waits' && !ofPut) job.readyAt = Math.max(job.readyAt, entry.nowMs)
    }
    if (entry.event === 'recovered') {
      if (entry.state === 'pending') this.#wait(job, entry.nowMs)
      else if (job.phase !== 'runs') job.phase = 'unknown'
    }
    if (entry.event === 'lost' && job.phase !== 'waits') job.phase = 'unknown'
    if (!isEnding(entry)) return
    this.#holds = this.#holds.filter(hold => hold.job !== entry.job || hold.until !== Infinity)
    job.phase = 'over'
    job.seenSeq = entry.seq
  }
  /** The job has gone back: the hold that it requested is in force from now on at the latest. */
  #begin(job: WaitingJob, { nowMs }: Entry): void {
    for (const hold of this.#holds) {
      if (hold.job === job.id && hold.until === Infinity) hold.until = nowMs + hold.afterMs
    }
  }
  #close(name: string): void {
    const process = this.#processes.get(name)
    if (process) process.open = false
  }
  #crash({ process, nowMs }: Entry): void {
    this.crashed = true
    const dead = this.#processes.get(process)
    if (dead?.open) {
      // It may have claimed as many as it had room for, without calling them.
      const first = this.due(nowMs + hairMs).sort((a, b) => a.priority - b.priority || a.by.seq - b.by.seq)
      for (const job of first.slice(0, Math.max(dead.width - dead.bodies, 0))) job.phase = 'unknown'
    }
    this.#processes.delete(process)
    this.#suspect(process)
    for (const job of this.jobs.values()) {
      if (job.phase === 'over') continue
      if (job.run?.process === process || job.given?.process === process) job.phase = 'unknown'
    }
    for (const hold of this.#holds) {
      if (hold.process === process && hold.until === Infinity) hold.until = nowMs + hold.afterMs
    }
  }
  /** A crash may count against the jobs that ran there. */
  #suspect(process: string): void {
    for (const job of this.jobs.values()) if (job.run?.process === process && job.phase !== 'over') job.suspect = true
  }
  #state(entry: Entry): void {
    if (entry.kind === 'opened') {
      const { width, paused } = entry
      this.#processes.set(entry.process, { width, paused, bodies: 0, open: entry.works !== false, suspects: new Set() })
    }
    if (entry.kind === 'resume' && entry.shared) this.#shared = false
    if (entry.kind === 'pause' && entry.shared) this.#shared = true
    const process = this.#processes.get(entry.process)
    if (!process) return
    if (entry.kind === 'width') process.width = entry.width
    if (entry.kind === 'pause' && !entry.shared) process.paused = true
    if (entry.kind === 'resume') process.paused = false
    if (entry.kind === 'stop') process.open = false
  }
}
