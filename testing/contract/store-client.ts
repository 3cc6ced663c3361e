/** Shorthand for tests of a store: each client is one worker; two clients on one database are two processes. */
import type {
  AttachReply,
  AttachRequest,
  CommandReply,
  CommandRequest,
  DetachRequest,
  ExchangeReply,
  ExplainReply,
  JobRow,
  ListReply,
  ListRequest,
  PutReplay,
  PutReply,
  PutRequest,
  Request,
  RequestResult,
  Store,
} from '../../persistence/durable/store.ts'
import {
  type Ending,
  type ExchangeParts,
  endingsOf,
  launchReportsOf,
  type Put,
  payloadsOf,
  replyOf,
  StoreRequests,
} from './store-requests.ts'

/** The stores that a suite tests. */
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
export class StoreClient extends StoreRequests {
  readonly store: Omit<Store, 'onChange'>
  readonly token: string
  readonly #opened: OpenStore

  constructor(opened: OpenStore, token: string) {
    super()
    this.store = opened.store
    this.token = token
    this.#opened = opened
  }
  async transact(...requests: readonly Request[]): Promise<readonly RequestResult[]> {
    return await this.store.transact(requests)
  }
  async send(request: Request): Promise<unknown> {
    const [answer] = await this.transact(request)
    return replyOf(answer)
  }
  async attach(parts: Partial<AttachRequest> = {}): Promise<AttachReply> {
    const attached = (await this.send(this.attachRequest(parts))) as AttachReply
    this.queue = attached.queue
    return attached
  }
  /** The queue object is gone. */
  async detach(parts: Partial<DetachRequest> = {}): Promise<void> {
    await this.send(this.detachRequest(parts))
  }
  /** The reply to that put, if it was committed. */
  async replay({ number }: PutRequest): Promise<PutReplay | undefined> {
    return (await this.store.query({ kind: 'replay', queue: this.queue, number })) as PutReplay | undefined
  }
  async put(jobs: readonly (string | Put)[], { size }: { readonly size?: number } = {}): Promise<PutReply> {
    return (await this.send(this.putRequest(jobs, size))) as PutReply
  }
  async exchange(parts: ExchangeParts = {}): Promise<ExchangeReply> {
    return (await this.send(this.exchangeRequest(parts))) as ExchangeReply
  }
  async claim(room = 100): Promise<Ending[]> {
    return endingsOf(await this.exchange({ room }))
  }
  /** Reports that the bodies of these jobs run; `first`: that they are about to. */
  async begin(jobs: readonly Ending[], first = false): Promise<ExchangeReply> {
    return await this.exchange({ launchReports: launchReportsOf(jobs, first) })
  }
  /** Claims jobs, and reports that their bodies run. */
  async launch(room = 100): Promise<Ending[]> {
    const jobs = await this.claim(room)
    await this.begin(jobs)
    return jobs
  }
  async claimed(room = 100): Promise<unknown[]> {
    return payloadsOf(await this.exchange({ room }))
  }
  async command(command: CommandRequest['command']): Promise<CommandReply> {
    return (await this.send(this.commandRequest(command))) as CommandReply
  }
  async find(target: number | string): Promise<JobRow | undefined> {
    return (await this.store.query(this.findRequest(target))) as JobRow | undefined
  }
  async list(parts: Partial<ListRequest> = {}): Promise<readonly JobRow[]> {
    return (await this.listStep(parts)).rows
  }
  async listStep(parts: Partial<ListRequest> = {}): Promise<ListReply> {
    return (await this.store.query(this.listRequest(parts))) as ListReply
  }
  async explain(target: number | string): Promise<ExplainReply | undefined> {
    return (await this.store.query(this.explainRequest(target))) as ExplainReply | undefined
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
