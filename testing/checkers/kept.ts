/** I1, I2, I15, I19: jobs are neither lost nor made up, and each is there once. */
import type { Entry } from '../entry.ts'
import { at, type Checker, found, isEnding } from './judge.ts'

/** What was asked of a queue so far, and what is known to have come of it. */
class Ledger {
  /** Jobs that were put under that id and accepted: by which entries. */
  readonly accepted = new Map<string, Entry<'accepted'>[]>()
  /** Asked for by name. */
  readonly named = new Set<string>()
  /** Asked for without a name, and not known by one yet. */
  nameless = 0
  /** Told to have ended. */
  readonly ended = new Map<string, Entry<'heard'>>()
  /** Asked to be taken out; perhaps they are. */
  readonly removing = new Set<string>()
  /** Came back from a stop, or were left to their body. */
  readonly returned = new Set<string>()
  /** Their body came to its end in a process that died before it could tell. */
  readonly untold = new Set<string>()
  /** Asked to be cancelled by somebody who never got an answer: they may have ended, and nobody was told. */
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
          // Nobody was told, perhaps: of a change whose answer was lost.
          if (state === 'finished' || state === 'failed' || state === 'cancelled') this.untold.add(id)
        }
        break
      case 'release':
        found(this.#over, entry.process, () => new Set()).add(entry.job)
        break
      case 'crash':
        for (const job of this.#over.get(entry.process) ?? []) this.untold.add(job)
        break
      default:
        if (!isEnding(entry) || entry.job === undefined) break
        this.ended.set(entry.job, entry)
        this.#over.get(entry.process)?.delete(entry.job)
    }
  }
  #follow(entry: Entry): void {
    const never = (asked: Entry<'cancel'> | Entry<'clear'>): void => {
      for (const job of asked.kind === 'cancel' ? [asked.job] : this.accepted.keys()) this.perhaps.add(job)
    }
    if (entry.kind === 'cancel' || entry.kind === 'clear') this.#cancels.set(entry.call, entry)
    if (entry.kind === 'crash') {
      for (const asked of this.#cancels.values()) if (asked.process === entry.process) never(asked)
    }
    if (entry.kind !== 'answered' && entry.kind !== 'refused') return
    const asked = this.#cancels.get(entry.call)
    this.#cancels.delete(entry.call)
    if (asked && entry.kind === 'refused' && entry.code === 'OUTCOME_UNKNOWN') never(asked)
  }
  /** One of those that were asked for without a name has this one. False when there is none. */
  know(job: string): boolean {
    if (this.nameless === 0) return false
    this.nameless--
    this.named.add(job)
    return true
  }
  /** Whether a cancel of which nobody was told may have ended it. */
  mayHaveEnded(job: string): boolean {
    return this.perhaps.has(job) || [...this.#cancels.values()].some(asked => !('job' in asked) || asked.job === job)
  }
  /** Whether it may rightly be gone. */
  mayBeGone(job: string): boolean {
    return this.ended.has(job) || this.removing.has(job) || this.returned.has(job) || this.untold.has(job)
  }
}

/**
 * I1. Nothing accepted is lost: each job whose put resolved is there in the inventory that follows, or was told to have
 * ended, was taken out by somebody, or came back from a stop. Of those which a process that died may have had, or which
 * somebody cancelled, as many may have ended untold as are counted as ended and not kept. A put that was not answered may be in or out. Without an
 * inventory, of a queue that lived in one process: what a stop leaves and gives back is enough for all that had not ended.
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
    // The dead may have had any of them, without having called it.
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

/** How many are counted as ended and are not there any more. */
function forgottenIn({ counts, jobs }: Entry<'inventory'>): number {
  const ended = jobs.filter(({ state }) => state === 'finished' || state === 'failed' || state === 'cancelled')
  return counts.finished + counts.failed + counts.cancelled - ended.length
}

/** I2. Nothing comes from nowhere: each job that starts, or is told of, was put before, or found by an inventory. */
export const nothingFromNowhere: Checker = (history, sure) => {
  const ledger = new Ledger()
  for (const entry of history) {
    ledger.take(entry)
    const job =
      entry.kind === 'launch' || (entry.kind === 'heard' && entry.event === 'recovered') ? entry.job : undefined
    if (job === undefined) continue
    const known = ledger.named.has(job) || ledger.know(job)
    sure(known, () => `job ${job} was never put and is told of: ${at(entry)}`, entry)
  }
}

/**
 * I15. Conservation: the six states add up to what was accepted and not removed, whenever somebody looks; a put or a
 * removal that is not answered counts either way. A list of all jobs agrees with the counters, state by state: exactly
 * where jobs have not ended, while ended ones stay counted when they are forgotten. No more bodies run than are counted.
 */
export const conservation: Checker = (history, sure) => {
  const puts = new Map<number, { of: string; open: number; sure: number }>()
  const removes = new Map<number, { of: string; job: string; done: boolean | undefined }>()
  /** Puts that are not answered. */
  let asked: Entry<'put'>[] = []
  const bodies = new Map<string, number>()
  const disowned = new Set<string>()
  let before = 0
  for (const entry of history) {
    const { process } = entry
    switch (entry.kind) {
      case 'put':
        found(puts, entry.call, () => ({ of: process, open: 0, sure: 0 })).open++
        asked.push(entry)
        break
      case 'accepted': {
        asked = asked.filter(({ call, job }) => call !== entry.call || job !== entry.job)
        const put = puts.get(entry.call)
        if (!put) break
        if (entry.existed) put.open--
        else put.sure++
        break
      }
      case 'refused':
        // Nobody knows whether that was done.
        if (entry.code === 'OUTCOME_UNKNOWN') break
        if (entry.of === 'put') puts.delete(entry.call)
        removes.delete(entry.call)
        break
      case 'remove':
        removes.set(entry.call, { of: process, job: entry.job, done: undefined })
        break
      case 'answered': {
        const remove = removes.get(entry.call)
        // A put that was stored, removed, and not answered may be asked again.
        const twice = asked.some(({ job }) => job === remove?.job)
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
      case 'heard':
        if (entry.event === 'lost' || entry.event === 'abandoned') disowned.add(process)
        break
      case 'counts':
      case 'inventory': {
        const total = Object.values(entry.counts).reduce((sum, count) => sum + count, 0)
        const looked = entry.kind === 'inventory'
        if (looked && puts.size === 0) before = total
        // A counter knows what this process was answered. Of others it may lag behind; a list of all does not.
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
 * I19. One job for each id: of all puts of an id, one is accepted as new, until that job was removed, came back from a
 * stop, or has ended so long ago that its id is forgotten. Where it is not said how long that is, the ending is enough.
 */
export const oneForEachId: Checker = (history, sure) => {
  const ledger = new Ledger()
  let idsMs = 0
  const asked = new Map<string, number>()
  const askedAt = ({ call, job }: Entry<'accepted'>): number => asked.get(`${call} ${job}`) ?? Infinity
  for (const entry of history) {
    if (entry.kind === 'put' && entry.job !== undefined) asked.set(`${entry.call} ${entry.job}`, entry.seq)
    if (entry.kind === 'opened' && entry.idsMs !== undefined) idsMs = Math.max(idsMs, entry.idsMs)
    const first = entry.kind === 'accepted' && !entry.existed ? ledger.accepted.get(entry.job)?.at(-1) : undefined
    if (first && entry.kind === 'accepted') {
      const { job } = entry
      const ended = ledger.ended.get(job)
      // Another process may tell of its ending before its own is told that it was accepted.
      const since = Math.min(askedAt(first), first.seq)
      const forgotten = ended !== undefined && ended.seq > since && entry.nowMs >= ended.nowMs + idsMs
      const { removing, returned, untold, perhaps } = ledger
      const gone = [removing, returned, untold, perhaps].some(jobs => jobs.has(job))
      sure(forgotten || gone, () => `job ${job} was accepted as new twice: ${at(entry)}`, first, entry)
    } else if (entry.kind === 'accepted') sure(true, () => '')
    ledger.take(entry)
  }
}
