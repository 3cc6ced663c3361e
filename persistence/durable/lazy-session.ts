/**
 * The session of a queue without a handler whose name does not exist in the store yet. It only queries, so that a
 * misspelt name leaves no trace in the store. The first put, setting or shared pause creates the name.
 */
import type {
  BacklogSession,
  Command,
  CommandResult,
  Exchange,
  ExchangeResult,
  JobQuery,
  JobRef,
  KeyReport,
  KeysQuery,
  MaybePromise,
  Overridden,
  PutBatch,
  StateCounts,
  WaitReason,
} from '../../lib/backlog.ts'
import { JobUnknownError } from '../../lib/errors.ts'
import type { JobRecord } from '../../lib/job.ts'
import type { RateRule } from '../../lib/rate/rules.ts'
import type { DurableSession } from './session.ts'

const nothingChanged: CommandResult = { changed: [], found: undefined, count: 0, unchangedBecause: undefined }
const nothingToDo: ExchangeResult = {
  ...{
    claimed: [],
    endedUnrun: [],
    grants: undefined,
    graceUntil: Infinity,
    nextLookAt: Infinity,
    nextLookExact: false,
  },
  ...{ limited: undefined, sharedPaused: false, notices: undefined },
}

/** Forwards calls once the name exists, with the same promises. Until then it checks first whether it does. */
export class LazySession implements BacklogSession {
  readonly #session: DurableSession

  constructor(session: DurableSession) {
    this.#session = session
  }
  get counts(): Readonly<StateCounts> {
    return this.#session.counts
  }
  get rules(): readonly RateRule[] {
    return this.#session.rules
  }
  get replaced(): BacklogSession['replaced'] {
    return this.#session.replaced
  }
  get globalWidth(): number {
    return this.#session.globalWidth
  }
  get overridden(): Overridden | undefined {
    return this.#session.overridden
  }
  get keys(): BacklogSession['keys'] {
    return this.#session.keys
  }
  get sharedPaused(): boolean {
    return this.#session.sharedPaused
  }
  put(batch: PutBatch, now: number, wall: number): Promise<ReadonlyMap<JobRecord, JobRecord> | undefined> {
    const put = (): Promise<ReadonlyMap<JobRecord, JobRecord> | undefined> => this.#session.put(batch, now, wall)
    return this.#session.exists ? put() : this.#session.reattach(false).then(put)
  }
  exchange(exchange: Exchange): MaybePromise<ExchangeResult> {
    return this.#whenExists(() => this.#session.exchange(exchange), nothingToDo)
  }
  command(command: Command, now: number, wall: number): Promise<CommandResult> {
    const send = (): Promise<CommandResult> => this.#session.command(command, now, wall)
    // A session answers it by itself: a stop needs no store.
    if (command.kind === 'return') return send()
    const { kind } = command
    const makes = kind === 'rate' || kind === 'globalWidth' || kind === 'key' || (kind === 'pause' && command.paused)
    if (makes && !this.#session.exists) return this.#session.reattach(false).then(send)
    return this.#whenExists(send, () => {
      if (kind !== 'retry' && kind !== 'reprioritize') return nothingChanged
      throw unknown(command.target)
    })
  }
  find(target: JobRef): Promise<JobRecord | undefined> {
    return this.#whenExists(() => this.#session.find(target), undefined)
  }
  list(query: JobQuery): Promise<readonly JobRecord[]> {
    return this.#whenExists(
      () => this.#session.list(query),
      () => {
        if (query.after !== undefined) throw unknown(query.after)
        return []
      },
    )
  }
  explain(target: JobRef, now: number, wall: number): Promise<WaitReason | undefined> {
    return this.#whenExists(() => this.#session.explain(target, now, wall), undefined)
  }
  listKeys(query: KeysQuery, now: number, wall: number): Promise<readonly KeyReport[]> {
    return this.#whenExists(() => this.#session.listKeys(query, now, wall), [])
  }
  follow(record: JobRecord): JobRecord {
    return this.#session.follow(record)
  }
  asOf(record: JobRecord): number | undefined {
    return this.#session.asOf(record)
  }
  close(): Promise<void> {
    return this.#session.close()
  }
  /** Calls the session if the name exists by now. */
  #whenExists<T>(request: () => Promise<T>, otherwise: T | (() => T)): Promise<T> {
    if (this.#session.exists) return request()
    const none = (): T => (typeof otherwise === 'function' ? (otherwise as () => T)() : otherwise)
    return this.#session.reattach(true).then(made => (made ? request() : none()))
  }
}

function unknown(target: JobRef): JobUnknownError {
  return new JobUnknownError(typeof target === 'string' ? target : target.id)
}
