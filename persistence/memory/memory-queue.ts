/**
 * All jobs of one name in memory: where each waits, which ones a claim takes, and what happens to those that ended.
 *
 * It knows neither queue objects nor promises. Each method acts at one instant and leaves every job in exactly one
 * place.
 */
import type {
  DueTime,
  Exchange,
  ExchangeResult,
  Grant,
  GrantRecord,
  KeepPolicy,
  KeyReport,
  KeysQuery,
  Overridable,
  Settlement,
  StateCounts,
} from '../../lib/backlog.ts'
import { maxClaimed, maxPruned } from '../../lib/decisions/bounds.ts'
import { isWaiting } from '../../lib/decisions/command-states.ts'
import { dueCheckAt, dueOf, dueOfCommand } from '../../lib/decisions/due.ts'
import { limitedBy } from '../../lib/decisions/explain.ts'
import { factorAfterLaunch, factorAfterReturn, graceMs, isLate } from '../../lib/decisions/grace.ts'
import { grantOf, refusedStarts, startOf, startOfKey } from '../../lib/decisions/grants.ts'
import { type Holds, hold } from '../../lib/decisions/holds.ts'
import { keptMs } from '../../lib/decisions/keep.ts'
import { inOrderOfStart } from '../../lib/decisions/order.ts'
import { jobOfId, neverStarts } from '../../lib/decisions/puts.ts'
import { freesStart, goBack, putAnew, transitionOf } from '../../lib/decisions/transitions.ts'
import { keepsWaits } from '../../lib/decisions/waits.ts'
import { JobRecord } from '../../lib/job.ts'
import { nextSerial } from '../../lib/job-id.ts'
import { freeSlots } from '../../lib/limits/global-width.ts'
import { type KeyOverride, type KeysPolicy, noKeys, overridden, textOfKeys } from '../../lib/limits/keys.ts'
import type { LimitKind, Scope } from '../../lib/limits/limit.ts'
import { refusalOf } from '../../lib/limits/limits.ts'
import type { Demand } from '../../lib/limits/named-rules.ts'
import type { PlainJobs } from '../../lib/put/plain-jobs.ts'
import { Rate } from '../../lib/rate/rate.ts'
import type { Cost, RateRule } from '../../lib/rate/rules.ts'
import { valueFrom } from '../../lib/text/json.ts'
import { Heap } from './heap.ts'
import { HeldKeys } from './held-keys.ts'
import { JobIndex } from './job-index.ts'
import { listKeys } from './list-keys.ts'
import type { NamedRules } from './named-rules.ts'
import { QueueRules } from './queue-rules.ts'
import { Ready } from './ready.ts'
import { ReadyByKey } from './ready-by-key.ts'
import type { Remembered } from './remembered-ids.ts'
import { Suspects } from './suspects.ts'

const none: readonly JobRecord[] = []
/** A job that goes back has no `runAt`, so the wall clock does not matter. */
const anyWall = 0

/** The rule or the hold that keeps the next job from starting, of the queue or of a key. */
interface Blocked {
  readonly why?: LimitKind
  readonly rule: RateRule | undefined
  readonly key?: string | undefined
  readonly until: number
}

export class MemoryQueue {
  readonly jobs: JobIndex = new JobIndex()
  ready: Ready | ReadyByKey = new Ready()
  /** The same as `ready`, while keys are limited or share; else undefined. */
  keys: ReadyByKey | undefined
  readonly suspects: Suspects = new Suspects()
  /** The declaration for all keys, and the overrides of single ones. */
  keysPolicy: KeysPolicy | undefined
  readonly keyOverrides: Map<string, KeyOverride> = new Map()
  readonly ruleSet: QueueRules
  readonly counts: StateCounts = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
  /** The keys of the last declaration, as JSON. */
  declaredKeys: string | undefined
  /** How many bodies may run, and the last declaration of that. */
  globalWidth: number = Infinity
  declaredGlobalWidth: number | undefined
  /** Whether a shared pause is in force. */
  sharedPaused = false
  /** Whether a clear is under way. No job is claimed before it has finished. */
  clearing = false
  /** Jobs that ended before their bodies, which still run. */
  readonly continuingBodies: Set<JobRecord> = new Set()
  /** Delayed jobs: by due time on the steady clock, and those with a `runAt` by the wall clock. */
  readonly #due = new Heap()
  readonly #dated = new Heap()
  /** Ended jobs that are still kept, by the instant at which they are forgotten. */
  readonly #keptEnded = new Heap()
  readonly #heldKeys = new HeldKeys()
  /** How much longer than usual the grace of a start is (lib/decisions/grace.ts). */
  #graceFactor = 1
  /** Whether payloads and results are kept as text, as in a durable backlog. */
  readonly strict: boolean

  /** @param wake Called when a queue object of the name should make an exchange. */
  constructor(strict: boolean, named: NamedRules, wake: () => void) {
    this.strict = strict
    this.ruleSet = new QueueRules(named, wake)
  }
  /** The rate of the rules that the queue does not share. */
  get rate(): Rate {
    return this.ruleSet.rate
  }

  // Settings.

  declareGlobalWidth(width: number | undefined): void {
    if (width === undefined || width === this.declaredGlobalWidth) return
    this.globalWidth = this.declaredGlobalWidth = width
  }
  clearOverrides(of: readonly Overridable[], now: number): void {
    if (of.includes('rate')) this.ruleSet.clear(now)
    if (of.includes('globalWidth')) this.globalWidth = this.declaredGlobalWidth ?? Infinity
    if (of.includes('keys')) this.#clearKeyOverrides(now)
  }
  /** How many bodies run, including those whose jobs have ended. */
  get bodies(): number {
    return this.counts.underway + this.continuingBodies.size
  }

  heldUntil(key: string | undefined): number | undefined {
    return key === undefined || this.keys ? undefined : this.#heldKeys.until(key)
  }

  // Keys.

  /** Declares limits and sharing for all keys, if that is new. */
  declareKeys(policy: KeysPolicy | undefined, now: number): void {
    const declared = policy && textOfKeys(policy)
    if (policy === undefined || declared === this.declaredKeys) return
    this.declaredKeys = declared
    this.keysPolicy = policy
    this.#sortByKey(now)
    this.keys?.declare(policy, now)
  }
  overrideKey(key: string, change: KeyOverride, now: number): void {
    const override = overridden(this.keyOverrides.get(key), change)
    if (override) this.keyOverrides.set(key, override)
    else this.keyOverrides.delete(key)
    this.#sortByKey(now)
    this.keys?.changed(key, now)
  }
  #clearKeyOverrides(now: number): void {
    const keys = [...this.keyOverrides.keys()]
    this.keyOverrides.clear()
    for (const key of keys) this.keys?.changed(key, now)
  }
  /** From now on the jobs that may start wait by key. */
  #sortByKey(now: number): void {
    if (this.keys) return
    const keys = new ReadyByKey(this.keysPolicy ?? noKeys, this.keyOverrides)
    const ready = [...this.ready]
    for (const job of ready) this.ready.remove(job)
    const waiting = [...ready, ...this.#heldKeys.jobs()]
    for (const job of waiting.sort(inOrderOfStart)) keys.push(job)
    for (const job of this.jobs.entries()) if (typeof job !== 'number' && job.state === 'underway') keys.runs(job)
    for (const job of this.continuingBodies) keys.runs(job)
    for (const [key, { until }] of this.#heldKeys.takeAll()) keys.hold(key, until, now)
    this.ready = this.keys = keys
  }
  /** The facts about a key by which its jobs may start. */
  keyScope(key: string): Scope & { readonly rules: readonly RateRule[] } {
    const entry = this.keys?.find(key)
    const { width, rate, paused } = this.keys?.settingsOf(key) ?? { width: Infinity, rate: noKeys.rate, paused: false }
    const { bodies = 0, heldUntil = this.heldUntil(key) ?? -Infinity } = entry ?? {}
    return { width, paused, rules: rate, bodies, heldUntil, rate: entry?.rate ?? new Rate(rate) }
  }
  /** A body has ended, or goes on without a slot. */
  bodyEnded(record: JobRecord, now: number): void {
    if (this.continuingBodies.delete(record)) this.keys?.released(record, now)
  }
  /** The job was not launched. If its grace was over, the next ones are longer: otherwise no job might ever start. */
  #refund(grant: Grant, now: number): void {
    const refund = (rate: Rate, start: number): void => {
      if (start > 0 && isLate(rate.countsAt(start), now)) {
        this.#graceFactor = factorAfterReturn(this.#graceFactor, rate.rules)
      }
      rate.refund(start)
    }
    refund(this.rate, startOf(grant))
    if (typeof grant !== 'number') this.#eachFurther(grant, now, refund)
  }
  confirm(grant: Grant, at: number, now: number): void {
    this.rate.confirm(startOf(grant), at)
    if (typeof grant !== 'number') this.#eachFurther(grant, now, (rate, start) => rate.confirm(start, at))
    this.#graceFactor = factorAfterLaunch(this.#graceFactor)
  }
  correct(grant: Grant, cost: Cost, now: number): void {
    this.rate.correct(startOf(grant), cost)
    if (typeof grant !== 'number') this.#eachFurther(grant, now, (rate, start) => rate.correct(start, cost))
  }
  #refused(grant: Grant, now: number): void {
    this.rate.refused(startOf(grant), now)
    if (typeof grant !== 'number') this.#eachFurther(grant, now, (rate, start) => rate.refused(start, now))
  }
  /** Changes the starts of a grant in other rates than that of the queue. */
  #eachFurther({ further }: GrantRecord, now: number, change: (rate: Rate, start: number) => void): void {
    for (const { of, name, start } of further) {
      if (of === 'rule') {
        this.ruleSet.change(name, now, rate => change(rate, start))
        continue
      }
      const rate = this.keys?.find(name)?.rate
      if (rate) change(rate, start)
      this.keys?.recounted(name, now)
    }
  }
  listKeys(query: KeysQuery, now: number): KeyReport[] {
    return listKeys(this, query, now)
  }
  /** The existing job with the given id of `record`, if any. Refuses another payload under the same id. */
  known(record: JobRecord, batch: Map<string, JobRecord>, now: number): JobRecord | undefined {
    const { id } = record
    const known = jobOfId<JobRecord | Remembered>(id, record.extras?.fingerprint ?? '', {
      inPut: () => batch.get(id),
      kept: () => this.jobs.find(id),
      remembered: () => this.jobs.recall(id, now),
      fingerprintOf: job => (job instanceof JobRecord ? job.extras?.fingerprint : job.fingerprint),
    })
    if (known instanceof JobRecord) return known
    if (!known) {
      batch.set(id, record)
      return undefined
    }
    record.state = known.state
    return record
  }

  // Where a job waits.

  /** Adds new jobs, in order. Most batches are uniform and are added without looking at each job. */
  accept(
    jobs: readonly JobRecord[],
    existed: ReadonlyMap<JobRecord, unknown> | undefined,
    now: number,
    wall: number,
  ): void {
    const first = jobs[0]
    if (!existed && first && areAlike(jobs, first.priority)) {
      let seq = nextSerial(jobs.length)
      this.jobs.addAll(jobs, seq)
      for (let i = 0; i < jobs.length; i++) (jobs[i] as JobRecord).seq = seq++
      this.ready.pushAll(jobs, first.priority)
      this.counts.pending += jobs.length
      return
    }
    for (const job of jobs) {
      if (existed?.has(job)) continue
      job.seq = nextSerial()
      this.jobs.add(job)
      this.wait(job, now, wall)
    }
  }

  /** Puts a job among those that may start, or among those that are not due. */
  wait(job: JobRecord, now: number, wall: number): void {
    const due = job.extras && dueOf(job.extras, now, wall)
    if (due) return this.#delay(job, due.clock === 'wall' ? this.#dated : this.#due, due.at)
    job.state = 'pending'
    this.counts.pending++
    if (job.extras && job.extras.crashes > 0) this.suspects.push(job, now)
    else this.ready.push(job)
  }
  acceptPlain(jobs: PlainJobs): void {
    jobs.first = nextSerial(jobs.length)
    this.jobs.addPlain(jobs)
    this.ready.pushPlain(jobs)
    this.counts.pending += jobs.length
  }
  #delay(job: JobRecord, heap: Heap, at: number): void {
    job.state = 'delayed'
    this.counts.delayed++
    heap.push(job, at)
  }
  /** Removes a job from wherever it waits. The caller updates its state and the counts. */
  leave(job: JobRecord): void {
    if (job.state === 'delayed') (job.extras?.runAt === undefined ? this.#due : this.#dated).remove(job)
    else if (!this.#heldKeys.remove(job) && !this.suspects.remove(job)) this.ready.remove(job)
  }
  reprioritize(job: JobRecord, priority: number): void {
    const isReady = job.state === 'pending' && !this.#heldKeys.has(job) && !this.suspects.has(job)
    if (isReady) this.ready.reprioritize(job, priority)
    else job.priority = priority
  }
  /** Changes when a waiting job comes due. Returns false if nothing changes, because it is pending and stays so. */
  reschedule(job: JobRecord, when: DueTime, now: number, wall: number): boolean {
    const due = dueOfCommand(when, now, wall)
    if (job.state === 'pending' && !due) return false
    this.leave(job)
    this.counts[job.state]--
    const isDated = due?.clock === 'wall'
    Object.assign(job.ensureExtras(), { dueAt: isDated ? undefined : due?.at, runAt: isDated ? due.at : undefined })
    this.wait(job, now, wall)
    return true
  }
  /**
   * Removes some waiting jobs: ready ones first, most important first, then those not due. The caller updates their
   * states.
   */
  takeSome(most: number, key?: string): JobRecord[] {
    if (key !== undefined) return this.#takeSomeOf(key, most)
    const out: JobRecord[] = []
    while (out.length < most) {
      const job = this.ready.any ?? this.suspects.any ?? this.#due.first ?? this.#dated.first ?? this.#heldKeys.any
      if (!job) break
      this.leave(job)
      out.push(job)
    }
    return out
  }
  #takeSomeOf(key: string, most: number): JobRecord[] {
    const out: JobRecord[] = []
    for (const job of this.jobs.entries()) {
      if (out.length === most) break
      if (typeof job === 'number' || job.extras?.key !== key || !isWaiting(job.state)) continue
      this.leave(job)
      out.push(job)
    }
    return out
  }
  /** Removes all waiting jobs, most important first. They stay counted as pending. */
  takeOut(): JobRecord[] {
    const { counts, ready } = this
    const aside = this.#heldKeys.jobs()
    const out = [...ready, ...this.suspects.jobs(), ...this.#due.jobs(), ...this.#dated.jobs(), ...aside]
    out.sort(inOrderOfStart)
    for (const job of out) this.leave(job)
    counts.pending += counts.delayed
    counts.delayed = 0
    for (const job of out) job.state = 'pending'
    return out
  }
  /** Removes all waiting jobs for good, most important first. */
  removeWaiting(now: number): JobRecord[] {
    const out = this.takeOut()
    for (const job of out) {
      this.counts.pending--
      this.jobs.drop(job, now, 0, 0)
    }
    return out
  }
  /** A failed or cancelled job starts again. */
  retry(job: JobRecord, now: number, wall: number): void {
    this.#keptEnded.remove(job)
    this.counts[job.state]--
    putAnew(job)
    this.wait(job, now, wall)
  }

  // How a job ends.

  /** Ends a job that no longer waits or runs. It is kept for its time, or forgotten at once. */
  end(job: JobRecord, state: 'finished' | 'failed' | 'cancelled', now: number, keep: KeepPolicy): JobRecord {
    const { counts, jobs } = this
    counts[job.state]--
    counts[state]++
    job.state = state
    const forMs = keptMs(keep, state)
    if (forMs > 0) {
      job.ensureExtras().forgetAt = now + forMs
      this.#keptEnded.push(job, now + forMs)
      if (this.#keptEnded.size > keep.most) this.#forgetOne(now, keep)
    } else jobs.drop(job, now, keep.idsMs, keep.most)
    return job
  }
  /** Whether there is an ended job to forget: one has expired, or more are kept than allowed. */
  #mustForget(now: number, { most }: KeepPolicy): boolean {
    return this.#keptEnded.firstKey <= now || this.#keptEnded.size > most
  }
  /** Forgets the ended job that is next to expire. */
  #forgetOne(now: number, keep: KeepPolicy): void {
    this.jobs.drop(this.#keptEnded.pop() as JobRecord, now, keep.idsMs, keep.most)
  }
  /** Removes a job that is not underway for good. */
  remove(job: JobRecord, now: number): void {
    if (job.ended) this.#keptEnded.remove(job)
    else this.leave(job)
    this.counts[job.state]--
    this.jobs.drop(job, now, 0, 0)
  }
  /**
   * Frees the id of a job that ended and was forgotten, and stops counting it. Returns whether the id was remembered.
   */
  freeId(id: string, now: number): boolean {
    const gone = this.jobs.recall(id, now)
    if (!gone) return false
    this.counts[gone.state]--
    return this.jobs.forget(id, now)
  }
  settle(settled: Settlement, now: number, keep: KeepPolicy): void {
    const { record, fence, kind, error, waitMs, heldKey, heldRule, crashes } = settled
    if (record.state !== 'underway' || record.fence !== fence) return
    if (crashes !== undefined) record.ensureExtras().crashes = crashes
    if (freesStart(settled)) {
      this.#refund(settled.grant, now)
      this.keys?.returned(record.extras?.key)
    }
    const { end, keepsError, holdsRate } = transitionOf(kind)
    if (end !== undefined) {
      if (keepsError) record.ensureExtras().error = error
      else if (keep.results && keep.finishedMs > 0) this.#keepResult(settled)
      this.end(record, end, now, keep)
      if (settled.bodyContinues) this.continuingBodies.add(record)
      else this.keys?.released(record, now)
      return
    }
    if (holdsRate) {
      this.#refused(refusedStarts(settled.grant, heldKey, heldRule), now)
      hold(this.#holdsAt(now), settled, now + waitMs)
    }
    this.counts.underway--
    goBack(settled, now)
    this.wait(record, now, anyWall)
    // Last, because a key that has neither jobs nor bodies is forgotten.
    this.keys?.released(record, now)
  }
  #keepResult({ record, text, value }: Settlement): void {
    if (this.strict && text === undefined) return
    record.ensureExtras().value = text === undefined ? value : valueFrom(text)
    record.ensureExtras().resultKept = true
  }
  #holdsAt(now: number): Holds {
    return {
      queue: until => this.rate.hold(until),
      key: (key, until) => this.#holdKey(key, until, now),
      rule: (name, until) => this.ruleSet.hold(name, until),
    }
  }
  #holdKey(key: string, until: number, now: number): void {
    this.keys ? this.keys.hold(key, until, now) : this.#heldKeys.hold(key, until)
  }

  // The parts of an exchange.

  /** Forgets up to as many jobs as `ended` in this exchange, and some more, so that expired jobs do not accumulate. */
  prune(now: number, keep: KeepPolicy, ended: number): void {
    const most = maxPruned + ended
    for (let left = most; left > 0 && this.#mustForget(now, keep); left--) this.#forgetOne(now, keep)
    this.jobs.prune(now, most, keep.most)
  }
  /** Makes ready the jobs that came due, and those of keys no longer held. */
  makeReady(now: number, wall: number): void {
    const due = this.#due
    const dated = this.#dated
    while (due.firstKey <= now || dated.firstKey <= wall) {
      const job = (due.firstKey <= now ? due : dated).pop() as JobRecord
      this.counts.delayed--
      this.wait(job, now, wall)
    }
    this.keys?.recheckDue(now)
    for (const job of this.#heldKeys.takeExpired(now)) this.ready.push(job)
  }
  claim(exchange: Exchange, keep: KeepPolicy, crashLimit: number): ExchangeResult {
    const { room, now, wall } = exchange
    const { ready, rate, ruleSet, counts, sharedPaused, keys } = this
    const { isShared } = ruleSet
    const limited = !rate.limitsNothing || isShared || keys?.limitsRate === true
    const grace = limited ? graceMs([...ruleSet.inForce, ...(keys?.rules ?? [])], this.#graceFactor) : 0
    const claimed: JobRecord[] = []
    const grants: Grant[] | undefined = limited ? [] : undefined
    const free = freeSlots(this.globalWidth, this.bodies)
    const most = sharedPaused || this.clearing ? 0 : Math.min(room, maxClaimed, free)
    let endedUnrun = none
    let blocked: Blocked | undefined
    let demand: Demand | undefined
    const suspects = this.suspects.candidates(exchange.suspectRoom, crashLimit, ready.first, now)
    while (claimed.length < most) {
      const next = keys?.next
      const first = keys ? next?.jobs.first : ready.first
      const suspect = suspects.next(first)
      const entry = suspect ? undefined : next
      const job = suspect ?? first
      if (!job) break
      const { extras } = job
      if (suspect) {
        if (this.#holdsSuspect(suspect, now)) continue
      } else if (entry) {
        const refusal = keys?.refusal(entry, extras?.cost, now)
        if (refusal?.never) {
          endedUnrun = [...endedUnrun, this.#refuse(job, refusal.rule, now, keep)]
          continue
        }
        if (refusal) {
          keys?.holdUp(entry, refusal)
          continue
        }
      } else if (extras?.key !== undefined && this.#setAside(job)) continue
      if (grants) {
        const refusal = isShared ? ruleSet.refusal(extras?.cost, now) : undefined
        const grant = refusal ? -1 : rate.grant(extras?.cost, now, grace)
        if (grant < 0) {
          blocked = refusal ?? rate.blocking(extras?.cost, now)
          demand = { cost: extras?.cost, wants: Math.min(most - claimed.length, ready.size) }
          if (blocked?.until !== Infinity) break
          endedUnrun = [...endedUnrun, this.#refuse(job, blocked.rule, now, keep)]
          blocked = demand = undefined
          continue
        }
        const ofKey = suspect ? keys?.entryFor(suspect) : entry
        const keyStart = ofKey?.rate?.grant(extras?.cost, now, grace) ?? 0
        const further = startOfKey(ofKey?.key, keyStart)
        grants.push(grantOf(grant, isShared ? [...further, ...ruleSet.charge(extras?.cost, now, grace)] : further))
      }
      if (suspect) {
        this.suspects.remove(suspect)
        keys?.runs(suspect)
      } else if (entry) keys?.claimed(entry, job)
      else ready.remove(job)
      job.state = 'underway'
      job.attempt++
      job.fence++
      claimed.push(job)
    }
    counts.pending -= claimed.length
    counts.underway += claimed.length
    if (isShared && (!keepsWaits(exchange) || sharedPaused || this.clearing)) {
      ruleSet.claimed(claimed.length > 0, demand, now)
    }
    // Without a reason of the queue's own, the first key that may start a job again says when to look.
    if (!blocked && claimed.length < most) blocked = keys ? keys.blocked() : this.#blockedByHold()
    let nextLookAt = this.#nextLook(now, wall)
    const nextLookExact = blocked !== undefined && blocked.until <= nextLookAt
    if (nextLookExact && blocked) nextLookAt = blocked.until
    else if (claimed.length === maxClaimed && ready.size > 0) nextLookAt = now
    return {
      claimed,
      endedUnrun,
      grants,
      graceUntil: limited ? now + grace : Infinity,
      nextLookAt,
      nextLookExact,
      limited: blocked && limitedBy(blocked, wall + blocked.until - now),
      sharedPaused,
      notices: undefined,
    }
  }
  #blockedByHold(): Blocked | undefined {
    const { first } = this.#heldKeys
    return first && { why: 'hold', rule: undefined, ...first }
  }
  /**
   * Whether a limit or a hold of its key holds up the suspect. Where it never fits, the claim of the others finds out.
   */
  #holdsSuspect({ extras }: JobRecord, now: number): boolean {
    const { key, cost } = extras ?? {}
    if (key === undefined) return false
    return (this.heldUntil(key) ?? now) > now || refusalOf(this.keyScope(key), cost, now) !== undefined
  }
  #setAside(job: JobRecord): boolean {
    const isHeld = this.#heldKeys.setAside(job)
    if (isHeld) this.ready.remove(job)
    return isHeld
  }
  /** A limit was lowered below the job's cost: the job fails instead of waiting for ever. */
  #refuse(job: JobRecord, rule: RateRule | undefined, now: number, keep: KeepPolicy): JobRecord {
    this.leave(job)
    job.ensureExtras().error = neverStarts(job.extras?.cost, rule)
    return this.end(job, 'failed', now, keep)
  }
  /** The instant at which the next job comes due or a key's hold ends. */
  #nextLook(now: number, wall: number): number {
    const dated = this.#dated
    let next = Math.min(this.#due.firstKey, this.keys?.nextLook ?? Infinity)
    if (dated.size > 0) next = Math.min(next, dueCheckAt({ clock: 'wall', at: dated.firstKey }, now, wall))
    return Math.min(next, this.#heldKeys.first?.until ?? Infinity)
  }
}

/** Whether the jobs differ only in their payloads. */
function areAlike(jobs: readonly JobRecord[], priority: number): boolean {
  for (let i = 0; i < jobs.length; i++) {
    const job = jobs[i] as JobRecord
    if (job.extras !== undefined || job.priority !== priority) return false
  }
  return true
}
