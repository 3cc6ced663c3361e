/**
 * The file as a queue sees it: requests in, answers out, one transaction for as many as have gathered.
 *
 * Knows no thread, no timer and no clock: whoever owns it brings the instants along with each request.
 */
import type { SqliteDatabase } from './database.ts'
import type { ExplainRequest, FindRequest, ListRequest, Request, WireError } from './wire.ts'

export type Answered = { readonly ok: unknown } | { readonly error: WireError }

export class Store {
  readonly #db: SqliteDatabase
  readonly #worker: string

  private constructor(db: SqliteDatabase, worker: string) {
    this.#db = db
    this.#worker = worker
  }
  /** Brings the schema up to date and registers the worker. Pragmas are the caller's. */
  static open(db: SqliteDatabase, options: { readonly worker: string; readonly boot: string }): Store {
    return new Store(db, options.worker)
  }
  /** Does all in one IMMEDIATE transaction and answers each. A request that is refused fails alone. */
  exchange(_requests: readonly Request[]): readonly Answered[] {
    throw new Error(`not there yet: ${this.#worker} ${this.#db.open}`)
  }
  /** Only reads, so it may run outside of the write transaction. */
  look(_request: FindRequest | ListRequest | ExplainRequest): unknown {
    throw new Error('not there yet')
  }
  /** Takes over what a dead worker held. Answers which queues changed. */
  recover(_worker: string, _now: number, _wall: number): readonly number[] {
    throw new Error('not there yet')
  }
  /** The tokens of the other workers that are registered. */
  workers(): readonly string[] {
    throw new Error('not there yet')
  }
  /** Gives up all that this worker holds: its jobs go back as those of a dead process do. */
  surrender(_now: number, _wall: number): void {
    throw new Error('not there yet')
  }
  /** Strikes the worker off when it holds nothing. */
  close(): void {}
}
