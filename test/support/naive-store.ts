/**
 * The simplest store that keeps the store contract: maps and arrays (naive-database.ts), the operations on them that the
 * procedures of persistence/durable/execute/ call, and a transaction around them. Each operation looks at all jobs.
 *
 * Several workers open one `NaiveDatabase`, each with a `NaiveStore` of its own.
 */

import { knownJob } from '../../lib/decisions/command-states.ts'
import { dueOf } from '../../lib/decisions/due.ts'
import { inOrderOfStart } from '../../lib/decisions/order.ts'
import { keyless } from '../../lib/limits/keys.ts'
import { refusalOf } from '../../lib/limits/limits.ts'
import { noteWaits } from '../../lib/limits/named-rules.ts'
import { RuleTurns } from '../../lib/limits/rule-turns.ts'
import { Rate } from '../../lib/rate/rate.ts'
import { SuspectLine } from '../../persistence/durable/execute/suspect-line.ts'
import * as execute from '../../persistence/durable/simple-store/index.ts'
import type * as wire from '../../persistence/durable/store.ts'
import * as naive from './naive-database.ts'
import { heldBy, type Job, jobsOf, type NaiveDatabase, type Queue, type Worker } from './naive-database.ts'

type Limits = execute.LimitStore<Queue, execute.KeyNow>

/** One worker of the database. */
export class NaiveStore implements wire.Store {
  readonly db: NaiveDatabase
  readonly worker: string
  readonly line: SuspectLine = new SuspectLine()
  /** Whether another queue of this process may start a job earlier, by a rule that they share. */
  passesTurn = false
  /** Whether the transaction changes what other workers may want to know. */
  hasChanged = false
  readonly #operations: execute.StoreOperations<Queue, Job>

  constructor(db: NaiveDatabase, worker: string) {
    this.db = db
    this.worker = worker
    this.#operations = operationsOf(this)
    this.#commit(() => {})
  }
  transact(requests: readonly wire.Request[]): readonly wire.RequestResult[] {
    return this.#commit(() => execute.executeEach(execute.requestsOn(this.#operations), requests))
  }
  query(request: wire.QueryRequest): unknown {
    return execute.execute(execute.requestsOn(this.#operations), request)
  }
  workers(): readonly string[] {
    return [...this.db.data.workers.keys()].filter(token => token !== this.worker)
  }
  recover(token: string, now: number): readonly number[] {
    return this.#commit(() => {
      const { works } = this.db.data.workers.get(this.worker) as Worker
      const changed = this.#takeOver(token, now, queue => works.has(queue))
      if (token !== this.worker) this.#signOff(token)
      return changed
    })
  }
  surrender(now: number): void {
    this.#commit(() => this.#takeOver(this.worker, now, () => false))
  }
  close(): boolean {
    const isIdle = naive.heldIn(this.db, this.worker).length === 0
    if (isIdle) this.#commit(() => this.#signOff(this.worker))
    return isIdle
  }
  onChange(changed: () => void): void {
    this.db.listeners.set(this.worker, changed)
  }

  /** @param works Whether a queue of this worker can give a verdict. */
  #takeOver(token: string, now: number, works: (queue: number) => boolean): number[] {
    const left = naive.heldIn(this.db, token)
    for (const [queue, job] of left) execute.recoverJob(this.#operations, queue, job, works(queue.queueId), now)
    return [...new Set(left.map(([{ queueId }]) => queueId))]
  }
  #signOff(token: string): void {
    execute.forgetWaits(this.db.data.rules.values(), token)
    for (const { reports } of this.db.data.queues.values()) execute.freeCrashReports(reports, token)
    this.db.data.workers.delete(token)
  }
  /** One transaction: all of it, or nothing. */
  #commit<T>(run: () => T): T {
    const { broken, data, listeners } = this.db
    const before = broken.has(this.worker) ? naive.copyOf(data) : undefined
    this.hasChanged = false
    // A worker that was taken for dead by mistake is registered again.
    const me = data.workers.get(this.worker) ?? { works: new Set(), lastExchanges: new Map(), bodies: new Map() }
    data.workers.set(this.worker, me)
    const answer = run()
    const wakes = this.line.takeSuspectWake() || this.passesTurn
    this.passesTurn = false
    if (before) {
      this.db.data = before
      throw new Error('the commit failed')
    }
    for (const [token, changed] of listeners) if (token === this.worker ? wakes : this.hasChanged) changed()
    return answer
  }
}

function limitsOf(store: NaiveStore): Limits {
  const { db, worker } = store
  const changed = (): void => {
    store.hasChanged = true
  }
  const passTurn = (): void => {
    store.passesTurn = store.hasChanged = true
  }
  const self: Limits = {
    ...execute.keyLimits(),
    rate: ({ rate }) => rate,
    rateToChange: ({ rate }) => rate,
    saveSettings: changed,
    graceFactor: ({ graceFactor }) => graceFactor,
    setGraceFactor: (queue, graceFactor) => void Object.assign(queue, { graceFactor }),
    furtherRate: (queue, start) =>
      start.of === 'rule' ? self.namedRule(start.name)?.rate : execute.rateOfKey(queue, start),
    recounted: (_queue, { of }) => (of === 'rule' ? passTurn() : undefined),
    namedRule: name => db.data.rules.get(name),
    addNamedRule: name => {
      const rule = { settings: { declared: undefined, set: undefined }, rate: new Rate([]), turns: new RuleTurns() }
      db.data.rules.set(name, { name, ...rule })
      return self.namedRule(name) as execute.StoredRule
    },
    ruleToChange: passTurn,
    rulesToCharge: passTurn,
    noteWaits: (queue, demand, now) => {
      const requester = { queue: queue.queueId, worker }
      if (noteWaits(queue.rate, execute.namedRules(self, queue), requester, demand, now)) passTurn()
      changed()
    },
    keyNow: (queue, name) => {
      const running = [...jobsOf(queue, ({ state }) => state === 'underway'), ...naive.continuingBodies(db, queue)]
      return execute.keyNow(queue, name, running.filter(({ key = keyless }) => key === name).length)
    },
  }
  return self
}

function operationsOf(store: NaiveStore): execute.StoreOperations<Queue, Job> {
  const { db, worker, line } = store
  const limits = limitsOf(store)
  const me = (): Worker => db.data.workers.get(worker) as Worker
  const mine = (queue: Queue): Job[] => heldBy(queue, worker)
  const here = (): Job[] => naive.heldIn(db, worker).map(([, job]) => job)
  const changed = <T extends object>(value: T, facts: Partial<T> = {}): T => {
    store.hasChanged = true
    return Object.assign(value, facts)
  }
  const forget = (queue: Queue, { seq, id, state, fingerprint }: Job, now: number): void => {
    const until = now + queue.keep.idsMs
    queue.jobs.delete(seq)
    queue.forgotten[state]++
    if (fingerprint !== undefined && until > now) queue.ids.push({ id, fingerprint, state, until })
  }
  const self: execute.StoreOperations<Queue, Job> = {
    ...execute.reportsOf(worker),
    limits,
    worker,
    queue: number => db.data.queues.get(number),
    named: name => [...db.data.queues.values()].find(queue => queue.name === name),
    create: request => {
      const queue = naive.newQueue(db.data.queues.size + 1, request)
      db.data.queues.set(queue.queueId, queue)
      return queue
    },
    registerWorker: ({ queueId }) => void me().works.add(queueId),
    counts: queue => execute.countsOf(jobsOf(queue), queue.forgotten),
    bodies: queue => {
      const running = jobsOf(queue, ({ state, awaitingVerdict }) => state === 'underway' && !awaitingVerdict)
      return running.length + naive.continuingBodies(db, queue).length
    },

    // Puts and queries.
    remembered: (queue, id, now) => queue.ids.find(gone => gone.id === id && gone.until > now),
    addJobs: (queue, request, existed) => {
      const extrasAt = new Map(structuredClone(request.extras))
      const first = db.data.lastSeq + 1
      for (const i of request.ids.keys()) {
        if (existed.has(i)) continue
        const job = execute.newJob(++db.data.lastSeq, request, i, extrasAt.get(i))
        queue.jobs.set(job.seq, job)
        self.wait(queue, job, request.now, dueOf(job, request.now, request.wall))
      }
      return first
    },
    keepPutReply: ({ number }, { first, existed }) =>
      void db.data.putReplies.set(`${worker} ${number}`, { first, existed }),
    putReply: number => db.data.putReplies.get(`${worker} ${number}`),
    locate: ({ jobs }, target) =>
      typeof target === 'number' ? jobs.get(target) : [...jobs.values()].find(({ id }) => id === target),
    rowOf: (_queue, job) => execute.rowOfJob(job),
    row: (queue, target) => {
      const job = self.locate(queue, target)
      return job && execute.rowOfJob(job)
    },
    list: (queue, request) => {
      const { after } = request
      const start = typeof after === 'string' ? knownJob(self.locate(queue, after), after) : after
      return execute.listOf(jobsOf(queue), request, start)
    },
    dueOf: job => execute.dueOfJob(job),
    heldUntil: ({ heldKeys }, key) => heldKeys.get(key),
    startBefore: (queue, job) => execute.startBefore(jobsOf(queue), job, queue.keysVersion > 0),
    runsAlone: () => here().some(({ alone }) => alone),
    nextKey: (queue, after) => execute.nextKey(jobsOf(queue), queue.overrides.keys(), after),
    countsOfKey: (queue, key) => execute.countsOfKey(jobsOf(queue), key),
    refusalOfNext: (queue, name, now) => {
      const [next] = jobsOf(queue, ({ state, key }) => state === 'pending' && key === name).sort(inOrderOfStart)
      return refusalOf(limits.keyNow(queue, name, now), next?.cost, now)
    },

    // An exchange, and what is needed to reply to it again.
    lastExchange: ({ queueId }) => me().lastExchanges.get(queueId) ?? 0,
    executed: ({ queueId }, exchange) => void me().lastExchanges.set(queueId, exchange),
    claimedIn: (queue, exchange) => execute.replayClaim(mine(queue), exchange, limits, queue),
    verdictsRequestedIn: (queue, exchange) => execute.verdictsRequestedIn(mine(queue), exchange),
    requestVerdicts: (queue, exchange) => execute.requestVerdicts(mine(queue), exchange),
    cancelsToReport: queue => execute.cancelsToReport(mine(queue)),
    recoverUnowned: (queue, now) => {
      if (!me().works.has(queue.queueId)) return
      for (const job of heldBy(queue, undefined)) execute.recoverJob(self, queue, job, true, now)
    },
    slotWaits: ({ slotWaits }) => [...slotWaits.values()].filter(wait => db.data.workers.has(wait.worker as string)),
    saveSlotWait: ({ slotWaits }, wait) => void changed(slotWaits).set(wait.worker, wait),
    dropSlotWait: ({ slotWaits }, waiting) => void (slotWaits.delete(waiting) && changed(slotWaits)),
    makeReady: (queue, now, wall) => execute.makeReady(jobsOf(queue), queue.heldKeys, now, wall),
    nextLook: (queue, now, wall) => execute.nextLook(jobsOf(queue), queue.heldKeys, now, wall),
    prune: (queue, justEnded, now) => {
      const { keep } = queue
      for (const job of execute.jobsToForget(jobsOf(queue), keep, justEnded, now)) forget(queue, job, now)
      const ids = queue.ids.filter(({ until }) => until > now).sort((a, b) => a.until - b.until)
      queue.ids = ids.slice(Math.max(ids.length - keep.most, 0))
    },
    claim: (queue, request, room, endedUnrun) => {
      const ended = (job: Job, isForgotten: boolean): void => void (isForgotten && forget(queue, job, request.now))
      const isWorked = naive.heldIn(db, worker).every(([{ queueId }]) => me().works.has(queueId))
      const hasOtherBodies = !isWorked || me().bodies.size > 0
      const from = { limits, worker, line, here: here(), hasOtherBodies, ended }
      const claimed = execute.claimFrom(jobsOf(queue), from, queue, request, room, endedUnrun)
      if (claimed.claimed.seqs.length > 0) changed(queue)
      return claimed
    },

    // How jobs move.
    settle: (queue, settled, now, notices) => execute.settleEach(self, queue, settled, now, notices),
    markLaunchReported: (queue, first, last, fence) => {
      const reported = mine(queue).filter(job => job.seq >= first && job.seq <= last && job.fence === fence)
      return reported.map(job => changed(job, { launchReported: true })).length
    },
    saveCheckpoint: (queue, seq, fence, checkpoint) => {
      const job = self.take(queue, seq, fence)
      return job !== undefined && changed(job, { checkpoint }) === job
    },
    take: (queue, seq, fence) => mine(queue).find(job => job.seq === seq && job.fence === fence),
    takeUnderway: (queue, onlyAwaiting) =>
      mine(queue).filter(({ awaitingVerdict }) => awaitingVerdict || !onlyAwaiting),
    isFinished: () => false,
    takeCancel: (_queue, job) => execute.takeCancel(job),
    wait: (_queue, job, now, due) => void execute.waits(changed(job), now, due),
    end: (queue, job, ending, now) => void self.endWithRow(queue, job, ending, now),
    endWithRow: (queue, job, ending, now) => {
      if (execute.ends(changed(job), ending, queue.keep, now)) forget(queue, job, now)
      return execute.rowOfJob(job)
    },
    keepError: (_queue, job, { startedWall: startedAt, stoppedWall: stoppedAt, extras }) =>
      void changed(job, { error: extras?.error, startedAt, stoppedAt }),
    bodyContinues: ({ queueId }, { seq, key }) => void me().bodies.set(seq, { queueId, key }),
    endedBodies: seqs => {
      const { bodies } = me()
      for (const seq of seqs) if (bodies.delete(seq)) changed(bodies)
    },
    holdKey: ({ heldKeys }, key, until) => void heldKeys.set(key, Math.max(until, heldKeys.get(key) ?? 0)),
    crowded: now => line.crowded(now),
    crashed: (_queue, job, crashes) => void changed(job, { crashes }),
    countCrash: (_queue, job, { crashes, launchUnreported }) => void changed(job, { crashes, launchUnreported }),
    awaitVerdict: (_queue, job, isOwned) => execute.awaitsVerdict(changed(job), isOwned ? worker : undefined),
    reportCrash: ({ reports }, { seq, worker: from }, row) =>
      void reports.push({ seq, row, worker: from === worker ? worker : undefined, exchange: 0 }),
    stopWorking: ({ queueId, slotWaits }) => {
      me().works.delete(queueId)
      slotWaits.delete(worker)
      line.stops(queueId)
      line.wake()
      execute.forgetWaits(db.data.rules.values(), worker, queueId)
      store.passesTurn = true
    },
    abandonBodies: queue => {
      for (const job of mine(queue)) if (!job.awaitingVerdict) changed(job, { abandoned: true, alone: false })
    },

    // Commands.
    isBodyRunning: seq => [...db.data.workers.values()].some(({ bodies }) => bodies.has(seq)),
    requestCancel: (_queue, job, reason) => void changed(job, { cancel: { reason: reason ?? null, notified: false } }),
    cancel: (queue, job, reason, now, wall) =>
      self.endWithRow(queue, job, execute.unrun('cancelled', reason ?? null, wall), now) as wire.JobRow,
    clear: (queue, key, reason, now, wall) => {
      const waiting = execute.waitingJobs(jobsOf(queue), key)
      return { changed: waiting.map(job => self.cancel(queue, job, reason, now, wall)), count: waiting.length }
    },
    reprioritize: (_queue, job, priority) => execute.rowOfJob(changed(job, { priority })),
    reschedule: (_queue, job, due, now) => execute.rowOfJob(execute.waits(changed(job), now, due)),
    retry: (_queue, job, now) => execute.rowOfJob(execute.waitsAnew(changed(job), now)),
    remove: (queue, job) => void queue.jobs.delete(changed(job).seq),
    forgetId: (queue, id, now) => {
      const gone = self.remembered(queue, id, now) as Queue['ids'][number] | undefined
      if (gone) queue.forgotten[gone.state]--
      queue.ids = queue.ids.filter(other => other !== gone)
      return gone !== undefined
    },
  }
  return self
}
