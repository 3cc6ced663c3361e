/**
 * The simplest store that keeps the store contract: plain maps and arrays, and every request scans all jobs of its queue.
 *
 * It proves that the contract can be met without SQL and without a thread, and it is the shortest description of what a
 * store does. Several workers open one `NaiveDatabase`, each with a `NaiveStore` of its own. All state is plain data,
 * so a transaction is undone by putting back a copy.
 */

import {
  CostError,
  DispatchError,
  IdConflictError,
  JobStateError,
  JobUnknownError,
  PoisonError,
  QueueFullError,
} from '../../lib/errors.ts'
import type { JobState } from '../../lib/job.ts'
import { alone, type Caution, reportedFirst } from '../../lib/launches.ts'
import { Rate, type RateRule, type RateState, refuseUnknownUnits } from '../../lib/rate.ts'
import { toWire } from '../../persistence/durable/errors.ts'
import type * as wire from '../../persistence/durable/store.ts'
import { aloneFrom, precedence, SuspectLine, type SuspectTurn } from '../../persistence/durable/suspect-line.ts'
import { errorText } from '../../persistence/sqlite/bodies.ts'
import type { StoreSubject } from '../../testing/contract/store-client.ts'

interface Job {
  readonly seq: number
  readonly id: string
  readonly payload: string
  readonly queuedAt: number
  /** As it was put: key, cost, retry, timeoutMs and fingerprint. */
  readonly put: wire.JobMore
  priority: number
  state: JobState
  attempt: number
  fence: number
  crashes: number
  /** Its process died, and whether the body had begun is not known. */
  unsure: boolean
  /** Of a suspect: since when it waits. */
  since: number
  dueAt?: number | undefined
  runAt?: number | undefined
  startedAt: number | null
  stoppedAt: number | null
  error?: string | undefined
  value?: string | undefined
  checkpoint?: string | undefined
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
  /** Its process died, and the queue decides what becomes of it. */
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
  /** What the next queue with a handler is to report of jobs whose process died. */
  reports: Report[]
}
interface Report {
  readonly seq: number
  /** The job as it ended. */
  readonly row: wire.JobRow | undefined
  /** Who may report it, and the turn that did; 0 before. */
  worker: string
  turn: number
}
interface Worker {
  readonly token: string
  /** The queues that have a handler here. */
  readonly works: Set<number>
  readonly turns: Map<number, { last: number; readonly told: Map<number, Told> }>
  /** Jobs that have ended while their bodies go on. */
  readonly bodies: Set<number>
}
/** What a turn reported, in case its reply is lost. */
interface Told {
  readonly lost: Set<number>
  readonly within: number[]
  readonly cancels: { readonly seq: number; readonly reason: string | undefined }[]
  readonly impossible: wire.JobRow[]
}
type Change = Omit<wire.ControlDone, 'counts' | 'rules'>
interface Claims {
  readonly jobs: Job[]
  blocked: ReturnType<Rate['blocking']>
  lookAt: number
}
/** What a claim goes by. */
interface By {
  readonly queue: Queue
  readonly rate: Rate
  readonly claims: Claims
  readonly request: wire.TurnRequest
  readonly worker: string
  end(job: Job, error: Error): void
}

const nobody = ''
const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
const wallLookMs = 60_000
/** How long a grant counts before its launch is known, and by how much less a launch in time makes it. */
const graceMs = 250
const maxGraceMs = 5_000
const relaxes = 0.98

export class NaiveDatabase {
  data = { lastSeq: 0, queues: new Map<number, Queue>(), workers: new Map<string, Worker>() }
  /** The workers whose commits fail. */
  readonly broken = new Set<string>()
  /** Called when somebody else has changed something. */
  readonly listeners = new Map<string, () => void>()
}

/** One worker's view of the database. */
export class NaiveStore implements wire.Store {
  readonly #db: NaiveDatabase
  readonly #token: string
  readonly #line = new SuspectLine()
  /** The suspect that ran in this process when last looked. */
  #running: number | undefined
  /** Whether the transaction has changed anything. */
  #touched = false

  constructor(db: NaiveDatabase, token: string) {
    this.#db = db
    this.#token = token
    this.#commit(() => {})
  }
  exchange(requests: readonly wire.Request[]): readonly wire.Answered[] {
    return this.#commit(() => requests.map(request => this.#answer(request)))
  }
  query(request: wire.FindRequest | wire.ListRequest | wire.ExplainRequest): unknown {
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
  onChange(changed: () => void): void {
    this.#db.listeners.set(this.#token, changed)
  }
  close(): boolean {
    return this.#commit(() => {
      if (this.#all(job => job.claim?.worker === this.#token).length > 0) return false
      this.#signOff(this.#token)
      return true
    })
  }

  /** One transaction: all of it, or nothing. */
  #commit<T>(run: () => T): T {
    const { broken, data } = this.#db
    const before = broken.has(this.#token) ? structuredClone(data) : undefined
    // A worker that was taken for dead by mistake is registered again.
    if (!data.workers.has(this.#token)) data.workers.set(this.#token, newWorker(this.#token))
    const answer = run()
    if (!before) {
      this.#report()
      return answer
    }
    this.#db.data = before
    throw new Error('the commit failed')
  }
  #report(): void {
    const [touched, wakes] = [this.#touched, this.#line.wakes()]
    this.#touched = false
    for (const [token, changed] of this.#db.listeners) if (token === this.#token ? wakes : touched) changed()
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
      case 'find': {
        const job = find(queue, request.target)
        return job && rowOf(job)
      }
      case 'list':
        return this.#list(queue, request)
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
    return all.flatMap(queue => [...queue.jobs.values()].filter(fits).map((job): [Queue, Job] => [queue, job]))
  }
  #takeAllOver(token: string, now: number, mayAsk: boolean): number[] {
    const left = this.#all(job => job.claim?.worker === token)
    for (const [queue, job] of left) this.#takeOver(queue, job, now, mayAsk && this.#me.works.has(queue.queue))
    return [...new Set(left.map(([{ queue }]) => queue))]
  }
  /** What becomes of a job whose process died or let go of it. `asks`: a queue of this worker can be asked. */
  #takeOver(queue: Queue, job: Job, now: number, asks: boolean): void {
    const { afterCrash, crashLimit } = queue.settings
    const claim = job.claim as Claim
    const wasKnown = job.crashes > 0 || job.unsure || afterCrash === 'fail'
    const surelyUnbegun = !claim.launched && wasKnown && !claim.inDoubt
    if (claim.launched && !claim.inDoubt) job.crashes++
    if (!claim.launched) job.unsure = true
    const isProven = claim.alone || crashLimit === 1
    const poisons = claim.launched && (afterCrash === 'fail' || (isProven && job.crashes >= crashLimit))
    if (afterCrash === 'ask' && !claim.cancel && !poisons && !surelyUnbegun) {
      if (asks) job.fence++
      job.claim = { ...claim, inDoubt: true, worker: asks ? this.#token : nobody, turn: 0, grant: 0 }
      return
    }
    let row: wire.JobRow | undefined
    if (claim.cancel) row = this.#end(queue, job, 'cancelled', now, { error: claim.cancel.reason })
    else if (poisons) row = this.#end(queue, job, 'failed', now, { error: errorText(new PoisonError(job.crashes)) })
    else {
      job.attempt--
      this.#wait(job, now)
    }
    const worker = claim.worker === this.#token ? this.#token : nobody
    queue.reports.push({ seq: job.seq, row, worker, turn: 0 })
  }
  #signOff(token: string): void {
    for (const { reports } of this.#db.data.queues.values()) freeReports(reports, token)
    this.#db.data.workers.delete(token)
  }
  #attach({ name, works, looks, rate, keep, afterCrash, crashLimit, now }: wire.AttachRequest): wire.Attached {
    const { queues } = this.#db.data
    let queue = [...queues.values()].find(queue => queue.name === name)
    if (!queue && looks) return { queue: 0, rules: [], counts: zero, held: false }
    if (!queue) queues.set(queues.size + 1, (queue = newQueue(queues.size + 1, name, { keep, afterCrash, crashLimit })))
    if (works) {
      queue.settings = { keep, afterCrash, crashLimit }
      this.#me.works.add(queue.queue)
    }
    const declared = rate && JSON.stringify(rate)
    // Rules that were set by a command stay until something else is declared.
    if (rate && declared !== queue.declared) this.#changeRate(queue, rate, now)
    queue.declared = declared ?? queue.declared
    return { queue: queue.queue, rules: queue.rate.rules, counts: countsOf(queue), held: queue.held }
  }
  #detach(queue: Queue, { works, keepLeases, heard = 0 }: wire.DetachRequest): void {
    if (!works) return
    this.#me.works.delete(queue.queue)
    this.#line.stops(queue.queue)
    this.#line.wake()
    acknowledge(queue, this.#token, heard)
    freeReports(queue.reports, this.#token)
    for (const job of queue.jobs.values()) {
      if (job.claim?.worker !== this.#token) continue
      if (job.claim.inDoubt) job.claim.worker = nobody
      else if (keepLeases) Object.assign(job.claim, { abandoned: true, alone: false })
      else {
        job.attempt--
        this.#wait(job, 0)
      }
    }
  }
  #changeRate(queue: Queue, rules: readonly RateRule[], now: number): void {
    const rate = Rate.from(queue.rate)
    rate.change(rules, now)
    queue.rate = rate.state()
  }

  // Jobs come and go.
  #put(queue: Queue, request: wire.PutRequest): wire.PutDone {
    const { ids, size, wall, now } = request
    const extras = new Map(request.more)
    const rate = Rate.from(queue.rate)
    const firstOf = new Map<string, number>()
    const existed = new Map<number, wire.JobRow | number>()
    for (const [index, id] of ids.entries()) {
      const { fingerprint, cost } = extras.get(index) ?? {}
      const twin = fingerprint === undefined ? undefined : firstOf.get(id)
      const job = find(queue, id)
      const gone = queue.ids.find(known => known.id === id && known.until > now)
      const before = twin === undefined ? (job?.put ?? gone)?.fingerprint : extras.get(twin)?.fingerprint
      if (fingerprint !== undefined && before !== undefined && before !== fingerprint) throw new IdConflictError(id)
      if (twin !== undefined) existed.set(index, twin)
      else if (job) existed.set(index, rowOf(job))
      else if (gone) existed.set(index, { ...rowOf(newJob(0, request, index, extras.get(index))), state: gone.state })
      else {
        if (fingerprint !== undefined) firstOf.set(id, index)
        const never = rate.impossible(cost)
        if (cost) refuseUnknownUnits('cost', cost, rate.rules)
        if (never) throw new CostError(never.unit, never.cost, never.limit)
      }
    }
    const { pending, delayed } = countsOf(queue)
    const fresh = ids.length - existed.size
    if (fresh > 0 && pending + delayed + fresh > size) throw new QueueFullError(fresh, size, pending + delayed)
    const first = this.#db.data.lastSeq + 1
    const put = new Map<number, Job>()
    for (const index of ids.keys()) {
      if (existed.has(index)) continue
      const job = newJob(++this.#db.data.lastSeq, request, index, extras.get(index))
      this.#wait(job, now, extras.get(index), wall)
      queue.jobs.set(job.seq, job)
      put.set(index, job)
    }
    const rows = [...existed].map(([index, known]): [number, wire.JobRow] => [
      index,
      typeof known === 'number' ? rowOf((put.get(known) as Job) ?? find(queue, ids[known] as string)) : known,
    ])
    return { first, existed: rows, counts: countsOf(queue) }
  }
  #wait(job: Job, now: number, due: { readonly dueAt?: number; readonly runAt?: number } = {}, wall = 0): void {
    const runAt = due.runAt !== undefined && due.runAt > wall ? due.runAt : undefined
    const dueAt = runAt === undefined && due.dueAt !== undefined && due.dueAt > now ? due.dueAt : undefined
    const state = (runAt ?? dueAt) === undefined ? 'pending' : 'delayed'
    Object.assign(job, { state, runAt, dueAt, claim: undefined, since: now })
    this.#touched = true
  }
  #end(
    queue: Queue,
    job: Job,
    state: 'finished' | 'failed' | 'cancelled',
    now: number,
    { error, value, startedAt, stoppedAt }: Partial<Pick<Job, 'error' | 'value' | 'startedAt' | 'stoppedAt'>>,
  ): wire.JobRow {
    const { keep } = queue.settings
    const keptMs = keep[`${state}Ms`]
    const ending = { state, error: error ?? job.error, value: keep.results ? value : undefined }
    const times = { startedAt: startedAt ?? job.startedAt, stoppedAt: stoppedAt ?? job.stoppedAt }
    Object.assign(job, ending, times, { claim: undefined, dueAt: undefined, runAt: undefined, forgetAt: now + keptMs })
    if (!(keptMs > 0)) forget(queue, job, now)
    this.#touched = true
    return rowOf(job)
  }
  #held(queue: Queue, seq: number, fence: number): Job | undefined {
    const job = queue.jobs.get(seq)
    return job?.fence === fence && job.claim?.worker === this.#token ? job : undefined
  }
  #settle(queue: Queue, request: wire.TurnRequest, index: number, rate: Rate, told: Told): void {
    const { now, settled } = request
    const seq = settled.seqs[index] as number
    const kind = settled.kinds?.[index] ?? 'finished'
    const { waitMs = 0, heldKey, error, value, grant, goesOn, crowded } = new Map(settled.more).get(index) ?? {}
    const times = { startedAt: settled.startedAt[index] ?? null, stoppedAt: settled.stoppedAt[index] ?? null }
    const job = this.#held(queue, seq, settled.fences[index] as number)
    if (!job) {
      told.lost.add(seq)
      return
    }
    const { cancel, grant: granted = 0 } = job.claim ?? {}
    if (kind === 'finished' || kind === 'failed' || kind === 'cancelled') {
      if (grant !== undefined) rate.refund(grant)
      if (goesOn) this.#me.bodies.add(seq)
      this.#end(queue, job, kind, now, { error, value, ...times })
      return
    }
    if (kind !== 'again') job.attempt--
    if (kind === 'throttled' && heldKey === undefined) rate.hold(now + waitMs)
    if (kind === 'throttled' && heldKey !== undefined) {
      queue.heldKeys.set(heldKey, Math.max(now + waitMs, queue.heldKeys.get(heldKey) ?? 0))
    }
    if (kind === 'unlaunched') handBack(queue, rate, grant ?? granted, now)
    if (crowded) this.#line.crowded(now)
    if (cancel) told.impossible.push(this.#end(queue, job, 'cancelled', now, { error: cancel.reason, ...times }))
    else {
      if (kind === 'again') Object.assign(job, { error, ...times })
      this.#wait(job, now, kind === 'again' || kind === 'back' ? { dueAt: now + waitMs } : {})
    }
  }

  // A turn.
  #turn(queue: Queue, request: wire.TurnRequest): wire.TurnDone {
    const { number, now, wall } = request
    const me = this.#me
    const turns = me.turns.get(queue.queue) ?? { last: 0, told: new Map<number, Told>() }
    me.turns.set(queue.queue, turns)
    const rate = Rate.from(queue.rate)
    const claims: Claims = { jobs: [], blocked: undefined, lookAt: number > turns.last ? Infinity : now }
    if (number > turns.last) {
      turns.last = number
      for (const old of turns.told.keys()) if (old <= request.heard) turns.told.delete(old)
      const told: Told = { lost: new Set(), within: [], cancels: [], impossible: [] }
      this.#takeIn(queue, request, rate, told)
      this.#claim(queue, request, rate, claims, told)
      if (request.works) this.#notify(queue, number, told)
      queue.rate = rate.state()
      const { begun, checkpoints, closed, launched, spent } = request
      const said = [begun.seqs, checkpoints, closed, launched, spent, claims.jobs]
      if (said.some(({ length }) => length > 0)) this.#touched = true
      claims.lookAt = Math.min(nextLook(queue, now, wall), Math.max(claims.lookAt, now))
      turns.told.set(number, told)
    } else {
      const before = (job: Job): boolean => this.#isOfTurn(job, number) && job.claim?.inDoubt === false
      claims.jobs.push(...[...queue.jobs.values()].filter(before).sort(inOrder))
    }
    return this.#reply(queue, request, rate, claims, turns.told.get(number))
  }
  #isOfTurn(job: Job, number: number): boolean {
    return job.claim?.worker === this.#token && job.claim.turn === number
  }
  /** What a turn says of runs, and what time brings. */
  #takeIn(queue: Queue, request: wire.TurnRequest, rate: Rate, told: Told): void {
    const { now, wall, begun, launched } = request
    for (const [i, seq] of begun.seqs.entries()) {
      const job = this.#held(queue, seq, begun.fences[i] as number)
      if (job?.claim) job.claim.launched = true
      else if (begun.first[i]) told.lost.add(seq)
    }
    for (const { seq, fence, value } of request.checkpoints) {
      const job = this.#held(queue, seq, fence)
      if (job) job.checkpoint = value
      else told.lost.add(seq)
    }
    for (const i of request.settled.seqs.keys()) this.#settle(queue, request, i, rate, told)
    for (const seq of request.closed) this.#me.bodies.delete(seq)
    for (let i = 0; i + 1 < launched.length; i += 2) {
      rate.confirm(launched[i] as number, launched[i + 1] as number)
      queue.graceFactor = Math.max(1, queue.graceFactor * relaxes)
    }
    for (const { grant, cost } of request.spent) rate.correct(grant, cost)
    if (request.works) acknowledge(queue, this.#token, request.heard)
    const asks = request.works && this.#me.works.has(queue.queue)
    for (const job of queue.jobs.values()) {
      if (job.claim?.worker === nobody && asks) this.#takeOver(queue, job, now, true)
      if (job.state === 'delayed' && ((job.dueAt ?? Infinity) <= now || (job.runAt ?? Infinity) <= wall)) {
        this.#wait(job, now)
      }
    }
    for (const [key, until] of queue.heldKeys) if (until <= now) queue.heldKeys.delete(key)
    prune(queue, now)
  }
  #notify(queue: Queue, number: number, told: Told): void {
    for (const { seq, claim } of queue.jobs.values()) {
      if (claim?.worker !== this.#token) continue
      if (claim.inDoubt && claim.turn === 0) claim.turn = number
      if (!claim.cancel || claim.cancel.notified) continue
      claim.cancel.notified = true
      told.cancels.push({ seq, reason: claim.cancel.reason })
    }
    // Runs that this process itself gave up are reported to it alone.
    const { reports } = queue
    const own = reports.filter(({ worker, turn }) => worker === this.#token && turn === 0)
    const next = own.length > 0 ? own : reports.filter(({ worker }) => worker === nobody)
    for (const report of next) Object.assign(report, { worker: this.#token, turn: number })
  }
  #reply(queue: Queue, request: wire.TurnRequest, rate: Rate, claims: Claims, told?: Told): wire.TurnDone {
    const { number, now, wall } = request
    const { jobs, blocked, lookAt } = claims
    const { lost, within, cancels, impossible } = told ?? { lost: [], within: [], cancels: [], impossible: [] }
    const reports = queue.reports.filter(({ worker, turn }) => worker === this.#token && turn === number)
    const ended = reports.flatMap(({ row }) => row ?? [])
    const recovered = reports.flatMap(({ seq, row }) => row ?? rowsOf(queue.jobs.get(seq)))
    const inDoubt = [...queue.jobs.values()].filter(job => this.#isOfTurn(job, number) && job.claim?.inDoubt)
    const news = { lost: [...lost], within, recovered, endedSo: ended.map(({ seq }) => seq), cancels, missed: 0 }
    const isSome = news.lost.length + within.length + recovered.length + cancels.length + inDoubt.length > 0
    const precise = blocked !== undefined && blocked.until <= lookAt
    const grants = rate.idle ? undefined : jobs.map(({ claim }) => claim?.grant ?? 0)
    const counted = (grants ?? []).map(grant => (grant > 0 ? (rate.countsAt(grant) ?? -Infinity) : Infinity))
    return {
      claimed: {
        seqs: jobs.map(({ seq }) => seq),
        ids: jobs.map(({ id }) => id),
        payloads: jobs.map(({ payload }) => payload),
        priorities: jobs.map(({ priority }) => priority),
        attempts: jobs.map(({ attempt }) => attempt),
        fences: jobs.map(({ fence }) => fence),
        queuedAt: jobs.map(({ queuedAt }) => queuedAt),
        more: jobs.flatMap((job, i): [number, wire.JobMore][] => {
          const more = { ...rowOf(job).more, ...launchOf(job) }
          return Object.keys(more).length > 0 ? [[i, more]] : []
        }),
        plain: undefined,
      },
      grants,
      impossible,
      graceUntil: Math.min(...counted),
      again: precise ? blocked.until : lookAt,
      precise,
      limited: blocked && { rule: blocked.rule, until: wall + blocked.until - now },
      held: queue.held,
      rules: queue.rate.rules,
      counts: countsOf(queue),
      news: isSome ? { ...news, inDoubt: inDoubt.map(rowOf) } : undefined,
    }
  }

  // Claims.
  #claim(queue: Queue, request: wire.TurnRequest, rate: Rate, claims: Claims, told: Told): void {
    const { now, room } = request
    const here = this.#all(({ claim }) => claim?.worker === this.#token && !claim.inDoubt)
    const [, suspect] = here.find(([, { crashes, claim }]) => crashes > 0 && !claim?.abandoned) ?? []
    if (this.#running !== undefined && this.#running !== suspect?.seq) this.#line.wake()
    this.#running = suspect?.seq
    const { works, bodies } = this.#me
    const turn: SuspectTurn = {
      ...{ queue: queue.queue, now, running: suspect?.claim },
      isIdle: () => here.length === 0,
      canBeIdle: () =>
        bodies.size === 0 && here.every(([{ queue }, { claim }]) => !claim?.abandoned && works.has(queue)),
    }
    const pending = queue.held ? [] : [...queue.jobs.values()].filter(({ state }) => state === 'pending').sort(inOrder)
    const isAlone = ({ crashes }: Job): boolean => crashes >= aloneFrom(queue.settings.crashLimit)
    const takes = room > 0 && pending.length > 0
    const isGone = !takes && this.#line.waitsAlone(queue.queue) && !pending.some(isAlone)
    if (!request.admits || pending.length === 0 || isGone) this.#line.leaves(queue.queue)
    if (!takes) return this.#line.passes(turn)
    if (suspect?.claim?.alone) return holdUp(claims, this.#line.lookAgain(now))
    const by: By = {
      ...{ queue, rate, claims, request, worker: this.#token },
      end: (job, error) => void told.impossible.push(this.#end(queue, job, 'failed', now, { error: errorText(error) })),
    }
    const suspects = pending.filter(({ crashes }) => crashes > 0).sort((a, b) => a.crashes - b.crashes)
    const lone = firstOf(by, suspects.filter(isAlone))
    const first = firstOf(
      by,
      suspects.filter(job => !isAlone(job)),
    )
    const aloneSince = lone && Math.min(...suspects.filter(isAlone).map(({ since }) => since))
    const plan = this.#line.plan(turn, { aloneSince, first })
    holdUp(claims, plan.lookAt)
    if (plan.starts === 'alone') return this.#giveSuspect(by, lone as Job, true)
    if (plan.starts === 'nothing') return
    const others = pending.filter(({ crashes }) => crashes === 0)
    const order = first && plan.withFirst ? precedence(first, now) : undefined
    const goesFirst =
      order === 'first' || (order === 'place' && inOrder(first as Job, others[0] ?? (first as Job)) <= 0)
    if (goesFirst) this.#giveSuspect(by, first as Job, false)
    for (const job of others) {
      if (claims.jobs.length >= room || claims.blocked) break
      if (mayStart(by, job)) give(by, job, false)
    }
    if (order && !goesFirst && claims.jobs.length < room && !claims.blocked) this.#giveSuspect(by, first as Job, false)
  }
  #giveSuspect(by: By, job: Job, runsAlone: boolean): void {
    give(by, job, runsAlone)
    this.#running = job.seq
    this.#line.took(by.queue.queue)
  }

  // Commands and queries.
  #control(queue: Queue, { command, now, wall }: wire.ControlRequest): Change {
    const none: Change = { changed: [], found: undefined, count: 0, asked: false }
    switch (command.kind) {
      case 'rate':
        this.#changeRate(queue, command.rules, now)
        if (command.rules.length === 0) queue.declared = ''
        return none
      case 'pause':
        queue.held = command.held
        return none
      case 'clear': {
        const waiting = [...queue.jobs.values()].filter(waits).sort(inOrder)
        const ending = { error: command.reason, stoppedAt: wall }
        const changed = waiting.map(job => this.#end(queue, job, 'cancelled', now, ending))
        return { ...none, changed, count: changed.length }
      }
    }
    const { kind, target } = command
    const job = find(queue, target)
    if (!job) {
      if (kind === 'cancel') return none
      if (kind !== 'remove') throw new JobUnknownError(String(target))
      const gone = queue.ids.find(({ id, until }) => id === command.id && until > now)
      if (!gone) return none
      queue.ids = queue.ids.filter(id => id !== gone)
      queue.forgotten[gone.state]--
      return { ...none, count: 1 }
    }
    const found = { ...none, found: rowOf(job) }
    const changed = (): typeof found => ({ ...none, changed: [rowOf(job)], found: rowOf(job), count: 1 })
    switch (kind) {
      case 'cancel':
        if (job.claim) job.claim.cancel = { reason: command.reason, notified: false }
        if (!waits(job)) return { ...found, asked: job.claim !== undefined }
        this.#end(queue, job, 'cancelled', now, { error: command.reason, stoppedAt: wall })
        return changed()
      case 'reprioritize':
        refuseState(kind, job, waits(job), 'pending or delayed')
        job.priority = command.priority
        return changed()
      case 'reschedule':
      case 'promote': {
        refuseState(kind, job, waits(job), 'pending or delayed')
        const { waitMs = 0, runAt } = command
        const { state } = job
        if (state === 'pending' && !(waitMs > 0) && !(runAt !== undefined && runAt > wall)) return found
        this.#wait(job, now, { dueAt: now + waitMs, ...(runAt !== undefined && { runAt }) }, wall)
        return changed()
      }
      case 'retry':
        refuseState(kind, job, job.state === 'failed' || job.state === 'cancelled', 'failed or cancelled')
        if ([...this.#db.data.workers.values()].some(({ bodies }) => bodies.has(job.seq)))
          return { ...found, asked: true }
        Object.assign(job, {
          attempt: 0,
          crashes: 0,
          unsure: false,
          error: undefined,
          startedAt: null,
          stoppedAt: null,
        })
        this.#wait(job, now)
        return changed()
      case 'remove':
        refuseState(kind, job, job.state !== 'underway', 'not underway')
        queue.jobs.delete(job.seq)
        return changed()
      default:
        return command satisfies never
    }
  }
  #list(queue: Queue, { state, key, limit, after }: wire.ListRequest): wire.ListDone {
    const start = typeof after === 'string' ? find(queue, after) : after
    if (typeof after === 'string' && !start) throw new JobUnknownError(after)
    const isPlaced = state === 'pending' || state === 'delayed'
    const order = isPlaced ? inOrder : (a: wire.Place, b: wire.Place): number => b.seq - a.seq
    const found = [...queue.jobs.values()]
      .filter(job => (state ?? job.state) === job.state && (key ?? job.put.key) === job.put.key)
      .filter(job => !start || order(start, job) < 0)
      .sort(order)
      .slice(0, limit)
    return { rows: found.map(rowOf), next: found.length === limit ? found.at(-1) : undefined }
  }
  #explain(queue: Queue, { target, now, wall }: wire.ExplainRequest): wire.ExplainDone | undefined {
    const job = find(queue, target)
    if (!job) return undefined
    const blocking = Rate.from(queue.rate).blocking(job.put.cost, now)
    const bounds: [wire.ExplainDone['why'], number][] = [
      ['delay', job.runAt === undefined ? (job.dueAt ?? now) : now + job.runAt - wall],
      ['key', queue.heldKeys.get(job.put.key ?? '') ?? now],
      ['rate', blocking?.until ?? now],
    ]
    const [why, notBefore] = bounds.reduce((latest, bound) => (bound[1] > latest[1] ? bound : latest))
    const isPending = job.state === 'pending'
    const isBefore = (other: Job): boolean =>
      other.state === 'pending' &&
      other.crashes > 0 === job.crashes > 0 &&
      (other.crashes - job.crashes || inOrder(other, job)) < 0
    const runsAlone = this.#all(({ claim }) => claim?.worker === this.#token && claim.alone).length > 0
    const isHeldUp = isPending && (job.crashes > 0 || runsAlone)
    return {
      row: rowOf(job),
      position: isPending ? [...queue.jobs.values()].filter(isBefore).length : undefined,
      notBefore,
      why: notBefore > now ? why : isHeldUp ? 'suspect' : undefined,
      rule: notBefore > now && why === 'rate' ? blocking?.rule : undefined,
    }
  }
}

function newWorker(token: string): Worker {
  return { token, works: new Set(), turns: new Map(), bodies: new Set() }
}
function newQueue(queue: number, name: string, settings: Queue['settings']): Queue {
  const empty = { jobs: new Map(), forgotten: { ...zero }, ids: [], heldKeys: new Map(), reports: [] }
  return { queue, name, settings, ...empty, declared: '', rate: new Rate([]).state(), graceFactor: 1, held: false }
}
function newJob(seq: number, request: wire.PutRequest, index: number, more: wire.JobMore = {}): Job {
  const { dueAt, runAt, ...put } = more
  return {
    ...{ seq, id: request.ids[index] as string, payload: request.payloads[index] as string, put },
    ...{ queuedAt: request.queuedAt[index] as number, priority: request.priorities?.[index] ?? 0, state: 'pending' },
    ...{ attempt: 0, fence: 0, crashes: 0, unsure: false, since: 0, startedAt: null, stoppedAt: null, forgetAt: 0 },
  }
}
function find({ jobs }: Queue, target: wire.RowTarget): Job | undefined {
  if (typeof target === 'number') return jobs.get(target)
  for (const job of jobs.values()) if (job.id === target) return job
  return undefined
}
function rowsOf(job: Job | undefined): wire.JobRow[] {
  return job ? [rowOf(job)] : []
}
function rowOf(job: Job): wire.JobRow {
  const { seq, id, payload, priority, state, attempt, fence, crashes, queuedAt, startedAt, stoppedAt } = job
  const { dueAt, runAt, error, value, checkpoint } = job
  const has = Object.entries({ ...job.put, dueAt, runAt, error, value, checkpoint }).filter(([, v]) => v !== undefined)
  const row = { seq, id, payload, priority, state, attempt, fence, crashes, queuedAt, startedAt, stoppedAt }
  return { ...row, more: has.length > 0 ? Object.fromEntries(has) : undefined }
}
/** What a launch is to observe, of a job that was underway in a crash. */
function launchOf({ crashes, unsure, claim }: Job): wire.JobMore {
  const caution: Caution | undefined = claim?.alone ? alone : crashes > 0 || unsure ? reportedFirst : undefined
  return { ...(crashes > 0 && { crashes }), ...(caution && { caution }) }
}
function countsOf({ jobs, forgotten }: Queue): wire.PutDone['counts'] {
  const counts = { ...forgotten }
  for (const { state } of jobs.values()) counts[state]++
  return counts
}
function waits({ state }: Job): boolean {
  return state === 'pending' || state === 'delayed'
}
function inOrder(a: wire.Place, b: wire.Place): number {
  return a.priority - b.priority || a.seq - b.seq
}
function refuseState(command: string, { id, state }: Job, isLegal: boolean, legal: string): void {
  if (!isLegal) throw new JobStateError(command, id, state, legal)
}
function forget(queue: Queue, { seq, id, state, put: { fingerprint } }: Job, now: number): void {
  const { idsMs } = queue.settings.keep
  queue.jobs.delete(seq)
  queue.forgotten[state]++
  if (fingerprint === undefined || !(idsMs > 0)) return
  queue.ids = queue.ids.filter(known => known.id !== id)
  queue.ids.push({ id, fingerprint, state: state as 'failed', until: now + idsMs })
}
function prune(queue: Queue, now: number): void {
  const { most } = queue.settings.keep
  const isEnded = (job: Job): boolean => job.state !== 'underway' && !waits(job)
  const ended = [...queue.jobs.values()].filter(isEnded).sort((a, b) => a.forgetAt - b.forgetAt || a.seq - b.seq)
  for (const [i, job] of ended.entries()) if (job.forgetAt <= now || ended.length - i > most) forget(queue, job, now)
  queue.ids = queue.ids.filter(({ until }) => until > now).sort((a, b) => a.until - b.until)
  if (queue.ids.length > most) queue.ids.splice(0, queue.ids.length - most)
}
function acknowledge(queue: Queue, worker: string, heard: number): void {
  queue.reports = queue.reports.filter(report => report.worker !== worker || report.turn === 0 || report.turn > heard)
}
function freeReports(reports: readonly Report[], worker: string): void {
  for (const report of reports) if (report.worker === worker) Object.assign(report, { worker: nobody, turn: 0 })
}
function nextLook({ jobs, heldKeys }: Queue, now: number, wall: number): number {
  let next = Infinity
  for (const { state, dueAt = Infinity, runAt, put } of jobs.values()) {
    if (state === 'delayed') next = Math.min(next, dueAt, now + Math.min((runAt ?? Infinity) - wall, wallLookMs))
    if (state === 'pending' && put.key !== undefined) next = Math.min(next, heldKeys.get(put.key) ?? Infinity)
  }
  return next
}

// Claims.
function holdUp(claims: Claims, until: number): void {
  claims.lookAt = Math.min(claims.lookAt, until)
}
function graceOf({ graceFactor }: Queue, { rules }: Rate): number {
  return Math.min(graceFactor * Math.min(graceMs, ...rules.map(({ perMs }) => perMs / 20)), maxGraceMs)
}
/** A start goes back. Where its grace was over before its launch, the next ones get more. */
function handBack(queue: Queue, rate: Rate, grant: number, now: number): void {
  if ((rate.countsAt(grant) ?? Infinity) <= now && graceOf(queue, rate) < maxGraceMs) queue.graceFactor *= 2
  rate.refund(grant)
}
/** The first job that may start; none where the rate holds up one that comes before it. */
function firstOf(by: By, jobs: readonly Job[]): Job | undefined {
  for (const job of jobs) {
    if (mayStart(by, job)) return job
    if (by.claims.blocked) return undefined
  }
  return undefined
}
function mayStart({ queue, rate, claims, request, end }: By, job: Job): boolean {
  if (queue.heldKeys.has(job.put.key ?? '')) return false
  const { unit, cost, limit } = rate.impossible(job.put.cost) ?? {}
  const blocked = rate.blocking(job.put.cost, request.now)
  if (blocked?.until === Infinity) end(job, new CostError(unit ?? 'starts', cost ?? 1, limit ?? 0))
  else if (blocked && !(claims.blocked && claims.blocked.until < blocked.until)) claims.blocked = blocked
  return blocked === undefined
}
function give({ queue, rate, claims, request, worker }: By, job: Job, runsAlone: boolean): void {
  const grant = rate.grant(job.put.cost, request.now, graceOf(queue, rate))
  if (grant < 0) {
    claims.blocked = rate.blocking(job.put.cost, request.now)
    return
  }
  const claim = {
    worker,
    turn: request.number,
    grant,
    launched: false,
    alone: runsAlone,
    abandoned: false,
    inDoubt: false,
  }
  Object.assign(job, { state: 'underway', attempt: job.attempt + 1, fence: job.fence + 1, claim })
  claims.jobs.push(job)
}

export const naiveStores: StoreSubject = {
  database: () => {
    const db = new NaiveDatabase()
    return {
      open(worker) {
        const store = new NaiveStore(db, worker)
        let hasChanged = false
        store.onChange(() => {
          hasChanged = true
        })
        return {
          store,
          die: () => {},
          breakCommits: () => {
            db.broken.add(worker)
            return () => void db.broken.delete(worker)
          },
          changed: () => {
            const before = hasChanged
            hasChanged = false
            return before
          },
        }
      },
    }
  },
}
