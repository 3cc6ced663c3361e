/** A SQLite store under test, with short calls. Each object stands for one process; two on one file are two processes. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { KeepPolicy, SettleKind } from '../../lib/backlog.ts'
import type {
  AttachReply,
  AttachRequest,
  CommandReply,
  CommandRequest,
  ExchangeReply,
  ExchangeRequest,
  ExplainReply,
  JobRow,
  JobRowExtras,
  ListReply,
  ListRequest,
  PutReply,
  Request,
  SettleExtras,
} from '../../persistence/durable/store.ts'
import type { SqliteDatabase } from '../../persistence/sqlite/file/database.ts'
import { Store } from '../../persistence/sqlite/store/store.ts'
import { temporaryUntilExit } from './temporary-folder.ts'

export const Database = createRequire(import.meta.url)('better-sqlite3') as new (path: string) => SqliteDatabase

export const wall = 1_000_000
export const keep: KeepPolicy = {
  finishedMs: 0,
  failedMs: 1_000,
  cancelledMs: 1_000,
  idsMs: 1_000,
  results: false,
  most: Infinity,
}

const folder = temporaryUntilExit('store')
let files = 0

/** A file of its own, which goes when the process ends. */
export function fileName(): string {
  files++
  return join(folder, `${files}.db`)
}

export interface Put {
  readonly payload?: string
  readonly id?: string
  readonly priority?: number
  readonly more?: JobRowExtras
}
export interface Ending {
  readonly seq: number
  readonly fence: number
  readonly kind?: SettleKind
  readonly more?: SettleExtras
}
/** What a request was refused with. */
export class Refused extends Error {
  readonly code: string
  readonly fields: Readonly<Record<string, unknown>>
  constructor(code: string, message: string, fields: Readonly<Record<string, unknown>>) {
    super(message)
    this.code = code
    this.fields = fields
  }
}

/** One process on a file: a Store, one queue of it, and the clock that it hands in. */
export class Process {
  static #made = 0
  readonly db: SqliteDatabase
  readonly store: Store
  readonly token: string
  now = 0
  wall: number = wall
  queue = 0
  #number = 0

  constructor(
    path = ':memory:',
    options: { readonly boot?: string; readonly token?: string; readonly file?: string } = {},
  ) {
    Process.#made++
    this.token = options.token ?? `worker ${Process.#made}`
    this.db = new Database(path)
    this.db.pragma('journal_mode = wal')
    this.db.pragma('busy_timeout = 5000')
    const { boot = 'boot', file } = options
    this.store = Store.open(this.db, { worker: this.token, boot, ...(file !== undefined && { file }) })
  }
  /** Both clocks go on. */
  pass(ms: number): this {
    this.now += ms
    this.wall += ms
    return this
  }
  ask(request: Request): unknown {
    const [answer] = this.store.exchange([request])
    if (!answer) throw new Error('no answer')
    if ('error' in answer) throw new Refused(answer.error.code, answer.error.message, answer.error.fields)
    return answer.ok
  }
  attach(parts: Partial<AttachRequest> = {}): AttachReply {
    const { now, wall: at } = this
    const declared = { rate: undefined, size: Infinity, keep, afterCrash: 'again', crashLimit: 3 } as const
    const attached = this.ask({
      kind: 'attach',
      name: 'q',
      works: true,
      ...declared,
      now,
      wall: at,
      ...parts,
    }) as AttachReply
    this.queue = attached.queue
    return attached
  }
  static #ids = 0
  put(jobs: readonly (string | Put)[], parts: { readonly size?: number } = {}): PutReply {
    const puts = jobs.map(job => (typeof job === 'string' ? { payload: job } : job))
    const { now, wall: at, queue } = this
    return this.ask({
      ...{ kind: 'put', queue, now, wall: at, size: Infinity },
      ids: puts.map(({ id }) => id ?? `made-${String(Process.#ids++).padStart(9, '0')}`),
      payloads: puts.map(({ payload }) => JSON.stringify(payload ?? null)),
      priorities: puts.some(({ priority }) => priority) ? puts.map(({ priority }) => priority ?? 0) : undefined,
      queuedAt: puts.map(() => at),
      more: puts.flatMap(({ more }, i) => (more ? [[i, more] as const] : [])),
      ...parts,
    }) as PutReply
  }
  turn(
    parts: Partial<Omit<ExchangeRequest, 'settled'>> & { readonly settled?: readonly Ending[] } = {},
  ): ExchangeReply {
    const { settled = [], ...rest } = parts
    const { now, wall: at, queue } = this
    return this.ask({
      ...{ kind: 'turn', queue, number: ++this.#number, acknowledged: 0, now, wall: at, room: 0, works: true },
      settled: {
        seqs: settled.map(({ seq }) => seq),
        fences: settled.map(({ fence }) => fence),
        kinds: settled.every(({ kind }) => kind === undefined)
          ? undefined
          : settled.map(({ kind }) => kind ?? 'finished'),
        startedAt: settled.map(() => at),
        stoppedAt: settled.map(() => at + 1),
        more: settled.flatMap(({ more }, i) => (more ? [[i, more] as const] : [])),
      },
      ...{
        mayLaunch: true,
        launched: [],
        launchReports: { seqs: [], fences: [], first: [] },
        spent: [],
        checkpoints: [],
        endedBodies: [],
      },
      ...rest,
    }) as ExchangeReply
  }
  /** The number of the turn before. */
  get number(): number {
    return this.#number
  }
  claim(room = 100): Ending[] {
    return endingsOf(this.turn({ room }))
  }
  /** Tells that the bodies of these run; `first`: that they are about to. */
  begin(jobs: readonly Ending[], first = false): ExchangeReply {
    const begun = { seqs: jobs.map(({ seq }) => seq), fences: jobs.map(({ fence }) => fence) }
    return this.turn({ launchReports: { ...begun, first: jobs.map(() => first) } })
  }
  /** Claims, and tells that the bodies run. */
  launch(room = 100): Ending[] {
    const jobs = this.claim(room)
    this.begin(jobs)
    return jobs
  }
  claimed(room = 100): unknown[] {
    return payloadsOf(this.turn({ room }))
  }
  control(command: CommandRequest['command']): CommandReply {
    const { queue, now, wall: at } = this
    return this.ask({ kind: 'control', queue, now, wall: at, command }) as CommandReply
  }
  find(target: number | string): JobRow | undefined {
    return this.store.query({ kind: 'find', queue: this.queue, target }) as JobRow | undefined
  }
  list(parts: Partial<ListRequest> = {}): readonly JobRow[] {
    return this.listStep(parts).rows
  }
  listStep(parts: Partial<ListRequest> = {}): ListReply {
    const query = { state: undefined, key: undefined, limit: 100, after: undefined }
    return this.store.query({ kind: 'list', queue: this.queue, ...query, ...parts }) as ListReply
  }
  explain(target: number | string): ExplainReply | undefined {
    const { queue, now, wall: at } = this
    return this.store.query({ kind: 'explain', queue, target, now, wall: at }) as ExplainReply | undefined
  }
  /** As when the process is killed: nothing is given back, and the kernel lets go of the file. */
  die(): void {
    this.db.close()
  }
  /** How many rows a table has. */
  rows(table: string): number {
    return this.db.prepare(`select count(*) from ${table}`).pluck().get() as number
  }
}

export function endingsOf({ claimed }: ExchangeReply): Ending[] {
  return claimed.seqs.map((seq, i) => ({ seq, fence: claimed.fences[i] as number }))
}
export function payloadsOf({ claimed }: ExchangeReply): unknown[] {
  return claimed.payloads.map(payload => JSON.parse(payload) as unknown)
}
/** One or more jobs, as the ends of their names: payloads of rows. */
export function namesOf(rows: readonly JobRow[]): unknown[] {
  return rows.map(({ payload }) => JSON.parse(payload) as unknown)
}
