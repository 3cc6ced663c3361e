/**
 * The values that a setting may have. Several processes may set it, and a request takes effect at an instant between the
 * call and the reply, or perhaps never if its process dies.
 */
import type { Entry } from '../entry.ts'

/** One request for a value. */
interface Request<T> {
  readonly value: T
  readonly seq: number
  readonly process: string
  /** The call whose reply shows that it is in force. Undefined: any reply to its process does. */
  readonly call: number | undefined
  /** The reply. */
  done: Entry | undefined
  /** It was refused, so it may or may not be in force. */
  refused: boolean
  /** From this entry on it can no longer take effect, because its process is dead. */
  deadSeq: number
}

/** Replies that a queue gets from its backlog. Each proves that the backlog has what the queue declared. */
function provesContact(entry: Entry): boolean {
  if (entry.kind === 'answered') return entry.of !== 'stop' && entry.of !== 'idle' && entry.of !== 'pause'
  return entry.kind === 'accepted' || entry.kind === 'launch'
}

export class Requested<T> {
  readonly #requests: Request<T>[] = []
  /** Requests that have no reply yet. */
  #open: Request<T>[] = []

  /** @param initial The value before any request. */
  constructor(initial: T) {
    const never = { process: '', call: undefined, refused: false, deadSeq: 0 }
    this.#requests.push({ value: initial, seq: 0, done: undefined, ...never })
  }
  /** The value that was requested last. */
  get latest(): T {
    return (this.#requests.at(-1) as Request<T>).value
  }
  /** All values that were ever requested, and the initial one. */
  get all(): readonly T[] {
    return this.#requests.map(({ value }) => value)
  }
  /** @param call Undefined for a declaration, which has no reply of its own. */
  note({ seq, process }: Entry, value: T, call: number | undefined): void {
    const request = { value, seq, process, call, done: undefined, refused: false, deadSeq: Infinity }
    this.#requests.push(request)
    this.#open.push(request)
  }
  /** Follows replies and deaths. */
  take(entry: Entry): void {
    if (this.#open.length === 0) return
    for (const request of this.#open) {
      if (request.process !== entry.process) continue
      const isReply = request.call === undefined ? provesContact(entry) : 'call' in entry && entry.call === request.call
      if (entry.kind === 'crash') request.deadSeq = entry.seq
      else if (isReply && entry.kind === 'refused') request.refused = true
      else if (isReply && (entry.kind === 'answered' || request.call === undefined)) request.done = entry
    }
    this.#open = this.#open.filter(({ done, refused, deadSeq }) => !done && !refused && deadSeq === Infinity)
  }
  /**
   * The process reads this value at this entry. Requests for it by other processes are in force by then. One of its own
   * for another value was refused, because a process reads what it has requested until then.
   */
  shown(at: Entry, value: T): void {
    for (const request of this.#open) {
      if (request.process === at.process) request.refused = request.value !== value
      else if (request.value === value) request.done = at
    }
    this.#open = this.#open.filter(({ done, refused }) => !done && !refused)
  }
  /**
   * The values one of which was in force when a job was granted that starts at this entry. Requests of its own process
   * hold from the call on, because no job that was granted before starts after it.
   */
  possible(at: Entry, slackMs: number): T[] {
    const holds = (request: Request<T>): boolean => {
      if (request.process === at.process && request.seq < at.seq && !request.refused) return true
      return request.done !== undefined && request.done.nowMs + slackMs < at.nowMs
    }
    const left = this.#requests.filter(
      (request, i) => !this.#requests.some((other, k) => k > i && holds(other) && comesAfter(other, request)),
    )
    return left.map(({ value }) => value)
  }
  /** Since when it is certainly the value that was requested last; Infinity: it may be another. */
  get settledAt(): number {
    const last = this.#requests.at(-1) as Request<T>
    if (this.#requests.length === 1) return -Infinity
    const isLast = this.#requests.every(request => request === last || comesAfter(last, request))
    return isLast && last.done ? last.done.nowMs : Infinity
  }
}

/** Whether the request certainly took effect after that other one, if both did. */
function comesAfter(later: Request<unknown>, earlier: Request<unknown>): boolean {
  return later.process === earlier.process || (earlier.done?.seq ?? Infinity) < later.seq || earlier.deadSeq < later.seq
}
