/** A SQLite store under test, with short calls. Each object stands for one process; two on one file are two processes. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type {
  AttachReply,
  AttachRequest,
  CommandReply,
  CommandRequest,
  ExchangeReply,
  ExplainReply,
  JobRow,
  ListReply,
  ListRequest,
  PutReply,
  Request,
} from '../../persistence/durable/store.ts'
import type { SqliteDatabase } from '../../persistence/sqlite/file/database.ts'
import { Store } from '../../persistence/sqlite/store/store.ts'
import {
  type Ending,
  type ExchangeParts,
  endingsOf,
  launchReportsOf,
  type Put,
  payloadsOf,
  replyOf,
  StoreRequests,
} from '../../testing/contract/store-requests.ts'
import { temporaryUntilExit } from './temporary-folder.ts'

export const Database = createRequire(import.meta.url)('better-sqlite3') as new (path: string) => SqliteDatabase

const folder = temporaryUntilExit('store')
let files = 0

/** A file of its own, which goes when the process ends. */
export function fileName(): string {
  files++
  return join(folder, `${files}.db`)
}

/** One process on a file: a Store, one queue of it, and the clocks that it passes. It answers at once. */
export class Process extends StoreRequests {
  static #made = 0
  readonly db: SqliteDatabase
  readonly store: Store
  readonly token: string

  constructor(
    path = ':memory:',
    options: { readonly boot?: string; readonly token?: string; readonly file?: string } = {},
  ) {
    super()
    Process.#made++
    this.token = options.token ?? `worker ${Process.#made}`
    this.db = new Database(path)
    this.db.pragma('journal_mode = wal')
    this.db.pragma('busy_timeout = 5000')
    const { boot = 'boot', file } = options
    this.store = Store.open(this.db, { worker: this.token, boot, ...(file !== undefined && { file }) })
  }
  send(request: Request): unknown {
    const [answer] = this.store.transact([request])
    return replyOf(answer)
  }
  attach(parts: Partial<AttachRequest> = {}): AttachReply {
    const attached = this.send(this.attachRequest(parts)) as AttachReply
    this.queue = attached.queue
    return attached
  }
  put(jobs: readonly (string | Put)[], { size }: { readonly size?: number } = {}): PutReply {
    return this.send(this.putRequest(jobs, size)) as PutReply
  }
  exchange(parts: ExchangeParts = {}): ExchangeReply {
    return this.send(this.exchangeRequest(parts)) as ExchangeReply
  }
  claim(room = 100): Ending[] {
    return endingsOf(this.exchange({ room }))
  }
  /** Reports that the bodies of these jobs run; `first`: that they are about to. */
  begin(jobs: readonly Ending[], first = false): ExchangeReply {
    return this.exchange({ launchReports: launchReportsOf(jobs, first) })
  }
  /** Claims jobs, and reports that their bodies run. */
  launch(room = 100): Ending[] {
    const jobs = this.claim(room)
    this.begin(jobs)
    return jobs
  }
  claimed(room = 100): unknown[] {
    return payloadsOf(this.exchange({ room }))
  }
  command(command: CommandRequest['command']): CommandReply {
    return this.send(this.commandRequest(command)) as CommandReply
  }
  find(target: number | string): JobRow | undefined {
    return this.store.query(this.findRequest(target)) as JobRow | undefined
  }
  list(parts: Partial<ListRequest> = {}): readonly JobRow[] {
    return this.listStep(parts).rows
  }
  listStep(parts: Partial<ListRequest> = {}): ListReply {
    return this.store.query(this.listRequest(parts)) as ListReply
  }
  explain(target: number | string): ExplainReply | undefined {
    return this.store.query(this.explainRequest(target)) as ExplainReply | undefined
  }
  /** Same as when the process is killed: nothing is returned, and the kernel unlocks the file. */
  die(): void {
    this.db.close()
  }
  /** How many rows a table has. */
  rows(table: string): number {
    return this.db.prepare(`select count(*) from ${table}`).pluck().get() as number
  }
}
