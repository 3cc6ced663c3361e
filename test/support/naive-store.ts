/**
 * The simplest store that keeps the store contract: plain maps and arrays, and every request scans all jobs of its queue.
 *
 * It proves that the contract can be met without SQL and without a thread, and it is the shortest description of what a
 * store does. Several workers open one `NaiveDatabase`, each with a `NaiveStore` of its own. All state is plain data,
 * so a transaction is undone by putting back a copy.
 */

import { launchAlone, reportedFirst } from '../../lib/dispatch/launch-reports.ts'
import { DispatchError, JobUnknownError, PoisonError } from '../../lib/errors.ts'
import type { JobState } from '../../lib/job.ts'
import { Rate, type RateRule, type RateState } from '../../lib/rate/rate.ts'
import { maxPruned, wallLookMs } from '../../lib/rules/bounds.ts'
import { isWaiting, knownJob, refuseByState } from '../../lib/rules/commands.ts'
import { crashOutcome } from '../../lib/rules/crash-outcome.ts'
import { type Due, dueOf, dueOfCommand } from '../../lib/rules/due.ts'
import { explainWait } from '../../lib/rules/explain.ts'
import { factorAfterLaunch, factorAfterReturn, graceMs } from '../../lib/rules/grace.ts'
import { keptMs } from '../../lib/rules/keep.ts'
import { inOrderOfStart as inOrder } from '../../lib/rules/order.ts'
import { neverStarts, refuseCost, refuseOtherPayload, refuseOverfull } from '../../lib/rules/puts.ts'
import { declaredAfterCommand, newDeclaration } from '../../lib/rules/rate-settings.ts'
import { attemptAfter, dueAfter, freesStart, transitionOf } from '../../lib/rules/transitions.ts'
import { toWire } from '../../persistence/durable/errors.ts'
import type * as wire from '../../persistence/durable/store.ts'
import { aloneFrom, precedence, SuspectLine, type SuspectTurn } from '../../persistence/durable/suspect-line.ts'
import { errorText } from '../../persistence/sqlite/tables/job.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** A job as replies show it, and what they do not show. */
interface Job extends Mutable<wire.JobRow> {
  readonly more: Mutable<wire.JobRowExtras>
  /** Its process died, and nobody knows whether the body had begun. */
  unsure: boolean
  /** Since when it waits. */
  since: number
  forgetAt: number
  claim?: Claim | undefined
}
/** Who has a job that is underway. */
interface Claim {
  worker: string
  turn: number
  grant: number
  launched: boolean
  alone: boolean
  /** Its queue stopped without waiting for the body. */
  abandoned: boolean
  /** Its process died, and the queue is to say what becomes of it. */
  inDoubt: boolean
  cancel?: { readonly reason: string | undefined; notified: boolean } | undefined
}
interface Queue {
  readonly queue: number
  readonly name: string
  readonly jobs: Map<number, Job>
  /** Ended jobs that were forgotten, and the given ids among them. */
  readonly forgotten: Record<JobState, number>
  ids: { id: string; fingerprint: string; state: JobState; until: number }[]
  declared: string
  rate: RateState
  graceFactor: number
  held: boolean
  readonly heldKeys: Map<string, number>
  settings: Pick<wire.AttachRequest, 'keep' | 'afterCrash' | 'crashLimit'>
  /** Jobs whose process died: who reports them, in which turn (0 before it), and how they ended, if they did. */
  reports: { readonly seq: number; readonly row: wire.JobRow | undefined; worker: string; turn: number }[]
}
interface Worker {
  /** The queues that have a handler here. */
  readonly works: Set<number>
  readonly lastTurns: Map<number, number>
  /** What turns reported, by their numbers, in case a reply is lost. */
  readonly told: Map<number, Told>
  /** Jobs that have ended while their bodies go on. */
  readonly bodies: Set<number>
}
interface Told {
  readonly lost: number[]
  readonly cancels: { readonly seq: number; readonly reason: string | undefined }[]
  readonly impossible: wire.JobRow[]
}
interface Turn extends Told {
  readonly queue: Queue
  readonly request: wire.ExchangeRequest
  readonly rate: Rate
  readonly jobs: Job[]
  blocked: ReturnType<Rate['blocking']>
  lookAt: number
}
type Change = Omit<wire.CommandReply, 'counts' | 'rules'>

const nobody = ''
const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }

export class NaiveDatabase {
  data = { lastSeq: 0, queues: new Map<number, Queue>(), workers: new Map<string, Worker>() }
  /** Workers whose commits fail. */
  readonly broken = new Set<string>()
  /** By worker: called when another one has changed something. */
  readonly listeners = new Map<string, () => void>()
}

/** One worker of the database. */
export class NaiveStore implements wire.Store {
  readonly #db: NaiveDatabase
  readonly #token: string
  readonly #line = new SuspectLine()
  /** The suspect that ran in this process when last looked. */
  #suspect: number | undefined
  #touched = false

  constructor(db: NaiveDatabase, token: string) {
    this.#db = db
    this.#token = token
    this.#commit(() => {})
  }
  exchange(requests: readonly wire.Request[]): readonly wire.Answered[] {
    return this.#commit(() => requests.map(request => this.#answer(request)))
  }
  query(request: wire.QueryRequest): unknown {
    return this.#do(request)
  }
  workers(): readonly string[] {
    return [...this.#db.data.workers.keys()].filter(token => token !== this.#token)
  }
  recover(token: string, now: number): readonly number[] {
    return this.#commit(() => {
      const changed = this.#takeAllOver(token, now, true)
      if (token !== this.#token) this.#signOff(token)
      return changed
    })
  }
  surrender(now: number): void {
    this.#commit(() => this.#takeAllOver(this.#token, now, false))
  }
  close(): boolean {
    return this.#commit(() => {
      const holds = this.#all(({ claim }) => claim?.worker === this.#token).length > 0
      if (!holds) this.#signOff(this.#token)
      return !holds
    })
  }
  onChange(changed: () => void): void {
    this.#db.listeners.set(this.#token, changed)
  }

  /** One transaction: all of it, or nothing. */
  #commit<T>(run: () => T): T {
    const { broken, data } = this.#db
    const before = broken.has(this.#token) ? structuredClone(data) : undefined
    // A worker that was taken for dead by mistake is registered again.
    if (!data.workers.has(this.#token)) {
      data.workers.set(this.#token, { works: new Set(), lastTurns: new Map(), told: new Map(), bodies: new Set() })
    }
    const answer = run()
    const [touched, wakes] = [this.#touched, this.#line.wakes()]
    this.#touched = false
    if (before) {
      this.#db.data = before
      throw new Error('the commit failed')
    }
    for (const [token, changed] of this.#db.listeners) if (token === this.#token ? wakes : touched) changed()
    return answer
  }
  #answer(request: wire.Request): wire.Answered {
    try {
      return { ok: this.#do(request) }
    } catch (error) {
      // Every request is checked before anything is written for it.
      if (error instanceof DispatchError) return { error: toWire(error) }
      throw error
    }
  }
  #do(request: wire.Request): unknown {
    if (request.kind === 'attach') return this.#attach(request)
    const queue = this.#db.data.queues.get(request.queue)
    if (!queue) throw new Error(`no queue has the number ${request.queue}`)
    switch (request.kind) {
      case 'put':
        return this.#put(queue, request)
      case 'turn':
        return this.#turn(queue, request)
      case 'control':
        this.#touched = true
        return { ...this.#control(queue, request), counts: countsOf(queue), rules: queue.rate.rules }
      case 'detach':
        return this.#detach(queue, request)
      case 'find':
        return rowOf(find(queue, request.target))
      case 'list':
        return list(queue, request)
      case 'explain':
        return this.#explain(queue, request)
      default:
        return request satisfies never
    }
  }

  // Workers.
  get #me(): Worker {
    return this.#db.data.workers.get(this.#token) as Worker
  }
  #all(fits: (job: Job) => boolean): [Queue, Job][] {
    const all = [...this.#db.data.queues.values()]
    return all.flatMap(queue => jobsOf(queue, fits).map((job): [Queue, Job] => [queue, job]))
  }
  #takeAllOver(token: string, now: number, mayAsk: boolean): number[] {
    const left = this.#all(({ claim }) => claim?.worker === token)
    for (const [queue, job] of left) this.#takeOver(queue, job, now, mayAsk && this.#me.works.has(queue.queue))
    return [...new Set(left.map(([{ queue }]) => queue))]
  }
  /** What becomes of a job whose process died or let go of it. `asks`: a queue of this worker can be asked. */
  #takeOver(queue: Queue, job: Job, now: number, asks: boolean): void {
    const claim = job.claim as Claim
    const { launched, alone, inDoubt, cancel } = claim
    const facts = { crashes: job.crashes, launched, alone, launchUnreported: job.unsure, awaitingVerdict: inDoubt }
    const situation = { cancelRequested: cancel !== undefined, worksHere: asks }
    const { kind, crashes, launchUnreported } = crashOutcome(facts, queue.settings, situation)
    Object.assign(job, { crashes, unsure: launchUnreported })
    if (kind === 'asks' || kind === 'leaves') {
      if (asks) job.fence++
      job.claim = { ...claim, inDoubt: true, worker: asks ? this.#token : nobody, turn: 0 }
      return
    }
    const worker = claim.worker === this.#token ? this.#token : nobody
    let row: wire.JobRow | undefined
    if (kind === 'cancelled') row = this.#end(queue, job, kind, now, { error: cancel?.reason })
    else if (kind === 'failed') row = this.#end(queue, job, kind, now, { error: errorText(new PoisonError(crashes)) })
    else this.#giveBack(job, now)
    queue.reports.push({ seq: job.seq, row, worker, turn: 0 })
  }
  #signOff(token: string): void {
    for (const queue of this.#db.data.queues.values()) freeReports(queue, token)
    this.#db.data.workers.delete(token)
  }
  #attach({ name, works, looks, rate, keep, afterCrash, crashLimit, now }: wire.AttachRequest): wire.AttachReply {
    const { queues } = this.#db.data
    let queue = [...queues.values()].find(queue => queue.name === name)
    if (!queue && looks) return { queue: 0, rules: [], counts: zero, sharedPaused: false }
    if (!queue) queues.set(queues.size + 1, (queue = newQueue(queues.size + 1, name, { keep, afterCrash, crashLimit })))
    if (works) {
      queue.settings = { keep, afterCrash, crashLimit }
      this.#me.works.add(queue.queue)
    }
    const declared = newDeclaration(rate, queue.declared)
    if (rate && declared) changeRate(queue, rate, now)
    queue.declared = declared ?? queue.declared
    return { queue: queue.queue, rules: queue.rate.rules, counts: countsOf(queue), sharedPaused: queue.held }
  }
  #detach(queue: Queue, { works, keepLeases, acknowledged = 0 }: wire.DetachRequest): void {
    if (!works) return
    this.#me.works.delete(queue.queue)
    this.#line.stops(queue.queue)
    this.#line.wake()
    acknowledge(queue, this.#token, acknowledged)
    freeReports(queue, this.#token)
    for (const job of jobsOf(queue, ({ claim }) => claim?.worker === this.#token)) {
      const claim = job.claim as Claim
      if (claim.inDoubt) claim.worker = nobody
      else if (keepLeases) Object.assign(claim, { abandoned: true, alone: false })
      else this.#giveBack(job, 0)
    }
  }

  // Jobs come and go.
  #put(queue: Queue, request: wire.PutRequest): wire.PutReply {
    const { ids, size, wall, now } = request
    const more = new Map(request.more)
    const rate = Rate.from(queue.rate)
    const firstOf = new Map<string, number>()
    const existed = new Map<number, wire.JobRow | number>()
    const byId = new Map(jobsOf(queue).map(job => [job.id, job]))
    for (const [index, id] of ids.entries()) {
      const { fingerprint, cost } = more.get(index) ?? {}
      const twin = fingerprint === undefined ? undefined : firstOf.get(id)
      const known = twin === undefined ? byId.get(id) : undefined
      const gone = queue.ids.find(gone => gone.id === id && gone.until > now)
      const before = twin === undefined ? (known?.more ?? gone)?.fingerprint : more.get(twin)?.fingerprint
      if (fingerprint !== undefined) refuseOtherPayload(id, fingerprint, before)
      const row = gone && { ...rowOf(newJob(0, request, index, more.get(index))), state: gone.state }
      const stands = twin ?? rowOf(known) ?? row
      if (stands !== undefined) existed.set(index, stands)
      else {
        if (fingerprint !== undefined) firstOf.set(id, index)
        refuseCost(cost, rate)
      }
    }
    const { pending, delayed } = countsOf(queue)
    refuseOverfull(ids.length - existed.size, size, pending + delayed)
    const first = this.#db.data.lastSeq + 1
    const put = new Map<number, Job>()
    for (const index of ids.keys()) {
      if (existed.has(index)) continue
      const job = newJob(++this.#db.data.lastSeq, request, index, more.get(index))
      this.#wait(job, now, dueOf(more.get(index) ?? {}, now, wall))
      queue.jobs.set(job.seq, job)
      put.set(index, job)
    }
    const rows = [...existed].map(([index, known]): [number, wire.JobRow] => [
      index,
      typeof known === 'number' ? (rowOf(put.get(known)) as wire.JobRow) : known,
    ])
    return { first, existed: rows, counts: countsOf(queue) }
  }
  #wait(job: Job, now: number, due?: Due): void {
    const isDated = due?.clock === 'wall'
    note(job, { runAt: isDated ? due.at : undefined, dueAt: isDated ? undefined : due?.at })
    Object.assign(job, { state: due ? 'delayed' : 'pending', claim: undefined, since: now })
    this.#touched = true
  }
  #giveBack(job: Job, now: number): void {
    job.attempt--
    this.#wait(job, now)
  }
  #end(queue: Queue, job: Job, state: Ended, now: number, { error, value, startedAt, stoppedAt }: Ending): wire.JobRow {
    const { keep } = queue.settings
    job.forgetAt = now + keptMs(keep, state)
    note(job, {
      dueAt: undefined,
      runAt: undefined,
      error: error ?? job.more.error,
      value: keep.results ? value : undefined,
    })
    const times = { startedAt: startedAt ?? job.startedAt, stoppedAt: stoppedAt ?? job.stoppedAt }
    Object.assign(job, { state, claim: undefined, ...times })
    if (!(job.forgetAt > now)) forget(queue, job, now)
    this.#touched = true
    return rowOf(job)
  }
  #held(queue: Queue, seq: number, fence: number): Job | undefined {
    const job = queue.jobs.get(seq)
    return job?.fence === fence && job.claim?.worker === this.#token ? job : undefined
  }
  #settle({ queue, request, rate, lost, impossible }: Turn, index: number): void {
    const { now, settled } = request
    const seq = settled.seqs[index] as number
    const kind = settled.kinds?.[index] ?? 'finished'
    const { waitMs = 0, heldKey, error, value, grant, bodyContinues, notAlone } = new Map(settled.more).get(index) ?? {}
    const times = { startedAt: settled.startedAt[index] ?? null, stoppedAt: settled.stoppedAt[index] ?? null }
    const job = this.#held(queue, seq, settled.fences[index] as number)
    if (!job) return void lost.push(seq)
    const { cancel, grant: granted = 0 } = job.claim ?? {}
    const { end, keepsError, holdsRate } = transitionOf(kind)
    if (end !== undefined) {
      if (grant !== undefined) rate.refund(grant)
      if (bodyContinues) this.#me.bodies.add(seq)
      this.#end(queue, job, end, now, { error, value, ...times })
      return
    }
    if (holdsRate && heldKey === undefined) rate.hold(now + waitMs)
    if (holdsRate && heldKey !== undefined) {
      queue.heldKeys.set(heldKey, Math.max(now + waitMs, queue.heldKeys.get(heldKey) ?? 0))
    }
    if (freesStart({ kind })) handBack(queue, rate, grant ?? granted, now)
    if (notAlone) this.#line.crowded(now)
    job.attempt = attemptAfter(kind, job.attempt)
    if (keepsError) {
      note(job, { error })
      Object.assign(job, times)
    }
    if (cancel) impossible.push(this.#end(queue, job, 'cancelled', now, { error: cancel.reason, ...times }))
    else this.#wait(job, now, dueOf({ dueAt: dueAfter(kind, waitMs, now) }, now, 0))
  }

  // A turn.
  #turn(queue: Queue, request: wire.ExchangeRequest): wire.ExchangeReply {
    const { number, now, wall, acknowledged, works } = request
    const { lastTurns, told } = this.#me
    const rate = Rate.from(queue.rate)
    const before = told.get(number) ?? { lost: [], cancels: [], impossible: [] }
    const turn: Turn = { queue, request, rate, ...before, jobs: [], blocked: undefined, lookAt: Infinity }
    if (number > (lastTurns.get(queue.queue) ?? 0)) {
      lastTurns.set(queue.queue, number)
      this.#takeIn(turn)
      this.#claim(turn)
      if (works) this.#report(turn)
      turn.lookAt = Math.min(nextLook(queue, now, wall), Math.max(turn.lookAt, now))
      queue.rate = rate.state()
      for (const old of told.keys()) if (old <= acknowledged) told.delete(old)
      told.set(number, before)
    } else {
      turn.jobs.push(...jobsOf(queue, job => this.#isOf(number, job) && !job.claim?.inDoubt).sort(inOrder))
      turn.lookAt = now
    }
    return this.#reply(turn)
  }
  #isOf(number: number, { claim }: Job): boolean {
    return claim?.worker === this.#token && claim.turn === number
  }
  /** What a turn says of runs, and what time brings. */
  #takeIn(turn: Turn): void {
    const { queue, request, rate, lost } = turn
    const { now, wall, launchReports, launched, checkpoints, settled, endedBodies, spent } = request
    const facts = [launchReports.seqs, checkpoints, settled.seqs, endedBodies, launched, spent]
    if (facts.some(({ length }) => length > 0)) this.#touched = true
    for (const [i, seq] of launchReports.seqs.entries()) {
      const job = this.#held(queue, seq, launchReports.fences[i] as number)
      if (job?.claim) job.claim.launched = true
      else if (launchReports.first[i]) lost.push(seq)
    }
    for (const { seq, fence, value } of checkpoints) {
      const job = this.#held(queue, seq, fence)
      if (job) job.more.checkpoint = value
      else lost.push(seq)
    }
    for (const i of settled.seqs.keys()) this.#settle(turn, i)
    for (const seq of endedBodies) this.#me.bodies.delete(seq)
    for (let i = 0; i + 1 < launched.length; i += 2) {
      rate.confirm(launched[i] as number, launched[i + 1] as number)
      queue.graceFactor = factorAfterLaunch(queue.graceFactor)
    }
    for (const { grant, cost } of spent) rate.correct(grant, cost)
    if (request.works) acknowledge(queue, this.#token, request.acknowledged)
    const asks = request.works && this.#me.works.has(queue.queue)
    for (const job of jobsOf(queue)) {
      const { dueAt = Infinity, runAt = Infinity } = job.more
      if (asks && job.claim?.worker === nobody) this.#takeOver(queue, job, now, true)
      if (job.state === 'delayed' && (dueAt <= now || runAt <= wall)) this.#wait(job, now)
    }
    for (const [key, until] of queue.heldKeys) if (until <= now) queue.heldKeys.delete(key)
    prune(queue, now, maxPruned + settled.seqs.length)
  }
  /** What else the queue is to hear: jobs of dead processes, and runs that are to be cancelled. */
  #report({ queue, request, cancels }: Turn): void {
    for (const { seq, claim } of jobsOf(queue, ({ claim }) => claim?.worker === this.#token)) {
      if (claim?.inDoubt && claim.turn === 0) claim.turn = request.number
      if (!claim?.cancel || claim.cancel.notified) continue
      claim.cancel.notified = true
      cancels.push({ seq, reason: claim.cancel.reason })
    }
    const of = (token: string) => queue.reports.filter(({ worker, turn }) => worker === token && turn === 0)
    // A process reports by itself what it gave up by itself.
    const own = of(this.#token)
    for (const report of own.length > 0 ? own : of(nobody)) {
      Object.assign(report, { worker: this.#token, turn: request.number })
    }
  }
  #reply({
    queue,
    request,
    rate,
    jobs,
    blocked,
    lookAt,
    lost,
    cancels,
    impossible: endedUnrun,
  }: Turn): wire.ExchangeReply {
    const { number, now, wall } = request
    const reports = queue.reports.filter(({ worker, turn }) => worker === this.#token && turn === number)
    const recovered = reports.flatMap(({ seq, row }) => row ?? rowOf(queue.jobs.get(seq)) ?? [])
    const endedSo = reports.flatMap(({ seq, row }) => (row ? seq : []))
    const inDoubt = jobsOf(queue, job => this.#isOf(number, job) && job.claim?.inDoubt === true).map(job => rowOf(job))
    const isSome = [lost, recovered, cancels, inDoubt].some(({ length }) => length > 0)
    const news = {
      lostRuns: [...new Set(lost)],
      within: [],
      recovered,
      endedByRecovery: endedSo,
      cancelRequests: cancels,
      needVerdict: inDoubt,
      droppedReports: 0,
    }
    const grants = rate.idle ? undefined : jobs.map(({ claim }) => claim?.grant ?? 0)
    const counted = (grants ?? []).map(grant => (grant > 0 ? (rate.countsAt(grant) ?? -Infinity) : Infinity))
    const nextLookExact = blocked !== undefined && blocked.until <= lookAt
    const more = jobs.map((job, i): [number, wire.JobRowExtras] => [i, { ...rowOf(job).more, ...launchOf(job) }])
    return {
      claimed: {
        seqs: jobs.map(({ seq }) => seq),
        ids: jobs.map(({ id }) => id),
        payloads: jobs.map(({ payload }) => payload),
        priorities: jobs.map(({ priority }) => priority),
        attempts: jobs.map(({ attempt }) => attempt),
        fences: jobs.map(({ fence }) => fence),
        queuedAt: jobs.map(({ queuedAt }) => queuedAt),
        more: more.filter(([, facts]) => Object.keys(facts).length > 0),
        plain: undefined,
      },
      ...{
        grants,
        endedUnrun,
        nextLookExact,
        sharedPaused: queue.held,
        rules: queue.rate.rules,
        counts: countsOf(queue),
      },
      graceUntil: Math.min(...counted),
      nextLookAt: nextLookExact ? blocked.until : lookAt,
      limited: blocked && { rule: blocked.rule, until: wall + blocked.until - now },
      notices: isSome ? news : undefined,
    }
  }

  // Claims.
  #claim(turn: Turn): void {
    const { queue, request } = turn
    const { now, room } = request
    const { works, bodies } = this.#me
    const here = this.#all(({ claim }) => claim?.worker === this.#token && !claim.inDoubt)
    const [, suspect] = here.find(([, { crashes, claim }]) => crashes > 0 && !claim?.abandoned) ?? []
    if (this.#suspect !== suspect?.seq) this.#line.wake()
    this.#suspect = suspect?.seq
    const process: SuspectTurn = {
      ...{ queue: queue.queue, now, running: suspect?.claim },
      isIdle: () => here.length === 0,
      canBeIdle: () =>
        bodies.size === 0 && here.every(([{ queue }, { claim }]) => !claim?.abandoned && works.has(queue)),
    }
    const pending = queue.held ? [] : jobsOf(queue, ({ state }) => state === 'pending').sort(inOrder)
    const runsAlone = ({ crashes }: Job): boolean => crashes >= aloneFrom(queue.settings.crashLimit)
    const takes = room > 0 && pending.length > 0
    const isGone = !takes && this.#line.waitsAlone(queue.queue) && !pending.some(runsAlone)
    if (!request.mayLaunch || pending.length === 0 || isGone) this.#line.leaves(queue.queue)
    if (!takes) return this.#line.passes(process)
    if (suspect?.claim?.alone) return holdUp(turn, this.#line.lookAgain(now))
    const suspects = pending.filter(({ crashes }) => crashes > 0).sort((a, b) => a.crashes - b.crashes)
    const lone = this.#first(turn, suspects.filter(runsAlone))
    const first = this.#first(
      turn,
      suspects.filter(job => !runsAlone(job)),
    )
    const aloneSince = lone && Math.min(...suspects.filter(runsAlone).map(({ since }) => since))
    const plan = this.#line.plan(process, { aloneSince, first })
    holdUp(turn, plan.lookAt)
    if (lone && plan.starts === 'alone') this.#give(turn, lone, true)
    if (plan.starts !== 'others') return
    const others = pending.filter(({ crashes }) => crashes === 0)
    const beside = first && plan.withFirst ? [first] : []
    const isFirst = (job: Job): boolean => {
      const order = precedence(job, now)
      return order === 'first' || (order === 'place' && (!others[0] || inOrder(job, others[0]) < 0))
    }
    for (const job of beside.some(isFirst) ? [...beside, ...others] : [...others, ...beside]) {
      if (turn.jobs.length >= room || turn.blocked) return
      if (this.#mayStart(turn, job)) this.#give(turn, job, false)
    }
  }
  /** The first job that may start; none where the rate holds up one that comes before it. */
  #first(turn: Turn, jobs: readonly Job[]): Job | undefined {
    for (const job of jobs) {
      if (this.#mayStart(turn, job)) return job
      if (turn.blocked) return undefined
    }
    return undefined
  }
  #mayStart(turn: Turn, job: Job): boolean {
    const { queue, rate, request } = turn
    const { key = '', cost } = job.more
    if (queue.heldKeys.has(key)) return false
    const blocked = rate.blocking(cost, request.now)
    if (blocked?.until === Infinity) {
      const error = errorText(neverStarts(cost, rate))
      turn.impossible.push(this.#end(queue, job, 'failed', request.now, { error }))
    } else if (blocked && !(turn.blocked && turn.blocked.until < blocked.until)) turn.blocked = blocked
    return blocked === undefined
  }
  #give({ queue, rate, request, jobs }: Turn, job: Job, runsAlone: boolean): void {
    const counts = graceMs(rate.rules, queue.graceFactor) + 2 * (request.errorMs ?? 0)
    const grant = rate.grant(job.more.cost, request.now, counts)
    const facts = { launched: false, alone: runsAlone, abandoned: false, inDoubt: false }
    job.claim = { worker: this.#token, turn: request.number, grant, ...facts }
    Object.assign(job, { state: 'underway', attempt: job.attempt + 1, fence: job.fence + 1 })
    jobs.push(job)
    this.#touched = true
    if (job.crashes === 0) return
    this.#suspect = job.seq
    this.#line.took(queue.queue)
  }

  // Commands and queries.
  #control(queue: Queue, { command, now, wall }: wire.CommandRequest): Change {
    const none: Change = { changed: [], found: undefined, count: 0, cancelRequested: false }
    if (command.kind === 'rate') {
      changeRate(queue, command.rules, now)
      queue.declared = declaredAfterCommand(command.rules, queue.declared) ?? ''
      return none
    }
    if (command.kind === 'pause') {
      queue.held = command.held
      return none
    }
    const cancel = (job: Job, error: string | undefined): wire.JobRow =>
      this.#end(queue, job, 'cancelled', now, { error, stoppedAt: wall })
    if (command.kind === 'clear') {
      const changed = jobsOf(queue, waits)
        .sort(inOrder)
        .map(job => cancel(job, command.reason))
      return { ...none, changed, count: changed.length }
    }
    const job = find(queue, command.target)
    if (!job) {
      if (command.kind === 'cancel') return none
      if (command.kind !== 'remove') return knownJob(undefined, command.target)
      const gone = queue.ids.find(({ id, until }) => id === command.id && until > now)
      if (!gone) return none
      queue.ids = queue.ids.filter(id => id !== gone)
      queue.forgotten[gone.state]--
      return { ...none, count: 1 }
    }
    const unchanged: Change = { ...none, found: rowOf(job) }
    if (command.kind !== 'cancel') refuseByState(command.kind, job.id, job.state)
    switch (command.kind) {
      case 'cancel':
        if (job.claim) job.claim.cancel = { reason: command.reason, notified: false }
        if (!waits(job)) return { ...unchanged, cancelRequested: job.claim !== undefined }
        cancel(job, command.reason)
        break
      case 'reprioritize':
        job.priority = command.priority
        break
      case 'reschedule':
      case 'promote': {
        const due = dueOfCommand(command, now, wall)
        if (job.state === 'pending' && !due) return unchanged
        this.#wait(job, now, due)
        break
      }
      case 'retry':
        if ([...this.#db.data.workers.values()].some(({ bodies }) => bodies.has(job.seq)))
          return { ...unchanged, cancelRequested: true }
        Object.assign(job, { attempt: 0, crashes: 0, unsure: false, startedAt: null, stoppedAt: null })
        note(job, { error: undefined })
        this.#wait(job, now)
        break
      case 'remove':
        queue.jobs.delete(job.seq)
        break
      default:
        command satisfies never
    }
    const row = rowOf(job)
    return { changed: [row], found: row, count: 1, cancelRequested: false }
  }
  #explain(queue: Queue, { target, now, wall }: wire.ExplainRequest): wire.ExplainReply | undefined {
    const job = find(queue, target)
    if (!job) return undefined
    const { key = '', cost } = job.more
    const blocking = Rate.from(queue.rate).blocking(cost, now)
    const bounds = { due: dueOf(job.more, now, wall), keyHeldUntil: queue.heldKeys.get(key), blocking }
    const { notBefore, why, rule } = explainWait(bounds, now, wall)
    const isPending = job.state === 'pending'
    const isBefore = (other: Job): boolean =>
      other.state === 'pending' &&
      other.crashes > 0 === job.crashes > 0 &&
      (other.crashes - job.crashes || inOrder(other, job)) < 0
    const isHeldUp =
      job.crashes > 0 || this.#all(({ claim }) => claim?.worker === this.#token && claim.alone).length > 0
    return {
      row: rowOf(job),
      position: isPending ? jobsOf(queue, isBefore).length : undefined,
      notBefore,
      why: why ?? (isPending && isHeldUp ? 'suspect' : undefined),
      rule,
    }
  }
}

type Ended = 'finished' | 'failed' | 'cancelled'
interface Ending extends Partial<Pick<Job, 'startedAt' | 'stoppedAt'>> {
  readonly error?: string | undefined
  readonly value?: string | undefined
}

// Jobs.
function newJob(seq: number, request: wire.PutRequest, index: number, put: wire.JobRowExtras = {}): Job {
  const { dueAt, runAt, ...more } = put
  const [id, payload] = [request.ids[index] as string, request.payloads[index] as string]
  const counters = { attempt: 0, fence: 0, crashes: 0, since: 0, forgetAt: 0 }
  const facts = { state: 'pending', unsure: false, startedAt: null, stoppedAt: null } as const
  const priority = request.priorities?.[index] ?? 0
  return { seq, id, payload, priority, queuedAt: request.queuedAt[index] as number, ...counters, ...facts, more }
}
/** Notes facts, or that there are none any more. */
function note(
  { more }: Job,
  facts: { readonly [K in keyof wire.JobRowExtras]?: wire.JobRowExtras[K] | undefined },
): void {
  Object.assign(more, facts)
  for (const [name, value] of Object.entries(more))
    if (value === undefined) delete more[name as keyof wire.JobRowExtras]
}
function rowOf(job: Job): wire.JobRow
function rowOf(job: Job | undefined): wire.JobRow | undefined
function rowOf(job: Job | undefined): wire.JobRow | undefined {
  if (!job) return undefined
  const { since, unsure, forgetAt, claim, more, ...row } = job
  return { ...row, more: Object.keys(more).length > 0 ? { ...more } : undefined }
}
/** What the launch of a job is to observe that was underway in a crash. */
function launchOf({ crashes, unsure, claim }: Job): wire.JobRowExtras {
  const caution = claim?.alone ? launchAlone : crashes > 0 || unsure ? reportedFirst : undefined
  return { ...(crashes > 0 && { crashes }), ...(caution && { caution }) }
}
function waits({ state }: Job): boolean {
  return isWaiting(state)
}

// Queues.
function newQueue(queue: number, name: string, settings: Queue['settings']): Queue {
  const empty = { jobs: new Map(), forgotten: { ...zero }, ids: [], heldKeys: new Map(), reports: [] }
  return { queue, name, settings, ...empty, declared: '', rate: new Rate([]).state(), graceFactor: 1, held: false }
}
function jobsOf({ jobs }: Queue, fits: (job: Job) => boolean = () => true): Job[] {
  return [...jobs.values()].filter(fits)
}
function find(queue: Queue, target: wire.RowRef): Job | undefined {
  return typeof target === 'number' ? queue.jobs.get(target) : jobsOf(queue, ({ id }) => id === target)[0]
}
function countsOf({ jobs, forgotten }: Queue): wire.PutReply['counts'] {
  const counts = { ...forgotten }
  for (const { state } of jobs.values()) counts[state]++
  return counts
}
function list(queue: Queue, { state, key, limit, after }: wire.ListRequest): wire.ListReply {
  const start = typeof after === 'string' ? find(queue, after) : after
  if (typeof after === 'string' && !start) throw new JobUnknownError(after)
  const isPlaced = state !== undefined && isWaiting(state)
  const order = isPlaced ? inOrder : (a: wire.ListCursor, b: wire.ListCursor): number => b.seq - a.seq
  const fits = (job: Job): boolean =>
    (state ?? job.state) === job.state && (key ?? job.more.key) === job.more.key && (!start || order(start, job) < 0)
  const rows = jobsOf(queue, fits).sort(order).slice(0, limit)
  return { rows: rows.map(job => rowOf(job)), next: rows.length === limit ? rows.at(-1) : undefined }
}
function forget(queue: Queue, { seq, id, state, more: { fingerprint } }: Job, now: number): void {
  const until = now + queue.settings.keep.idsMs
  queue.jobs.delete(seq)
  queue.forgotten[state]++
  if (fingerprint !== undefined && until > now) queue.ids.push({ id, fingerprint, state, until })
}
function prune(queue: Queue, now: number, atMost: number): void {
  const { most } = queue.settings.keep
  const ended = jobsOf(queue, job => job.state !== 'underway' && !waits(job)).sort((a, b) => a.forgetAt - b.forgetAt)
  const isOver = ({ forgetAt }: Job, i: number): boolean => forgetAt <= now || ended.length - i > most
  for (const job of ended.filter(isOver).slice(0, atMost)) forget(queue, job, now)
  const ids = queue.ids.filter(({ until }) => until > now).sort((a, b) => a.until - b.until)
  queue.ids = ids.slice(Math.max(ids.length - most, 0))
}
function acknowledge(queue: Queue, token: string, heard: number): void {
  queue.reports = queue.reports.filter(({ worker, turn }) => worker !== token || turn === 0 || turn > heard)
}
function freeReports({ reports }: Queue, token: string): void {
  for (const report of reports) if (report.worker === token) Object.assign(report, { worker: nobody, turn: 0 })
}
function nextLook(queue: Queue, now: number, wall: number): number {
  const looks = jobsOf(queue).map(({ state, more: { dueAt = Infinity, runAt = Infinity, key = '' } }) => {
    if (state === 'delayed') return Math.min(dueAt, now + Math.min(runAt - wall, wallLookMs))
    return state === 'pending' ? (queue.heldKeys.get(key) ?? Infinity) : Infinity
  })
  return looks.reduce((next, at) => Math.min(next, at), Infinity)
}
function changeRate(queue: Queue, rules: readonly RateRule[], now: number): void {
  const rate = Rate.from(queue.rate)
  rate.change(rules, now)
  queue.rate = rate.state()
}
function holdUp(turn: Turn, until: number): void {
  turn.lookAt = Math.min(turn.lookAt, until)
}
/** A start goes back. Where its grace was over before its launch, the next ones get more. */
function handBack(queue: Queue, rate: Rate, grant: number, now: number): void {
  const isLate = (rate.countsAt(grant) ?? Infinity) <= now
  if (isLate) queue.graceFactor = factorAfterReturn(queue.graceFactor, rate.rules)
  rate.refund(grant)
}
