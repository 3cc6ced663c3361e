/** I1, I2, I15, I19: jobs are neither lost nor invented, and each exists once. */
import type { Entry } from '../entry.ts'
import { at, type Checker, found, isEnding } from './judge.ts'

/** All requests to a queue so far, and their known results. */
class Ledger {
  /** Accepted puts by id: the entries of their acceptance. */
  readonly accepted = new Map<string, Entry<'accepted'>[]>()
  /** Jobs that were put with an id. */
  readonly named = new Set<string>()
  /** How many jobs were put without an id and are not known by one yet. */
  nameless = 0
  /** Jobs whose ending was announced. */
  readonly ended = new Map<string, Entry<'emitted'>>()
  /** Jobs that were requested to be removed, and may be. */
  readonly removing = new Set<string>()
  /** Jobs that a stop returned, or abandoned with their body. */
  readonly returned = new Set<string>()
  /** Jobs whose body ended in a process that died before it could announce it. */
  readonly unannounced = new Set<string>()
  /** Jobs whose cancel was requested and never answered: they may have ended without an announcement. */
  readonly perhaps = new Set<string>()
  readonly #over = new Map<string, Set<string>>()
  readonly #cancels = new Map<number, Entry<'cancel'> | Entry<'clear'>>()

  take(entry: Entry): void {
    this.#follow(entry)
    switch (entry.kind) {
      case 'put':
        if (entry.job === undefined) this.nameless++
        else this.named.add(entry.job)
        break
      case 'accepted':
        if (!this.named.has(entry.job)) this.know(entry.job)
        if (!entry.existed) found(this.accepted, entry.job, () => []).push(entry)
        break
      case 'remove':
        this.removing.add(entry.job)
        break
      case 'answered':
        for (const id of [...(entry.returned ?? []), ...(entry.abandoned ?? [])]) this.returned.add(id)
        break
      case 'inventory':
        for (const { id, state } of entry.jobs) {
          this.named.add(id)
          // The change that ended it may have lost its reply, so perhaps nobody was notified.
          if (state === 'finished' || state === 'failed' || state === 'cancelled') this.unannounced.add(id)
        }
        break
      case 'release':
        found(this.#over, entry.process, () => new Set()).add(entry.job)
        break
      case 'crash':
        for (const job of this.#over.get(entry.process) ?? []) this.unannounced.add(job)
        break
      default:
        if (!isEnding(entry) || entry.job === undefined) break
        this.ended.set(entry.job, entry)
        this.#over.get(entry.process)?.delete(entry.job)
    }
  }
  #follow(entry: Entry): void {
    const never = (called: Entry<'cancel'> | Entry<'clear'>): void => {
      for (const job of called.kind === 'cancel' ? [called.job] : this.accepted.keys()) this.perhaps.add(job)
    }
    if (entry.kind === 'cancel' || entry.kind === 'clear') this.#cancels.set(entry.call, entry)
    if (entry.kind === 'crash') {
      for (const called of this.#cancels.values()) if (called.process === entry.process) never(called)
    }
    if (entry.kind !== 'answered' && entry.kind !== 'refused') return
    const called = this.#cancels.get(entry.call)
    this.#cancels.delete(entry.call)
    if (called && entry.kind === 'refused' && entry.code === 'OUTCOME_UNKNOWN') never(called)
  }
  /** Gives this id to one of the jobs that were put without one. Returns false if there is none. */
  know(job: string): boolean {
    if (this.nameless === 0) return false
    this.nameless--
    this.named.add(job)
    return true
  }
  /** Whether an unanswered cancel may have ended the job. */
  mayHaveEnded(job: string): boolean {
    return this.perhaps.has(job) || [...this.#cancels.values()].some(called => !('job' in called) || called.job === job)
  }
  /** Whether the job may legitimately be gone. */
  mayBeGone(job: string): boolean {
    return this.ended.has(job) || this.removing.has(job) || this.returned.has(job) || this.unannounced.has(job)
  }
}

/**
 * I1. Nothing accepted is lost: each job whose put resolved is in the inventory that follows, or its ending was
 * announced, or it was removed, or a stop returned it. Among jobs that a dead process may have claimed, or that
 * somebody cancelled, as many may have ended without announcement as count as ended and are not kept. An unanswered put
 * may be stored or not. Without an inventory, for a queue of a single process, the jobs that a stop leaves and returns
 * must cover all that had not ended.
 */
export const nothingLost: Checker = (history, sure) => {
  const ledger = new Ledger()
  const processes = new Set<string>()
  const perhaps = new Set<string>()
  let crashed = false
  for (const entry of history) {
    ledger.take(entry)
    if (entry.kind === 'opened') processes.add(entry.process)
    if (entry.kind === 'crash') crashed = true
    if (entry.kind === 'launch') perhaps.delete(entry.job)
    if (entry.kind === 'cancel') perhaps.add(entry.job)
    // The dead process may have claimed any of them without calling it.
    if (entry.kind === 'crash' || entry.kind === 'clear') for (const job of ledger.accepted.keys()) perhaps.add(job)
    if (entry.kind === 'inventory') {
      const there = new Set(entry.jobs.map(({ id }) => id))
      let forgotten = forgottenIn(entry) - [...ledger.ended.keys()].filter(job => !there.has(job)).length
      for (const [job, puts] of ledger.accepted) {
        let holds = there.has(job) || ledger.mayBeGone(job)
        if (!holds && perhaps.has(job)) holds = forgotten-- > 0
        sure(holds, () => `job ${job} was accepted and is not there: ${at(entry)}`, puts[0] as Entry, entry)
      }
    }
    if (entry.kind !== 'answered' || entry.of !== 'stop' || processes.size > 1 || crashed) continue
    const open = [...ledger.accepted.keys()].filter(job => !ledger.mayBeGone(job) && !ledger.mayHaveEnded(job))
    const left = entry.left ?? 0
    sure(open.length <= left, () => `${open.length} jobs had not ended and ${left} are left: ${open[0]}, …`, entry)
  }
}

/** How many jobs count as ended and are not kept any more. */
function forgottenIn({ counts, jobs }: Entry<'inventory'>): number {
  const ended = jobs.filter(({ state }) => state === 'finished' || state === 'failed' || state === 'cancelled')
  return counts.finished + counts.failed + counts.cancelled - ended.length
}

/**
 * I2. Nothing comes from nowhere: each job that starts, or that an event names, was put before, or found by an
 * inventory.
 */
export const nothingFromNowhere: Checker = (history, sure) => {
  const ledger = new Ledger()
  for (const entry of history) {
    ledger.take(entry)
    const job =
      entry.kind === 'launch' || (entry.kind === 'emitted' && entry.event === 'recovered') ? entry.job : undefined
    if (job === undefined) continue
    const known = ledger.named.has(job) || ledger.know(job)
    sure(known, () => `job ${job} was never put, and runs or is recovered: ${at(entry)}`, entry)
  }
}

/**
 * I15. Conservation: the six states add up to the jobs that were accepted and not removed, at every look; an unanswered
 * put or removal may count or not. A list of all jobs agrees with the counters, state by state: exactly for jobs that
 * have not ended, whereas ended ones stay counted when they are forgotten. No more bodies run than are counted.
 */
export const conservation: Checker = (history, sure) => {
  const puts = new Map<number, { of: string; open: number; sure: number }>()
  const removes = new Map<number, { of: string; job: string; done: boolean | undefined }>()
  /** Unanswered puts. */
  let called: Entry<'put'>[] = []
  const bodies = new Map<string, number>()
  const disowned = new Set<string>()
  let before = 0
  for (const entry of history) {
    const { process } = entry
    switch (entry.kind) {
      case 'put':
        found(puts, entry.call, () => ({ of: process, open: 0, sure: 0 })).open++
        called.push(entry)
        break
      case 'accepted': {
        called = called.filter(({ call, job }) => call !== entry.call || job !== entry.job)
        const put = puts.get(entry.call)
        if (!put) break
        if (entry.existed) put.open--
        else put.sure++
        break
      }
      case 'refused':
        // It is unknown whether that was done.
        if (entry.code === 'OUTCOME_UNKNOWN') break
        if (entry.of === 'put') puts.delete(entry.call)
        removes.delete(entry.call)
        break
      case 'remove':
        removes.set(entry.call, { of: process, job: entry.job, done: undefined })
        break
      case 'answered': {
        const remove = removes.get(entry.call)
        // A put that was stored, whose job was removed, and that is unanswered may be sent again.
        const twice = called.some(({ job }) => job === remove?.job)
        if (remove) remove.done = entry.value === true ? (twice ? undefined : true) : false
        break
      }
      case 'launch':
        bodies.set(process, (bodies.get(process) ?? 0) + 1)
        break
      case 'release':
        bodies.set(process, Math.max((bodies.get(process) ?? 0) - 1, 0))
        break
      case 'crash':
        bodies.delete(process)
        break
      case 'emitted':
        if (entry.event === 'lost' || entry.event === 'abandoned') disowned.add(process)
        break
      case 'counts':
      case 'inventory': {
        const total = Object.values(entry.counts).reduce((sum, count) => sum + count, 0)
        const looked = entry.kind === 'inventory'
        if (looked && puts.size === 0) before = total
        // A counter reflects the replies to this process. It may lag behind other processes; a list of all jobs does
        // not.
        const own = (of: string): boolean => looked || of === process
        let [least, most] = [before, before]
        for (const put of puts.values()) {
          most += put.open
          if (own(put.of)) least += put.sure
        }
        for (const { of, done } of removes.values()) {
          if (done !== false) least--
          if (done === true && own(of)) most--
        }
        const holds = least <= total && total <= most
        sure(holds, () => `${total} jobs are counted, and there are ${least} to ${most}: ${at(entry)}`, entry)
        if (entry.kind === 'counts') {
          const running = bodies.get(process) ?? 0
          const counted = entry.counts.underway + entry.closing
          const fits = running <= counted || disowned.has(process)
          sure(fits, () => `${running} bodies run and ${counted} are counted: ${at(entry)}`, entry)
          break
        }
        for (const [state, count] of Object.entries(entry.counts)) {
          const listed = entry.jobs.filter(job => job.state === state).length
          const ended = state === 'finished' || state === 'failed' || state === 'cancelled'
          const agrees = ended ? listed <= count : listed === count
          sure(agrees, () => `${count} jobs are counted as ${state} and ${listed} are there: ${at(entry)}`, entry)
        }
        const ids = new Set(entry.jobs.map(({ id }) => id))
        sure(ids.size === entry.jobs.length, () => `a job is there twice: ${at(entry)}`, entry)
      }
    }
  }
}

/**
 * I19. One job for each id: of all puts of an id one is accepted as new, until that job was removed, was returned by a
 * stop, or ended so long ago that its id is forgotten. If the history does not show how long that is, the ending is
 * enough.
 */
export const oneForEachId: Checker = (history, sure) => {
  const ledger = new Ledger()
  let idsMs = 0
  const called = new Map<string, number>()
  const calledAt = ({ call, job }: Entry<'accepted'>): number => called.get(`${call} ${job}`) ?? Infinity
  for (const entry of history) {
    if (entry.kind === 'put' && entry.job !== undefined) called.set(`${entry.call} ${entry.job}`, entry.seq)
    if (entry.kind === 'opened' && entry.idsMs !== undefined) idsMs = Math.max(idsMs, entry.idsMs)
    const first = entry.kind === 'accepted' && !entry.existed ? ledger.accepted.get(entry.job)?.at(-1) : undefined
    if (first && entry.kind === 'accepted') {
      const { job } = entry
      const ended = ledger.ended.get(job)
      // Another process may announce the job's ending before its own process is notified of the acceptance.
      const since = Math.min(calledAt(first), first.seq)
      const forgotten = ended !== undefined && ended.seq > since && entry.nowMs >= ended.nowMs + idsMs
      const { removing, returned, unannounced, perhaps } = ledger
      const gone = [removing, returned, unannounced, perhaps].some(jobs => jobs.has(job))
      sure(forgotten || gone, () => `job ${job} was accepted as new twice: ${at(entry)}`, first, entry)
    } else if (entry.kind === 'accepted') sure(true, () => '')
    ledger.take(entry)
  }
}
