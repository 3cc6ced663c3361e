/**
 * The simplest store that keeps the store contract: maps and arrays (naive-database.ts), and the operations on them that
 * the procedures of persistence/durable/execute/ call (naive-operations.ts). This file is the transaction around them.
 *
 * Several workers open one `NaiveDatabase`, each with a `NaiveStore` of its own.
 */
import { recoverJob } from '../../persistence/durable/execute/recovery.ts'
import { execute, executeEach } from '../../persistence/durable/execute/requests.ts'
import type * as wire from '../../persistence/durable/store.ts'
import { SuspectLine } from '../../persistence/durable/suspect-line.ts'
import { freeReports, type NaiveDatabase, underwayOf, type Worker } from './naive-database.ts'
import { operationsOf, type Session } from './naive-operations.ts'
import { forgetWaits } from './naive-rules.ts'

/** One worker of the database. */
export class NaiveStore implements wire.Store {
  readonly #db: NaiveDatabase
  readonly #token: string
  readonly #session: Session
  readonly #operations: ReturnType<typeof operationsOf>

  constructor(db: NaiveDatabase, token: string) {
    this.#db = db
    this.#token = token
    this.#session = {
      db,
      token,
      line: new SuspectLine(),
      suspect: undefined,
      rates: new Map(),
      passesTurn: false,
      hasChanged: false,
    }
    this.#operations = operationsOf(this.#session)
    this.#commit(() => {})
  }
  transact(requests: readonly wire.Request[]): readonly wire.Answered[] {
    return this.#commit(() => executeEach(this.#operations, requests))
  }
  query(request: wire.QueryRequest): unknown {
    return execute(this.#operations, request)
  }
  workers(): readonly string[] {
    return [...this.#db.data.workers.keys()].filter(token => token !== this.#token)
  }
  recover(token: string, now: number): readonly number[] {
    return this.#commit(() => {
      const { works } = this.#db.data.workers.get(this.#token) as Worker
      const changed = this.#takeOver(token, now, queue => works.has(queue))
      if (token !== this.#token) this.#signOff(token)
      return changed
    })
  }
  surrender(now: number): void {
    this.#commit(() => this.#takeOver(this.#token, now, () => false))
  }
  close(): boolean {
    const isIdle = underwayOf(this.#db, this.#token).length === 0
    if (isIdle) this.#commit(() => this.#signOff(this.#token))
    return isIdle
  }
  onChange(changed: () => void): void {
    this.#db.listeners.set(this.#token, changed)
  }

  /** @param works Whether a queue of this worker can give a verdict. */
  #takeOver(token: string, now: number, works: (queue: number) => boolean): number[] {
    const left = underwayOf(this.#db, token)
    for (const [queue, job] of left) recoverJob(this.#operations, queue, job, works(queue.queueId), now)
    return [...new Set(left.map(([{ queueId }]) => queueId))]
  }
  #signOff(token: string): void {
    forgetWaits(this.#db.data, token)
    for (const queue of this.#db.data.queues.values()) freeReports(queue, token)
    this.#db.data.workers.delete(token)
  }
  /** One transaction: all of it, or nothing. */
  #commit<T>(run: () => T): T {
    const { broken, data, listeners } = this.#db
    const session = this.#session
    const before = broken.has(this.#token) ? structuredClone(data) : undefined
    session.hasChanged = false
    // A worker that was taken for dead by mistake is registered again.
    const me = data.workers.get(this.#token) ?? { works: new Set(), lastExchanges: new Map(), bodies: new Map() }
    data.workers.set(this.#token, me)
    const answer = run()
    for (const [queue, rate] of session.rates) queue.rate = rate.state()
    session.rates.clear()
    const wakes = session.line.takeWake() || session.passesTurn
    session.passesTurn = false
    if (before) {
      this.#db.data = before
      throw new Error('the commit failed')
    }
    for (const [token, changed] of listeners) if (token === this.#token ? wakes : session.hasChanged) changed()
    return answer
  }
}
