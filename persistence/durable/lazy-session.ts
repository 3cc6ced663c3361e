/**
 * A queue without a handler under a name that nobody has put under, and no worker declared: it looks and makes nothing, so
 * that a misspelt name leaves no trace in the store. The first put makes the name, and so does a rate or a shared pause.
 */
import type {
  Answer,
  Changed,
  Command,
  Exchange,
  JobQuery,
  PutBatch,
  Shelf,
  StateCounts,
  Target,
  Turn,
  Waiting,
} from '../../lib/backlog.ts'
import { JobUnknownError } from '../../lib/errors.ts'
import type { JobRecord } from '../../lib/job.ts'
import type { RateRule } from '../../lib/rate/rate.ts'
import type { DurableSession } from './session.ts'

const nothingChanged: Changed = { changed: [], found: undefined, count: 0, asked: false }
const nothingToDo: Turn = {
  ...{ claimed: [], impossible: [], grants: undefined, graceUntil: Infinity, again: Infinity, precise: false },
  ...{ limited: undefined, held: false, news: undefined },
}

/** Hands on to the shelf once the name is there, by the same promises, and asks before whether it is. */
export class LazySession implements Shelf {
  readonly #shelf: DurableSession

  constructor(shelf: DurableSession) {
    this.#shelf = shelf
  }
  get counts(): Readonly<StateCounts> {
    return this.#shelf.counts
  }
  get rules(): readonly RateRule[] {
    return this.#shelf.rules
  }
  get held(): boolean {
    return this.#shelf.held
  }
  put(batch: PutBatch, now: number, wall: number): Promise<ReadonlyMap<JobRecord, JobRecord> | undefined> {
    const put = (): Promise<ReadonlyMap<JobRecord, JobRecord> | undefined> => this.#shelf.put(batch, now, wall)
    return this.#shelf.made ? put() : this.#shelf.takeUp(true).then(put)
  }
  turn(exchange: Exchange): Answer<Turn> {
    return this.#once(() => this.#shelf.turn(exchange), nothingToDo)
  }
  control(command: Command, now: number, wall: number): Promise<Changed> {
    const control = (): Promise<Changed> => this.#shelf.control(command, now, wall)
    const makes = command.kind === 'rate' || (command.kind === 'pause' && command.held)
    if (makes && !this.#shelf.made) return this.#shelf.takeUp(true).then(control)
    return this.#once(control, () => {
      if (command.kind !== 'retry' && command.kind !== 'reprioritize') return nothingChanged
      throw unknown(command.target)
    })
  }
  find(target: Target): Promise<JobRecord | undefined> {
    return this.#once(() => this.#shelf.find(target), undefined)
  }
  list(query: JobQuery): Promise<readonly JobRecord[]> {
    return this.#once(
      () => this.#shelf.list(query),
      () => {
        if (query.after !== undefined) throw unknown(query.after)
        return []
      },
    )
  }
  explain(target: Target, now: number, wall: number): Promise<Waiting | undefined> {
    return this.#once(() => this.#shelf.explain(target, now, wall), undefined)
  }
  hold(record: JobRecord): JobRecord {
    return this.#shelf.hold(record)
  }
  asOf(record: JobRecord): number | undefined {
    return this.#shelf.asOf(record)
  }
  close(): Promise<void> {
    return this.#shelf.close()
  }
  /** Asks the shelf, if the name is there by now. */
  #once<T>(ask: () => Promise<T>, otherwise: T | (() => T)): Promise<T> {
    if (this.#shelf.made) return ask()
    const none = (): T => (typeof otherwise === 'function' ? (otherwise as () => T)() : otherwise)
    return this.#shelf.takeUp(false).then(made => (made ? ask() : none()))
  }
}

function unknown(target: Target): JobUnknownError {
  return new JobUnknownError(typeof target === 'string' ? target : target.id)
}
