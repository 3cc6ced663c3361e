/**
 * Points at which a process kills itself: in its thread, in its event loop, or in a handler's own transaction.
 *
 * The process sends SIGKILL to itself, so the point is exact: nothing after it has happened, and nothing is cleaned up.
 */
import { createRequire } from 'node:module'
import { setEnvironmentData } from 'node:worker_threads'
import type { Backlog, BacklogSession, SessionOptions, Transport } from '../../lib/backlog.ts'
import { defaultTransport } from '../../persistence/durable/transport.ts'
import { attachSession } from '../../persistence/sqlite/backlog.ts'
import { hostWith } from '../../persistence/sqlite/thread/thread-host.ts'

/**
 * In the thread: before the exchange is looked at, before its nth statement, or after its commit and before its answer.
 */
export type ThreadPoint = 'received' | 'statement' | 'committed'
/**
 * In the loop: claimed and not called; at the first line of the body; at its nth row; when a checkpoint is stored; at its
 * last line; when the ending is announced; when a recovery is announced; in afterCrash.
 */
export type LoopPoint = 'underway' | 'start' | 'row' | 'stored' | 'end' | 'finished' | 'recovered' | 'asking'

export interface KillPoint {
  readonly at: ThreadPoint | LoopPoint | 'own statement'
  /** Which exchange it is about. `any`: statements are counted from the first one on. */
  readonly of?: 'put' | 'claim' | 'settle' | 'checkpoint' | 'recovery' | 'any'
  /** Of statements, or of the times that the loop comes to its point; 1. */
  readonly nth?: number
}

export function die(): never {
  process.kill(process.pid, 'SIGKILL')
  for (;;);
}

interface Counted {
  prototype: { exec(sql: string): unknown }
  new (path: string): { prepare(sql: string): object; close(): unknown }
}

/** Calls `before` ahead of each statement that SQLite is asked for in this thread. */
export function eachStatement(before: () => void): void {
  const Database = createRequire(import.meta.url)('better-sqlite3') as Counted
  const db = new Database(':memory:')
  const statement = Object.getPrototypeOf(db.prepare('select 1')) as Record<string, (...args: unknown[]) => unknown>
  db.close()
  const wrap = (owner: Record<string, (...args: unknown[]) => unknown>, method: string): void => {
    const real = owner[method] as (...args: unknown[]) => unknown
    owner[method] = function (this: unknown, ...args: unknown[]) {
      before()
      return real.apply(this, args)
    }
  }
  for (const method of ['run', 'get', 'all']) wrap(statement, method)
  wrap(Database.prototype as never, 'exec')
}

/** An SqliteBacklog whose thread has a killPoint. */
export class KilledBacklog implements Backlog {
  readonly durable = true
  readonly strict = true
  readonly transport: Transport = defaultTransport
  readonly #path: string

  constructor(path: string, killPoint: KillPoint) {
    this.#path = path
    // What threads that are started from now on find.
    setEnvironmentData('killPoint', killPoint)
  }
  attach(options: SessionOptions): Promise<BacklogSession> {
    const host = hostWith(new URL('./fake-threads/dies-at-point.js', import.meta.url))
    return attachSession(options, this.#path, { durability: 'process', stallMs: 300_000, host })
  }
}
