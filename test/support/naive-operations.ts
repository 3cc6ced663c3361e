/**
 * The operations of persistence/durable/execute/ on the maps of the naive store. Each scans all jobs of its queue, and
 * none is clever.
 */

import type { Grant } from '../../lib/backlog.ts'
import { JobUnknownError } from '../../lib/errors.ts'
import { freeSlots } from '../../lib/limits/global-width.ts'
import { blockingByRules, refusalByRules } from '../../lib/limits/named-rules.ts'
import { Rate } from '../../lib/rate/rate.ts'
import type { RateRule } from '../../lib/rate/rules.ts'
import { maxPruned } from '../../lib/rules/bounds.ts'
import { isWaiting } from '../../lib/rules/commands.ts'
import { dueOf, wallLookMs } from '../../lib/rules/due.ts'
import { explainWait } from '../../lib/rules/explain.ts'
import { factorAfterLaunch, factorAfterReturn, graceMs } from '../../lib/rules/grace.ts'
import { furtherOf, grantOf, startOf, startOfKey } from '../../lib/rules/grants.ts'
import { keptMs } from '../../lib/rules/keep.ts'
import { inOrderOfStart as inOrder } from '../../lib/rules/order.ts'
import { neverStarts, refuseOverfull } from '../../lib/rules/puts.ts'
import { resetByRetry } from '../../lib/rules/transitions.ts'
import { errorToJson } from '../../lib/text/error-to-json.ts'
import { claimAmongSuspects } from '../../persistence/durable/execute/claim.ts'
import { type CommandStore, command } from '../../persistence/durable/execute/command.ts'
import {
  type Claimed,
  type ExchangeStore,
  emptyReply,
  executeExchange,
} from '../../persistence/durable/execute/exchange.ts'
import { unrun } from '../../persistence/durable/execute/moves.ts'
import { existing, type IdStore } from '../../persistence/durable/execute/put.ts'
import { type RecoveryStore, recoverJob, releaseJob } from '../../persistence/durable/execute/recovery.ts'
import { type AttachStore, attach, type RequestStore } from '../../persistence/durable/execute/requests.ts'
import { type SettleStore, settleEach } from '../../persistence/durable/execute/settle.ts'
import type * as wire from '../../persistence/durable/store.ts'
import { inOrderOfSuspects, type SuspectLine } from '../../persistence/durable/suspect-line.ts'
import * as naive from './naive-database.ts'
import { isUnderwayOf, type Job, jobsOf, note, noWorker, type Queue, rowOf } from './naive-database.ts'
import * as keys from './naive-keys.ts'
import * as rules from './naive-rules.ts'

/** One worker of the database, within a transaction. */
export interface Session {
  readonly db: naive.NaiveDatabase
  readonly token: string
  readonly line: SuspectLine
  /** The suspect that ran in this process when last looked. */
  suspect: number | undefined
  /** Rates that the transaction may change. */
  readonly rates: Map<Queue, Rate>
  /** Whether another queue of this process may start a job earlier, by a rule that they share. */
  passesTurn: boolean
  /** Whether the transaction changes what other workers may want to know. */
  hasChanged: boolean
}
type Requests = RequestStore<Queue> & AttachStore<Queue> & IdStore<Queue>
type Moves = SettleStore<Queue, Job> & RecoveryStore<Queue, Job>
type Operations = Requests & ExchangeStore<Queue> & Moves & CommandStore<Queue, Job>

export function operationsOf(session: Session): Operations {
  const { db, token, line } = session
  const me = (): naive.Worker => db.data.workers.get(token) as naive.Worker
  const mine = (queue: Queue): Job[] => jobsOf(queue, job => isUnderwayOf(job, token))
  const claimed = (queue: Queue, seq: number, fence: number): Job | undefined =>
    mine(queue).find(job => job.seq === seq && job.fence === fence)
  const changed = (job: Job, facts: Partial<Job>): Job => {
    session.hasChanged = true
    return Object.assign(job, facts)
  }
  const forget = (queue: Queue, { seq, id, state, more: { fingerprint } }: Job, now: number): void => {
    const until = now + queue.keep.idsMs
    queue.jobs.delete(seq)
    queue.forgotten[state]++
    if (fingerprint !== undefined && until > now) queue.ids.push({ id, fingerprint, state, until })
  }
  const self: Operations = {
    queue: number => db.data.queues.get(number),
    attach: request => attach(self, request),
    exchange: (queue, request) => executeExchange(self, queue, request),
    control: (queue, request) => command(self, queue, request),
    find: (queue, { target }) => self.row(queue, target),
    put: (queue, request) => {
      const { counts, ...reply } = put(db, self, queue, request)
      db.data.putReplies.set(`${token} ${request.number}`, reply)
      return { ...reply, counts }
    },
    replay: ({ number }) => db.data.putReplies.get(`${token} ${number}`),
    list,
    explain: (queue, request) => explain(db.data, queue, request, naive.underwayOf(db, token)),
    keys: (queue, request) => keys.list(db.data, queue, request),
    detach: (queue, { keepLeases, acknowledged = 0, now }) => {
      me().works.delete(queue.queueId)
      self.dropSlotWait(queue, token)
      line.stops(queue.queueId)
      line.wake()
      rules.forgetWaits(db.data, token, queue.queueId)
      session.passesTurn = true
      self.acknowledge(queue, acknowledged)
      for (const job of mine(queue)) {
        if (keepLeases && !job.awaitingVerdict) changed(job, { abandoned: true, alone: false })
        else releaseJob(self, queue, job, now)
      }
      naive.freeReports(queue, token)
    },

    // Names.
    named: name => [...db.data.queues.values()].find(queue => queue.name === name),
    create: request => naive.addQueue(db, request),
    works: ({ queueId }) => void me().works.add(queueId),
    saveSettings: () => {
      session.hasChanged = true
    },
    rate: queue => {
      const rate = session.rates.get(queue) ?? Rate.from(queue.rate)
      session.rates.set(queue, rate)
      return rate
    },
    rateNow: queue => self.rate(queue),
    ownRules: queue => self.rate(queue).rules,
    ruleBook: now => {
      const book = rules.bookOf(db.data, now)
      const change: typeof book.change = (name, settings) => {
        book.change(name, settings)
        session.passesTurn = true
      }
      return { ...book, change }
    },
    noteWaits: (queue, demand, now) => {
      if (rules.wait(db.data, queue, token, self.rate(queue), demand, now)) session.passesTurn = true
      session.hasChanged = true
    },
    furtherRules: (queue, key) => [
      ...(key !== undefined && keys.isSorted(queue) ? keys.rateOf(queue, key, 0).rules : []),
      ...rules.namedOf(db.data, queue),
    ],
    rulesOfKeys: queue => queue.keys.policy?.rate,
    declareKeys: (queue, policy, now) => keys.declare(queue, policy, now),
    keysNow: queue => keys.keysNow(queue),
    overrideKey: (queue, key, change, now) => keys.set(queue, key, change, now),
    clearKeyOverrides: (queue, now) => keys.clearOverrides(queue, now),
    counts: ({ jobs, forgotten }) => {
      const counts = { ...forgotten }
      for (const { state } of jobs.values()) counts[state]++
      return counts
    },

    // An exchange, and what is needed to reply to it again.
    lastExchange: ({ queueId }) => me().lastExchanges.get(queueId) ?? 0,
    executed: ({ queueId }, exchange) => void me().lastExchanges.set(queueId, exchange),
    claimedIn: (queue, exchange) => {
      const claimed = mine(queue).filter(job => job.exchange === exchange && !job.awaitingVerdict)
      return claimedOf(db.data, queue, self.rate(queue), claimed.sort(inOrder), undefined, Infinity)
    },
    verdictsRequestedIn: (queue, exchange) =>
      mine(queue).flatMap(job => (job.exchange === exchange && job.awaitingVerdict ? rowOf(job) : [])),
    reportedIn: ({ reports }, exchange) => {
      const reported = reports.filter(report => report.worker === token && report.exchange === exchange)
      return { recovered: reported.map(({ seq, row }) => row ?? seq), dropped: 0, full: false }
    },
    loggedIn: ({ replies }, exchange) =>
      replies.find(one => one.worker === token && one.exchange === exchange)?.reply ?? emptyReply,
    logReply: ({ replies }, { number }, reply) => void replies.push({ worker: token, exchange: number, reply }),
    acknowledge: (queue, last) => {
      const isNeeded = ({ worker, exchange }: naive.Reported): boolean =>
        worker !== token || exchange === 0 || exchange > last
      queue.reports = queue.reports.filter(isNeeded)
      queue.replies = queue.replies.filter(isNeeded)
    },
    takeReports: (queue, exchange) => {
      const of = (worker: string) => queue.reports.filter(report => report.worker === worker && report.exchange === 0)
      // A process reports by itself what it gave up by itself.
      const own = of(token)
      for (const report of own.length > 0 ? own : of(noWorker)) Object.assign(report, { worker: token, exchange })
      return { ...self.reportedIn(queue, exchange), full: own.length > 0 }
    },
    takeCancels: queue =>
      mine(queue).flatMap(({ seq, cancel }) => {
        if (!cancel || cancel.notified) return []
        cancel.notified = true
        return { seq, reason: cancel.reason }
      }),
    requestVerdicts: (queue, exchange) => {
      for (const job of mine(queue)) if (job.awaitingVerdict && job.exchange === 0) job.exchange = exchange
      return self.verdictsRequestedIn(queue, exchange)
    },
    recoverUnowned: (queue, now) => {
      if (!me().works.has(queue.queueId)) return
      for (const job of jobsOf(queue, job => isUnderwayOf(job, noWorker))) recoverJob(self, queue, job, true, now)
    },
    worker: token,
    bodies: queue => naive.bodiesOf(db.data, queue),
    slotWaits: ({ slotWaits }) => [...slotWaits.values()].filter(({ worker }) => db.data.workers.has(worker as string)),
    saveSlotWait: ({ slotWaits }, wait) => {
      session.hasChanged = true
      slotWaits.set(wait.worker, wait)
    },
    dropSlotWait: ({ slotWaits }, worker) => {
      session.hasChanged = slotWaits.delete(worker) || session.hasChanged
    },
    pending: queue => self.counts(queue).pending,
    row: (queue, target) => {
      const job = self.locate(queue, target)
      return job && rowOf(job)
    },

    // What runs report.
    launchReports: (queue, { seqs, fences, first }, { lostRuns }) => {
      for (const [i, seq] of seqs.entries()) {
        const job = claimed(queue, seq, fences[i] as number)
        if (job) changed(job, { launched: true })
        // Nobody waits for the report of a body that runs already.
        else if (first[i]) lostRuns.add(seq)
      }
    },
    checkpoints: (queue, checkpoints, { lostRuns }) => {
      for (const { seq, fence, value } of checkpoints) {
        const job = claimed(queue, seq, fence)
        if (job) note(job, { checkpoint: value })
        else lostRuns.add(seq)
      }
    },
    settle: (queue, settled, now, notices) => settleEach(self, queue, settled, now, notices),
    endedBodies: seqs => {
      for (const seq of seqs) session.hasChanged = me().bodies.delete(seq) || session.hasChanged
    },
    confirm: (queue, grant, at, now) => {
      eachStart(session, self, queue, grant, now, (rate, start) => rate.confirm(start, at))
      queue.graceFactor = factorAfterLaunch(queue.graceFactor)
    },

    correct: (queue, grant, cost, now) =>
      eachStart(session, self, queue, grant, now, (rate, start) => rate.correct(start, cost)),

    // What comes due, and what is forgotten.
    makeReady: (queue, now, wall) => {
      for (const [key, until] of queue.heldKeys) if (until <= now) queue.heldKeys.delete(key)
      for (const job of jobsOf(queue)) {
        if (job.aside) job.aside = queue.heldKeys.has(job.more.key as string)
        if (job.state === 'delayed' && !dueOf(job.more, now, wall)) self.wait(queue, job, now)
      }
      return false
    },
    nextLook: (queue, now, wall) => {
      const looks = jobsOf(queue).map(({ state, aside, more }) => {
        if (aside) return queue.heldKeys.get(more.key as string) ?? Infinity
        const due = state === 'delayed' ? dueOf(more, now, wall) : undefined
        return due?.clock === 'wall' ? now + Math.min(due.at - wall, wallLookMs) : (due?.at ?? Infinity)
      })
      return looks.reduce((next, at) => Math.min(next, at), Infinity)
    },
    prune: (queue, justEnded, now) => {
      const { most } = queue.keep
      const ended = jobsOf(queue, ({ state }) => state !== 'underway' && !isWaiting(state))
      ended.sort((a, b) => a.forgetAt - b.forgetAt)
      const isOver = ({ forgetAt }: Job, i: number): boolean => forgetAt <= now || ended.length - i > most
      for (const job of ended.filter(isOver).slice(0, maxPruned + justEnded)) forget(queue, job, now)
      const ids = queue.ids.filter(({ until }) => until > now).sort((a, b) => a.until - b.until)
      queue.ids = ids.slice(Math.max(ids.length - most, 0))
    },
    claim: (queue, request, room, endedUnrun) => claim(session, self, queue, request, room, endedUnrun),

    // How jobs move.
    take: claimed,
    isFinished: () => false,
    takeCancel: (_queue, job) => {
      const { cancel } = job
      job.cancel = undefined
      return cancel && { reason: cancel.reason ?? null }
    },
    wait: (_queue, job, now, due) => {
      const later = due && { [due.clock === 'wall' ? 'runAt' : 'dueAt']: due.at }
      note(job, { runAt: undefined, dueAt: undefined, ...later })
      changed(job, { state: due ? 'delayed' : 'pending', since: now, aside: false })
    },
    end: (queue, job, ending, now) => void self.endWithRow(queue, job, ending, now),
    endWithRow: (queue, job, { state, startedWall, stoppedWall, error, value }, now) => {
      const { keep } = queue
      const texts = { error: error ?? job.more.error, value: keep.results ? (value ?? undefined) : undefined }
      note(job, { dueAt: undefined, runAt: undefined, ...texts })
      const times = { startedAt: startedWall ?? job.startedAt, stoppedAt: stoppedWall ?? job.stoppedAt }
      changed(job, { state, ...times, aside: false, forgetAt: now + keptMs(keep, state) })
      if (!(job.forgetAt > now)) forget(queue, job, now)
      return rowOf(job)
    },
    bodyContinues: ({ queueId }, job) => void me().bodies.set(job.seq, { queueId, key: keys.keyOf(job) }),
    holdKey: ({ heldKeys }, key, until) => void heldKeys.set(key, Math.max(until, heldKeys.get(key) ?? 0)),
    holdRule: (queue, name, until) => {
      const isOfQueue = queue.rules.some(rule => rule.name === name) && session.db.data.rules.has(name)
      if (isOfQueue) rules.changeStart(session.db.data, name, rate => rate.hold(until))
      return isOfQueue
    },
    refused: (queue, grant, now) =>
      eachStart(session, self, queue, grant, now, (rate, start) => rate.refused(start, now)),
    refund: (queue, grant, now) => eachStart(session, self, queue, grant, now, (rate, start) => rate.refund(start)),
    refundNotLaunched: (queue, job, grant, now) => {
      eachStart(session, self, queue, grant, now, (rate, start) => {
        const isLate = (rate.countsAt(start) ?? Infinity) <= now
        if (isLate) queue.graceFactor = factorAfterReturn(queue.graceFactor, rate.rules)
        rate.refund(start)
      })
      if (keys.isSorted(queue)) keys.returned(queue, keys.keyOf(job))
    },
    crowded: now => line.crowded(now),
    keepError: (_queue, job, { startedWall, stoppedWall, extras }) => {
      note(job, { error: extras?.error })
      changed(job, { startedAt: startedWall, stoppedAt: stoppedWall })
    },
    countCrash: (_queue, job, { crashes, launchUnreported }) => void changed(job, { crashes, launchUnreported }),
    awaitVerdict: (_queue, job, isOwned) => {
      const fence = isOwned ? job.fence + 1 : job.fence
      changed(job, { fence, awaitingVerdict: true, worker: isOwned ? token : noWorker, exchange: 0 })
    },
    report: ({ reports }, { seq, worker }, row) =>
      void reports.push({ seq, row, worker: worker === token ? token : noWorker, exchange: 0 }),

    // Commands.
    locate: (queue, target) =>
      typeof target === 'number' ? queue.jobs.get(target) : jobsOf(queue, ({ id }) => id === target)[0],
    rowOf: (_queue, job) => rowOf(job),
    remembered: (queue, id, now) => queue.ids.find(gone => gone.id === id && gone.until > now),
    isBodyRunning: seq => [...db.data.workers.values()].some(({ bodies }) => bodies.has(seq)),
    requestCancel: (_queue, job, reason) => void changed(job, { cancel: { reason, notified: false } }),
    cancel: (queue, job, reason, now, wall) =>
      self.endWithRow(queue, job, unrun('cancelled', reason ?? null, wall), now) as wire.JobRow,
    clear: (queue, reason, now, wall) => {
      const waiting = jobsOf(queue, ({ state }) => isWaiting(state)).sort(inOrder)
      return { changed: waiting.map(job => self.cancel(queue, job, reason, now, wall)), count: waiting.length }
    },
    clearKey: (queue, key, reason, now, wall) => {
      const waiting = jobsOf(queue, ({ state, more }) => isWaiting(state) && more.key === key).sort(inOrder)
      return { changed: waiting.map(job => self.cancel(queue, job, reason, now, wall)), count: waiting.length }
    },
    reprioritize: (_queue, job, priority) => rowOf(changed(job, { priority })),
    reschedule: (queue, job, due, now) => {
      self.wait(queue, job, now, due)
      return rowOf(job)
    },
    retry: (queue, job, now) => {
      const { attempt, crashes, error } = resetByRetry
      note(job, { error })
      changed(job, { attempt, crashes, launchUnreported: false, startedAt: null, stoppedAt: null })
      return self.reschedule(queue, job, undefined, now)
    },
    remove: (queue, job) => void queue.jobs.delete(changed(job, {}).seq),
    forgetId: (queue, id, now) => {
      const gone = self.remembered(queue, id, now) as Queue['ids'][number] | undefined
      if (gone) queue.forgotten[gone.state]--
      queue.ids = queue.ids.filter(other => other !== gone)
      return gone !== undefined
    },
  }
  return self
}

/** The starts in the rate of the queue and in that of the key. */
function eachStart(
  session: Session,
  self: Operations,
  queue: Queue,
  grant: Grant,
  now: number,
  act: (rate: Rate, start: number) => void,
): void {
  const own = startOf(grant)
  if (own > 0) act(self.rate(queue), own)
  for (const { of, name, start } of furtherOf(grant)) {
    if (of === 'rule') {
      rules.changeStart(session.db.data, name, rate => act(rate, start))
      session.passesTurn = true
    } else keys.changeRate(queue, name, now, rate => act(rate, start))
  }
}

function put(db: naive.NaiveDatabase, self: Operations, queue: Queue, request: wire.PutRequest): wire.PutReply {
  const { ids, now, wall, size } = request
  const more = new Map(request.more)
  const existed = existing(self, queue, request)
  const { pending, delayed } = self.counts(queue)
  refuseOverfull(ids.length - existed.size, size, pending + delayed)
  const first = db.data.lastSeq + 1
  for (const i of ids.keys()) {
    if (existed.has(i)) continue
    const { dueAt, runAt, ...facts } = more.get(i) ?? {}
    const job = naive.newJob(++db.data.lastSeq, request, i)
    queue.jobs.set(job.seq, job)
    note(job, structuredClone(facts))
    self.wait(queue, job, now, dueOf({ dueAt, runAt }, now, wall))
  }
  const row = (i: number, known: wire.JobRow | number): wire.JobRow =>
    typeof known === 'number' ? (self.row(queue, ids[i] as string) as wire.JobRow) : known
  return { first, existed: [...existed].map(([i, known]) => [i, row(i, known)]), counts: self.counts(queue) }
}

function list(queue: Queue, { state, key, limit, after }: wire.ListRequest): wire.ListReply {
  const start = typeof after === 'string' ? jobsOf(queue, ({ id }) => id === after)[0] : after
  if (typeof after === 'string' && !start) throw new JobUnknownError(after)
  const isPlaced = state !== undefined && isWaiting(state)
  const order = isPlaced ? inOrder : (a: wire.ListCursor, b: wire.ListCursor): number => b.seq - a.seq
  const fits = (job: Job): boolean =>
    (state ?? job.state) === job.state && (key ?? job.more.key) === job.more.key && (!start || order(start, job) < 0)
  const rows = jobsOf(queue, fits).sort(order).slice(0, limit)
  return { rows: rows.map(rowOf), next: rows.length === limit ? rows.at(-1) : undefined }
}

/** `here`: what runs in this process, of any queue. */
function explain(
  data: naive.NaiveData,
  queue: Queue,
  { target, now, wall }: wire.ExplainRequest,
  here: readonly (readonly [Queue, Job])[],
): wire.ExplainReply | undefined {
  const job = jobsOf(queue, ({ seq, id }) => seq === target || id === target)[0]
  if (!job) return undefined
  const { key = '', cost } = job.more
  const blocking = blockingByRules(Rate.from(queue.rate), rules.read(data, queue), cost, now)
  const due = job.state === 'delayed' ? dueOf(job.more, now, wall) : undefined
  const isSorted = keys.isSorted(queue)
  const refusal = keys.refusal(data, queue, key, cost, now)
  const keyHeldUntil = isSorted ? undefined : queue.heldKeys.get(key)
  const isFull = freeSlots(queue.globalWidth, naive.bodiesOf(data, queue)) === 0
  const { why, ofKey, ...bounds } = explainWait({ due, keyHeldUntil, blocking, refusal, isFull }, now, wall)
  const order = (other: Job): number => other.crashes - job.crashes || inOrder(other, job)
  const isBefore = (other: Job): boolean =>
    (!isSorted || keys.keyOf(other) === key || job.crashes > 0) &&
    other.state === 'pending' &&
    !other.aside &&
    other.crashes > 0 === job.crashes > 0 &&
    order(other) < 0
  const isPending = job.state === 'pending'
  const isSuspect = isPending && (job.crashes > 0 || here.some(([, { alone }]) => alone))
  const position = isPending ? jobsOf(queue, isBefore).length : undefined
  return {
    row: rowOf(job),
    position,
    why: why ?? (isSuspect ? 'suspect' : undefined),
    ...bounds,
    ...(ofKey && { key }),
  }
}

function claim(
  session: Session,
  self: Operations,
  queue: Queue,
  { now, number, errorMs, mayLaunch }: wire.ExchangeRequest,
  wanted: number,
  endedUnrun: wire.JobRow[],
): Claimed {
  const { line, token } = session
  const { sharedPaused, heldKeys, crashLimit } = queue
  const rate = self.rate(queue)
  const claimed: Job[] = []
  const { data } = session.db
  let blocked: Claimed['blocked']
  let demand: Claimed['demand']
  const pending = jobsOf(queue, ({ state }) => state === 'pending').sort(inOrder)
  const suspects = pending.filter(({ crashes }) => crashes > 0).sort(inOrderOfSuspects)
  const others = pending.filter(({ crashes }) => crashes === 0)
  const room = (): number => (sharedPaused || blocked ? 0 : wanted - claimed.length)
  const isSorted = keys.isSorted(queue)
  const fail = (job: Job, rule: RateRule | undefined): void => {
    const error = errorToJson(neverStarts(job.more.cost, rule), 'none')
    endedUnrun.push(self.endWithRow(queue, job, unrun('failed', error), now) as wire.JobRow)
  }
  const mayStart = (job: Job): boolean => {
    const refusal = keys.refusal(session.db.data, queue, keys.keyOf(job), job.more.cost, now)
    if (refusal?.never) {
      fail(job, refusal.rule)
      return false
    }
    if (refusal) return false
    job.aside = !isSorted && heldKeys.has(job.more.key ?? '')
    if (job.aside) return false
    const { cost } = job.more
    const limit = refusalByRules(rate, rules.read(data, queue), queue.queueId, cost, now)
    if (limit?.never) fail(job, limit.rule)
    else if (limit) {
      blocked = limit
      demand = { cost, wants: Math.min(wanted - claimed.length, pending.length - claimed.length) }
    }
    return limit === undefined
  }
  const give = (job: Job, alone: boolean): void => {
    const allRules = [...rate.rules, ...rules.namedOf(data, queue), ...(queue.keys.policy?.rate ?? [])]
    const graceOf = graceMs(allRules, queue.graceFactor, errorMs)
    const start = rate.grant(job.more.cost, now, graceOf)
    const { key } = job.more
    const charge = (ofKey: Rate): number => (ofKey.idle ? 0 : ofKey.grant(job.more.cost, now, graceOf))
    const keyStart = isSorted && key !== undefined ? keys.changeRate(queue, key, now, charge) : 0
    const shared = rules.charge(data, queue, job.more.cost, now, graceOf)
    if (shared.length > 0) session.passesTurn = true
    const grant = grantOf(start, [...startOfKey(key, keyStart), ...shared])
    const facts = { launched: false, alone, abandoned: false, awaitingVerdict: false, cancel: undefined }
    Object.assign(job, { state: 'underway', worker: token, exchange: number, grant, ...facts })
    Object.assign(job, { attempt: job.attempt + 1, fence: job.fence + 1 })
    claimed.push(job)
    session.hasChanged = true
    if (job.crashes === 0) return
    session.suspect = job.seq
    line.took(queue.queueId)
  }
  const claimInTurns = (): void => {
    keys.arrive(queue, others)
    const lines = new Map<string, Job[]>()
    for (const job of others) lines.set(keys.keyOf(job), [...(lines.get(keys.keyOf(job)) ?? []), job])
    let heldUp: Claimed['blocked']
    while (room() > 0) {
      const job = keys.next(
        queue,
        [...lines.values()].flatMap(waiting => waiting[0] ?? []),
      )
      if (!job) break
      const key = keys.keyOf(job)
      const refusal = keys.refusal(session.db.data, queue, key, job.more.cost, now)
      if (refusal && !refusal.never) {
        lines.delete(key)
        if (refusal.until < (heldUp?.until ?? Infinity)) heldUp = { rule: refusal.rule, key, until: refusal.until }
      } else if (mayStart(job)) {
        lines.get(key)?.shift()
        give(job, false)
        keys.started(queue, key)
      } else if (!blocked) lines.get(key)?.shift()
    }
    if (room() > 0) blocked = heldUp
  }
  const lookAt = claimAmongSuspects<Job>({
    ...{ line, claimant: processOf(session, queue, now), room, pending: () => pending.length },
    ...{ mayLaunch: mayLaunch && !sharedPaused, crashLimit },
    waitsSince: from => {
      const waiting = suspects.filter(({ crashes, state }) => crashes >= from && state === 'pending')
      return waiting.length > 0 ? Math.min(...waiting.map(({ since }) => since)) : undefined
    },
    first: (from, below) =>
      suspects.find(job => job.crashes >= from && job.crashes < below && room() > 0 && mayStart(job)),
    isBefore: suspect => !others[0] || inOrder(suspect, others[0]) < 0,
    claimSuspect: (job, alone) => {
      if (mayStart(job)) give(job, alone)
    },
    claimOthers: () => {
      if (isSorted) return claimInTurns()
      for (const job of others) if (room() > 0 && mayStart(job)) give(job, false)
    },
  })
  if (room() > 0 && !isSorted) blocked = firstHold(queue)
  return { ...claimedOf(data, queue, rate, claimed, blocked, lookAt), demand }
}
/** The hold of a key that ends first, of those that hold back jobs. */
function firstHold(queue: Queue): Claimed['blocked'] {
  const held = new Set(jobsOf(queue, ({ aside }) => aside).map(({ more }) => more.key))
  const holds = [...queue.heldKeys].filter(([key]) => held.has(key)).sort((a, b) => a[1] - b[1])
  const [first] = holds.map(([key, until]) => ({ why: 'hold' as const, rule: undefined, key, until }))
  return first
}
/** What runs in this process, as far as suspects are concerned. */
function processOf(session: Session, { queueId }: Queue, now: number): Parameters<SuspectLine['plan']>[0] {
  const { db, token, line } = session
  const { works, bodies } = db.data.workers.get(token) as naive.Worker
  const here = naive.underwayOf(db, token).filter(([, { awaitingVerdict }]) => !awaitingVerdict)
  const running = here.find(([, { crashes, abandoned }]) => crashes > 0 && !abandoned)?.[1]
  if (session.suspect !== running?.seq) line.wake()
  session.suspect = running?.seq
  const isUnknown = here.some(([queue, { abandoned }]) => abandoned || !works.has(queue.queueId))
  const isIdle = (): boolean => here.length === 0
  return { queue: queueId, now, running, isIdle, canBeIdle: () => bodies.size === 0 && !isUnknown }
}
function claimedOf(
  data: naive.NaiveData,
  queue: Queue,
  rate: Rate,
  jobs: readonly Job[],
  blocked: Claimed['blocked'],
  lookAt: number,
): Claimed {
  const isLimited = keys.isLimited(queue, rate) || rules.namedOf(data, queue).length > 0
  const grants = isLimited ? jobs.map(({ grant }) => grant) : undefined
  const countsAt = (of: Rate, start: number): number => (start > 0 ? (of.countsAt(start) ?? -Infinity) : Infinity)
  const counted = (grants ?? []).flatMap(grant => [
    countsAt(rate, startOf(grant)),
    ...furtherOf(grant).map(({ of, name, start }) =>
      countsAt(of === 'rule' ? rules.rateOf(data, name) : keys.rateOf(queue, name, 0), start),
    ),
  ])
  const graceUntil = Math.min(...counted)
  return { claimed: naive.columnsOf(jobs), grants, graceUntil, blocked, isPartial: false, nextLookAt: lookAt }
}
