/**
 * The simplest store that keeps the store contract: plain maps and arrays, and every request scans all jobs of its queue.
 *
 * It proves that the contract can be met without SQL and without a thread, and it is the shortest description of what a
 * store does. Several workers open one `NaiveDatabase`, each with a `NaiveStore` of its own. All state is plain data,
 * so a transaction is undone by putting back a copy.
 */
import { DispatchError, PoisonError } from '../../lib/errors.ts'
import { Rate } from '../../lib/rate/rate.ts'
import { maxPruned } from '../../lib/rules/bounds.ts'
import { crashOutcome } from '../../lib/rules/crash-outcome.ts'
import { dueOf } from '../../lib/rules/due.ts'
import { factorAfterLaunch, factorAfterReturn, graceMs } from '../../lib/rules/grace.ts'
import { inOrderOfStart as inOrder } from '../../lib/rules/order.ts'
import { neverStarts } from '../../lib/rules/puts.ts'
import { newDeclaration } from '../../lib/rules/rate-settings.ts'
import { attemptAfter, dueAfter, freesStart, transitionOf } from '../../lib/rules/transitions.ts'
import { errorText, toWire } from '../../persistence/durable/errors.ts'
import type * as wire from '../../persistence/durable/store.ts'
import { aloneFrom, precedence, SuspectLine, type SuspectTurn } from '../../persistence/durable/suspect-line.ts'
import { change, explain, list, put } from './naive-commands.ts'
import * as naive from './naive-database.ts'
import {
  type Claim,
  countsOf,
  end,
  find,
  giveBack,
  type Job,
  jobsOf,
  type NaiveDatabase,
  note,
  type Queue,
  rowOf,
  type Turn,
  type Worker,
  wait,
} from './naive-database.ts'

/** One worker of the database. */
export class NaiveStore implements wire.Store {
  readonly #db: NaiveDatabase
  readonly #token: string
  readonly #line = new SuspectLine()
  /** The suspect that ran in this process when last looked. */
  #suspect: number | undefined

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
    const { broken, data, listeners } = this.#db
    const before = broken.has(this.#token) ? structuredClone(data) : undefined
    const changes = (): number => this.#queues.reduce((sum, queue) => sum + queue.changes, 0)
    const changesBefore = changes()
    // A worker that was taken for dead by mistake is registered again.
    if (!data.workers.has(this.#token)) {
      data.workers.set(this.#token, { works: new Set(), lastTurns: new Map(), told: new Map(), bodies: new Set() })
    }
    const answer = run()
    const wakes = this.#line.wakes()
    if (before) {
      this.#db.data = before
      throw new Error('the commit failed')
    }
    const touched = changes() !== changesBefore
    for (const [token, changed] of listeners) if (token === this.#token ? wakes : touched) changed()
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
    const job = 'target' in request ? find(queue, request.target) : undefined
    switch (request.kind) {
      case 'put':
        return this.#put(queue, request)
      case 'turn':
        return this.#turn(queue, request)
      case 'control':
        queue.changes++
        return { ...change(queue, request, this.#bodyGoesOn), counts: countsOf(queue), rules: queue.rate.rules }
      case 'detach':
        return this.#detach(queue, request)
      case 'find':
        return job && rowOf(job)
      case 'list':
        return list(queue, request)
      case 'explain':
        return job && explain(queue, job, request, this.#all(this.#runsAlone).length > 0)
      default:
        return request satisfies never
    }
  }

  // Workers.
  get #me(): Worker {
    return this.#db.data.workers.get(this.#token) as Worker
  }
  get #queues(): Queue[] {
    return [...this.#db.data.queues.values()]
  }
  #all(fits: (job: Job) => unknown): [Queue, Job][] {
    return this.#queues.flatMap(queue => jobsOf(queue, fits).map((job): [Queue, Job] => [queue, job]))
  }
  readonly #bodyGoesOn = ({ seq }: Job): boolean =>
    [...this.#db.data.workers.values()].some(({ bodies }) => bodies.has(seq))
  readonly #runsAlone = ({ claim }: Job): boolean => claim?.worker === this.#token && claim.alone
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
    if (kind === 'awaitsVerdict' || kind === 'unowned') {
      if (asks) job.fence++
      job.claim = { ...claim, inDoubt: true, worker: asks ? this.#token : naive.nobody, turn: 0 }
      return
    }
    const error = kind === 'failed' ? errorText(new PoisonError(crashes)) : cancel?.reason
    const row = kind === 'waits' ? giveBack(queue, job, now) : end(queue, job, kind, now, { error })
    const worker = claim.worker === this.#token ? this.#token : naive.nobody
    queue.reports.push({ seq: job.seq, row: row ?? undefined, worker, turn: 0 })
  }
  #signOff(token: string): void {
    for (const queue of this.#queues) naive.freeReports(queue, token)
    this.#db.data.workers.delete(token)
  }
  #attach({ name, works, looks, rate, keep, afterCrash, crashLimit, now }: wire.AttachRequest): wire.AttachReply {
    const settings = { keep, afterCrash, crashLimit }
    const known = this.#queues.find(queue => queue.name === name)
    if (!known && looks) return { queue: 0, rules: [], counts: naive.zero, sharedPaused: false }
    const queue = known ?? naive.newQueue(this.#queues.length + 1, name, settings)
    this.#db.data.queues.set(queue.queue, queue)
    if (works) {
      queue.settings = settings
      this.#me.works.add(queue.queue)
    }
    const declared = newDeclaration(rate, queue.declared)
    if (rate && declared) naive.changeRate(queue, rate, now)
    queue.declared = declared ?? queue.declared
    return { queue: queue.queue, rules: queue.rate.rules, counts: countsOf(queue), sharedPaused: queue.held }
  }
  #detach(queue: Queue, { works, keepLeases, acknowledged = 0 }: wire.DetachRequest): void {
    if (!works) return
    this.#me.works.delete(queue.queue)
    this.#line.stops(queue.queue)
    this.#line.wake()
    naive.acknowledge(queue, this.#token, acknowledged)
    naive.freeReports(queue, this.#token)
    for (const job of jobsOf(queue, ({ claim }) => claim?.worker === this.#token)) {
      const claim = job.claim as Claim
      if (claim.inDoubt) claim.worker = naive.nobody
      else if (keepLeases) Object.assign(claim, { abandoned: true, alone: false })
      else giveBack(queue, job, 0)
    }
  }

  #put(queue: Queue, request: wire.PutRequest): wire.PutReply {
    const { last, ...done } = put(queue, request, this.#db.data.lastSeq + 1)
    this.#db.data.lastSeq = last
    return done
  }

  // A turn.
  #turn(queue: Queue, request: wire.ExchangeRequest): wire.ExchangeReply {
    const { number, now, wall, acknowledged, works } = request
    const { lastTurns, told } = this.#me
    const rate = Rate.from(queue.rate)
    const before = told.get(number) ?? { lost: [], cancels: [], endedUnrun: [] }
    const turn: Turn = { queue, request, rate, ...before, jobs: [], blocked: undefined, lookAt: Infinity }
    if (number > (lastTurns.get(queue.queue) ?? 0)) {
      lastTurns.set(queue.queue, number)
      this.#takeIn(turn)
      naive.ripen(queue, now, wall)
      naive.prune(queue, now, maxPruned + request.settled.seqs.length)
      this.#claim(turn)
      if (works) this.#report(turn)
      turn.lookAt = Math.min(naive.nextLook(queue, now, wall), Math.max(turn.lookAt, now))
      queue.rate = rate.state()
      for (const old of told.keys()) if (old <= acknowledged) told.delete(old)
      told.set(number, before)
    } else {
      turn.jobs.push(
        ...jobsOf(queue, job => naive.isOfTurn(this.#token, number, job) && !job.claim?.inDoubt).sort(inOrder),
      )
      turn.lookAt = now
    }
    return naive.reply(this.#token, turn)
  }
  #held({ queue, lost }: Turn, seq: number, fence: number): Job | undefined {
    const job = queue.jobs.get(seq)
    if (job?.fence === fence && job.claim?.worker === this.#token) return job
    lost.push(seq)
    return undefined
  }
  /** What the queue says of its runs. */
  #takeIn(turn: Turn): void {
    const { queue, request, rate, lost } = turn
    const { now, launchReports, launched, checkpoints, settled, endedBodies, spent, works, acknowledged } = request
    const facts = [launchReports.seqs, checkpoints, settled.seqs, endedBodies, launched, spent]
    if (facts.some(({ length }) => length > 0)) queue.changes++
    for (const [i, seq] of launchReports.seqs.entries()) {
      const job = this.#held(turn, seq, launchReports.fences[i] as number)
      if (job?.claim) job.claim.launched = true
      // Nobody waits for the report of a body that runs already.
      else if (!launchReports.first[i]) lost.pop()
    }
    for (const { seq, fence, value } of checkpoints) {
      const job = this.#held(turn, seq, fence)
      if (job) job.more.checkpoint = value
    }
    for (const i of settled.seqs.keys()) this.#settle(turn, i)
    for (const seq of endedBodies) this.#me.bodies.delete(seq)
    for (let i = 0; i + 1 < launched.length; i += 2) {
      rate.confirm(launched[i] as number, launched[i + 1] as number)
      queue.graceFactor = factorAfterLaunch(queue.graceFactor)
    }
    for (const { grant, cost } of spent) rate.correct(grant, cost)
    if (works) naive.acknowledge(queue, this.#token, acknowledged)
    const orphans =
      works && this.#me.works.has(queue.queue) ? jobsOf(queue, ({ claim }) => claim?.worker === naive.nobody) : []
    for (const job of orphans) this.#takeOver(queue, job, now, true)
  }
  #settle(turn: Turn, index: number): void {
    const { queue, request, rate, endedUnrun } = turn
    const { now, settled } = request
    const seq = settled.seqs[index] as number
    const kind = settled.kinds?.[index] ?? 'finished'
    const { waitMs = 0, heldKey, error, value, grant, bodyContinues, notAlone } = new Map(settled.more).get(index) ?? {}
    const times = { startedAt: settled.startedAt[index] ?? null, stoppedAt: settled.stoppedAt[index] ?? null }
    const job = this.#held(turn, seq, settled.fences[index] as number)
    if (!job) return
    const { cancel, grant: granted = 0 } = job.claim ?? {}
    const transition = transitionOf(kind)
    if (transition.end !== undefined) {
      if (grant !== undefined) rate.refund(grant)
      if (bodyContinues) this.#me.bodies.add(seq)
      end(queue, job, transition.end, now, { error, value, ...times })
      return
    }
    if (transition.holdsRate && heldKey === undefined) rate.hold(now + waitMs)
    else if (transition.holdsRate) {
      queue.heldKeys.set(heldKey as string, Math.max(now + waitMs, queue.heldKeys.get(heldKey as string) ?? 0))
    }
    if (freesStart({ kind })) {
      const isLate = (rate.countsAt(grant ?? granted) ?? Infinity) <= now
      if (isLate) queue.graceFactor = factorAfterReturn(queue.graceFactor, rate.rules)
      rate.refund(grant ?? granted)
    }
    if (notAlone) this.#line.crowded(now)
    job.attempt = attemptAfter(kind, job.attempt)
    if (transition.keepsError) {
      note(job, { error })
      Object.assign(job, times)
    }
    if (cancel) endedUnrun.push(end(queue, job, 'cancelled', now, { error: cancel.reason, ...times }))
    else wait(queue, job, now, dueOf({ dueAt: dueAfter(kind, waitMs, now) }, now, 0))
  }
  /** What the queue is to hear besides: jobs of dead processes, and runs that are to be cancelled. */
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
    const next = own.length > 0 ? own : of(naive.nobody)
    for (const report of next) Object.assign(report, { worker: this.#token, turn: request.number })
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
    const endsSome = here.some(([{ queue }, { claim }]) => claim?.abandoned || !works.has(queue))
    const process: SuspectTurn = {
      ...{ queue: queue.queue, now, running: suspect?.claim },
      isIdle: () => here.length === 0,
      canBeIdle: () => bodies.size === 0 && !endsSome,
    }
    const pending = queue.held ? [] : jobsOf(queue, ({ state }) => state === 'pending').sort(inOrder)
    const suspects = pending.filter(({ crashes }) => crashes > 0).sort((a, b) => a.crashes - b.crashes)
    const others = pending.filter(({ crashes }) => crashes === 0)
    const lonely = suspects.filter(({ crashes }) => crashes >= aloneFrom(queue.settings.crashLimit))
    const takes = room > 0 && pending.length > 0
    const isGone = !takes && this.#line.waitsAlone(queue.queue) && lonely.length === 0
    if (!request.mayLaunch || pending.length === 0 || isGone) this.#line.leaves(queue.queue)
    if (!takes) return this.#line.passes(process)
    turn.lookAt = this.#line.lookAgain(now)
    if (suspect?.claim?.alone) return
    const lone = this.#first(turn, lonely)
    const first = this.#first(turn, suspects.slice(0, suspects.length - lonely.length))
    const aloneSince = lone && Math.min(...lonely.map(({ since }) => since))
    const plan = this.#line.plan(process, { aloneSince, first })
    turn.lookAt = plan.lookAt
    if (lone && plan.starts === 'alone') this.#give(turn, lone, true)
    if (plan.starts !== 'others') return
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
    job.aside = queue.heldKeys.has(key)
    if (job.aside) return false
    const blocked = rate.blocking(cost, request.now)
    if (blocked?.until === Infinity) {
      const error = errorText(neverStarts(cost, rate))
      turn.endedUnrun.push(end(queue, job, 'failed', request.now, { error }))
    } else if (blocked && !(turn.blocked && turn.blocked.until < blocked.until)) turn.blocked = blocked
    return blocked === undefined
  }
  #give({ queue, rate, request, jobs }: Turn, job: Job, runsAlone: boolean): void {
    const countsMs = graceMs(rate.rules, queue.graceFactor, request.errorMs)
    const grant = rate.grant(job.more.cost, request.now, countsMs)
    const facts = { launched: false, alone: runsAlone, abandoned: false, inDoubt: false }
    const claim = { worker: this.#token, turn: request.number, grant, ...facts }
    Object.assign(job, { state: 'underway', attempt: job.attempt + 1, fence: job.fence + 1, claim })
    jobs.push(job)
    queue.changes++
    if (job.crashes === 0) return
    this.#suspect = job.seq
    this.#line.took(queue.queue)
  }
}
