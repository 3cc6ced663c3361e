/** Shorthand for tests of a store: each client is one worker; two clients on one database are two processes. */
import type { KeepPolicy, SettleKind } from '../../lib/backlog.ts'
import type {
  Answered,
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
  Store,
} from '../../persistence/durable/store.ts'

/** What a suite needs from the stores that it tests. */
export interface StoreSubject {
  /** A new database that nothing else uses. */
  database(): StoreDatabase | Promise<StoreDatabase>
}
export interface StoreDatabase {
  /** Opens it as a process would. A token that was used before belongs to a worker that restarts. */
  open(worker: string): OpenStore | Promise<OpenStore>
}
export interface OpenStore {
  readonly store: Omit<Store, 'onChange'>
  /** Same as when the process is killed: nothing is returned. */
  die(): void | Promise<void>
  /** From now on each commit of this worker fails, until the returned function is called. */
  breakCommits(): () => void
  /** Whether the store has reported a change ({@link Store.onChange}) since the last call. */
  changed(): boolean | Promise<boolean>
}

export const wall = 1_000_000
export const keep: KeepPolicy = {
  finishedMs: 0,
  failedMs: 1_000,
  cancelledMs: 1_000,
  idsMs: 1_000,
  results: false,
  most: Infinity,
}
export const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }

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
export interface TurnParts extends Partial<Omit<ExchangeRequest, 'settled'>> {
  readonly settled?: readonly Ending[]
}
/** The error with which a request was refused. */
export class Refused extends Error {
  static override readonly name: string = 'Refused'
  readonly code: string
  readonly fields: Readonly<Record<string, unknown>>
  constructor(code: string, message: string, fields: Readonly<Record<string, unknown>>) {
    super(message)
    this.code = code
    this.fields = fields
  }
}

/** A database under test. It numbers the workers that open it. */
export class Workers {
  static #opened = 0
  readonly #database: StoreDatabase

  private constructor(database: StoreDatabase) {
    this.#database = database
  }
  static async of(subject: StoreSubject): Promise<Workers> {
    return new Workers(await subject.database())
  }
  async open(token?: string): Promise<StoreClient> {
    Workers.#opened++
    const worker = token ?? `worker ${Workers.#opened}`
    return new StoreClient(await this.#database.open(worker), worker)
  }
  /** Opens it and attaches the queue 'q'. */
  async attach(parts: Partial<AttachRequest> = {}, token?: string): Promise<StoreClient> {
    const client = await this.open(token)
    await client.attach(parts)
    return client
  }
  /** A process launches the jobs it finds and dies, and `by` recovers it. Resolves with the jobs that it ran. */
  async crash(by: StoreClient, parts: Partial<AttachRequest> = {}, room: number = 100): Promise<Ending[]> {
    const dying = await this.open()
    Object.assign(dying, { now: by.now, wall: by.wall })
    await dying.attach(parts)
    const jobs = await dying.launch(room)
    await dying.die()
    await by.recover(dying)
    return jobs
  }
}

/** The only worker of a database, with the queue 'q'. */
export async function oneWorker(subject: StoreSubject, parts: Partial<AttachRequest> = {}): Promise<StoreClient> {
  return await (await Workers.of(subject)).attach(parts)
}

/** One process with a database open: a Store, one queue of it, and the clocks that it passes. */
export class StoreClient {
  readonly store: Omit<Store, 'onChange'>
  readonly token: string
  readonly #opened: OpenStore
  now = 0
  wall: number = wall
  queue = 0
  #number = 0

  constructor(opened: OpenStore, token: string) {
    this.store = opened.store
    this.token = token
    this.#opened = opened
  }
  /** Advances both clocks. */
  pass(ms: number): this {
    this.now += ms
    this.wall += ms
    return this
  }
  async exchange(...requests: readonly Request[]): Promise<readonly Answered[]> {
    return await this.store.exchange(requests)
  }
  async ask(request: Request): Promise<unknown> {
    const [answer] = await this.exchange(request)
    if (!answer) throw new Error('no answer')
    if ('error' in answer) throw new Refused(answer.error.code, answer.error.message, answer.error.fields)
    return answer.ok
  }
  async attach(parts: Partial<AttachRequest> = {}): Promise<AttachReply> {
    const { now, wall } = this
    const declared = { rate: undefined, size: Infinity, keep, afterCrash: 'again', crashLimit: 3 } as const
    const attached = (await this.ask({
      kind: 'attach',
      name: 'q',
      works: true,
      ...declared,
      now,
      wall,
      ...parts,
    })) as AttachReply
    this.queue = attached.queue
    return attached
  }
  /** The queue object is gone. */
  async detach(
    parts: { readonly works?: boolean; readonly keepLeases?: boolean; readonly acknowledged?: number } = {},
  ): Promise<void> {
    const { queue } = this
    await this.ask({ kind: 'detach', queue, works: true, keepLeases: false, ...parts })
  }
  static #ids = 0
  putRequest(jobs: readonly (string | Put)[], size: number = Infinity): Request {
    const puts = jobs.map(job => (typeof job === 'string' ? { payload: job } : job))
    const { now, wall, queue } = this
    return {
      ...{ kind: 'put', queue, now, wall, size },
      ids: puts.map(({ id }) => id ?? `made-${String(StoreClient.#ids++).padStart(9, '0')}`),
      payloads: puts.map(({ payload }) => JSON.stringify(payload ?? null)),
      priorities: puts.some(({ priority }) => priority) ? puts.map(({ priority }) => priority ?? 0) : undefined,
      queuedAt: puts.map(() => wall),
      more: puts.flatMap(({ more }, i) => (more ? [[i, more] as const] : [])),
    }
  }
  async put(jobs: readonly (string | Put)[], { size }: { readonly size?: number } = {}): Promise<PutReply> {
    return (await this.ask(this.putRequest(jobs, size))) as PutReply
  }
  turnRequest(parts: TurnParts = {}): ExchangeRequest {
    const { settled = [], ...rest } = parts
    const { now, wall, queue } = this
    return {
      ...{ kind: 'turn', queue, number: ++this.#number, acknowledged: 0, now, wall, room: 0, works: true },
      settled: {
        seqs: settled.map(({ seq }) => seq),
        fences: settled.map(({ fence }) => fence),
        kinds: settled.every(({ kind }) => kind === undefined)
          ? undefined
          : settled.map(({ kind }) => kind ?? 'finished'),
        startedAt: settled.map(() => wall),
        stoppedAt: settled.map(() => wall + 1),
        more: settled.flatMap(({ more }, i) => (more ? [[i, more] as const] : [])),
      },
      ...{ mayLaunch: true, launched: [], spent: [], checkpoints: [], endedBodies: [] },
      launchReports: { seqs: [], fences: [], first: [] },
      ...rest,
    }
  }
  async turn(parts: TurnParts = {}): Promise<ExchangeReply> {
    return (await this.ask(this.turnRequest(parts))) as ExchangeReply
  }
  /** The number of the turn before. */
  get number(): number {
    return this.#number
  }
  async claim(room = 100): Promise<Ending[]> {
    return endingsOf(await this.turn({ room }))
  }
  /** Reports that the bodies of these jobs run; `first`: that they are about to. */
  async begin(jobs: readonly Ending[], first = false): Promise<ExchangeReply> {
    const begun = { seqs: jobs.map(({ seq }) => seq), fences: jobs.map(({ fence }) => fence) }
    return await this.turn({ launchReports: { ...begun, first: jobs.map(() => first) } })
  }
  /** Claims jobs, and reports that their bodies run. */
  async launch(room = 100): Promise<Ending[]> {
    const jobs = await this.claim(room)
    await this.begin(jobs)
    return jobs
  }
  async claimed(room = 100): Promise<unknown[]> {
    return payloadsOf(await this.turn({ room }))
  }
  async control(command: CommandRequest['command']): Promise<CommandReply> {
    const { queue, now, wall } = this
    return (await this.ask({ kind: 'control', queue, now, wall, command })) as CommandReply
  }
  async find(target: number | string): Promise<JobRow | undefined> {
    return (await this.store.query({ kind: 'find', queue: this.queue, target })) as JobRow | undefined
  }
  async list(parts: Partial<ListRequest> = {}): Promise<readonly JobRow[]> {
    return (await this.listStep(parts)).rows
  }
  async listStep(parts: Partial<ListRequest> = {}): Promise<ListReply> {
    const query = { state: undefined, key: undefined, limit: 100, after: undefined }
    return (await this.store.query({ kind: 'list', queue: this.queue, ...query, ...parts })) as ListReply
  }
  async explain(target: number | string): Promise<ExplainReply | undefined> {
    const { queue, now, wall } = this
    return (await this.store.query({ kind: 'explain', queue, target, now, wall })) as ExplainReply | undefined
  }
  async workers(): Promise<readonly string[]> {
    return await this.store.workers()
  }
  async recover(dead: StoreClient | string): Promise<readonly number[]> {
    return await this.store.recover(typeof dead === 'string' ? dead : dead.token, this.now, this.wall)
  }
  async surrender(): Promise<void> {
    await this.store.surrender(this.now, this.wall)
  }
  async close(): Promise<boolean> {
    return await this.store.close()
  }
  async die(): Promise<void> {
    await this.#opened.die()
  }
  breakCommits(): () => void {
    return this.#opened.breakCommits()
  }
  async changed(): Promise<boolean> {
    return await this.#opened.changed()
  }
}

export function endingsOf({ claimed }: ExchangeReply): Ending[] {
  return claimed.seqs.map((seq, i) => ({ seq, fence: claimed.fences[i] as number }))
}
export function payloadsOf({ claimed }: ExchangeReply): unknown[] {
  return claimed.payloads.map(payload => JSON.parse(payload) as unknown)
}
/** The payloads of rows. */
export function namesOf(rows: readonly JobRow[]): unknown[] {
  return rows.map(({ payload }) => JSON.parse(payload) as unknown)
}
