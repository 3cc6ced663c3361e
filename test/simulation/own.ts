/** Transactions of the user on a separate handle of the file. Each ends before any other process acts. */
import type { Clock } from '../../lib/clock.ts'
import type { PutOptions, Task } from '../../lib/index.ts'
import type { SqliteDatabase } from '../../persistence/sqlite/file/database.ts'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { putWithin } from '../../persistence/sqlite/index.ts'
import type { Entry, Fact, History } from '../../testing/index.ts'
import type { Faults } from './faults.ts'
import type { Script } from './plan.ts'
import type { PooledFile } from './pool.ts'

/** The number of the first such call. The history numbers the calls of queues from 1 and never gets this far. */
const firstCall = 1_000_001

export interface OwnParts {
  readonly path: string
  readonly pooled: PooledFile | undefined
  readonly history: History
  readonly faults: Faults
  readonly queueName: string
}

export class Own {
  readonly #parts: OwnParts
  #calls = firstCall - 1

  constructor(parts: OwnParts) {
    this.#parts = parts
  }
  put(clock: Clock, script: Script, { signal, ...options }: PutOptions, undo: boolean): void {
    const { history, faults, queueName } = this.#parts
    const call = ++this.#calls
    const { id, priority = 0, delay, runAt, key, cost } = options
    const job = id as string
    const fact: Fact = {
      ...({ kind: 'put', call, job, priority } as const),
      ...(delay !== undefined && { delayMs: delay as number }),
      ...(runAt !== undefined && { runAtMs: Number(runAt) }),
      ...(key !== undefined && { key }),
      ...(cost !== undefined && { cost }),
    }
    const add = (what: Fact): void => history.add(what, 'user', queueName)
    if (call === firstCall) add({ kind: 'opened', width: 0, rules: [], paused: false, works: false })
    try {
      this.#within(undo, db => {
        const waiting = db.prepare('select pending + delayed from rdq_queue where name = ?').pluck()
        const before = waiting.get(queueName)
        add(fact)
        putWithin(db, queueName, script, { ...options, clock })
        const existed = waiting.get(queueName) === before
        return () => add({ kind: 'accepted', call, job, existed })
      })?.()
      if (undo) add({ kind: 'refused', call, of: 'put', code: 'ROLLED_BACK' })
      faults.fired(undo ? 'a transaction of the user that is undone' : 'a transaction of the user')
    } catch (error) {
      const { code } = error as { code?: string }
      // For example no queue has opened the file yet.
      if (code === undefined) throw error
      add({ kind: 'refused', call, of: 'put', code })
    }
  }
  finish(task: Task, value: string, undo: boolean): void {
    const { history, queueName } = this.#parts
    this.#within(undo, db => {
      const claim = 'select fence from rdq_underway join rdq_job using (seq) where id = ?'
      const fence = Number(db.prepare(claim).pluck().get(task.id))
      task.finishWithin(db, value)
      return () =>
        history.add({ kind: 'recorded', job: task.id, fence, as: 'finished', changed: true }, 'user', queueName)
    })?.()
    this.#parts.faults.fired(undo ? 'an ending of the user that is undone' : 'an ending of the user')
  }
  /** How many jobs with a key are claimed and were not launched. Only limits of keys make a claim note its key. */
  claimedOfKeys(): number {
    const { path, pooled, history } = this.#parts
    const Database = loadSqlite()
    const db = pooled?.own ?? new Database(path)
    const claims = 'select id, fence from rdq_underway u join rdq_job j using (seq) where u.key is not null'
    // If its first exchange failed, the file has no tables yet.
    const isNew = db.prepare("select 1 from sqlite_master where name = 'rdq_underway'").get() === undefined
    const claimed = isNew ? [] : (db.prepare(claims).all() as { readonly id: string; readonly fence: number }[])
    if (!pooled) db.close()
    const launched = history.entries.filter(({ kind }) => kind === 'launch') as Entry<'launch'>[]
    return claimed.filter(({ id, fence }) => !launched.some(of => of.job === id && of.fence === fence)).length
  }
  /** Returns the value of `run` if the transaction was committed. */
  #within<T>(undo: boolean, run: (db: SqliteDatabase) => T): T | undefined {
    const { path, pooled } = this.#parts
    const Database = loadSqlite()
    const db = pooled?.own ?? new Database(path)
    try {
      db.exec('begin immediate')
      const answer = run(db)
      db.exec(undo ? 'rollback' : 'commit')
      return undo ? undefined : answer
    } finally {
      if (db.inTransaction) db.exec('rollback')
      if (!pooled) db.close()
    }
  }
}
