/** The line between one session and a remote backlog: messages may be late, together, reordered, or lost. */
import type { MaybePromise } from '../lib/backlog.ts'
import type { Clock } from '../lib/clock.ts'
import { OutcomeUnknownError } from '../lib/errors.ts'

export interface RemoteBacklogOptions {
  /** Chooses every delay and fault; 1. */
  readonly seed?: number | undefined
  /**
   * One in this many connections breaks before it has delivered its replies, which then come later; never by default.
   */
  readonly losesOneIn?: number | undefined
  /** One in this many exchanges rejects and changes nothing; none by default. */
  readonly refusesOneIn?: number | undefined
  /**
   * Of the puts and commands whose reply was lost, one in this many rejects with OutcomeUnknownError, executed or not;
   * none by default.
   */
  readonly forgetsOneIn?: number | undefined
}

/** Counters of what happened, so that no test passes because nothing did. */
export interface RemoteBacklogFacts {
  /** The most exchanges of one session that were in flight together. */
  together: number
  /** Exchanges that took effect before a put that had been made before them. */
  overtook: number
  lostReplies: number
  refused: number
  forgotten: number
}

/** Mulberry32: the same numbers for the same seed. */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end)
  }
  oneIn(times: number | undefined): boolean {
    return times !== undefined && this.below(times) === 0
  }
}

/** The kind of a request. */
export type Kind = 'exchange' | 'put' | 'command' | 'other'

interface Request {
  readonly kind: Kind
  readonly ids: () => readonly string[]
  /** Lets the request take effect. The function that this returns is called when the reply arrives. */
  take(): MaybePromise<() => void>
  reject(error: unknown): void
}

/**
 * The line of one session to its backlog and back: requests take effect one after the other, and are answered in that
 * order.
 */
export class Line {
  readonly #clock: Clock
  readonly #chance: Chance
  readonly #options: RemoteBacklogOptions
  readonly #facts: RemoteBacklogFacts
  readonly #requests: Request[] = []
  readonly #replies: (() => void)[] = []
  #serves = false
  #delivers = false
  #exchanges = 0

  constructor(clock: Clock, chance: Chance, options: RemoteBacklogOptions, facts: RemoteBacklogFacts) {
    this.#clock = clock
    this.#chance = chance
    this.#options = options
    this.#facts = facts
  }
  /**
   * @param read Reads the result of the request; the function that it returns is called in the step in which the reply
   * arrives.
   */
  send<Far, Near>(
    kind: Kind,
    request: () => MaybePromise<Far>,
    read: (far: Far) => () => Near,
    ids: () => readonly string[] = () => [],
  ): Promise<Near> {
    if (kind === 'exchange') this.#facts.together = Math.max(this.#facts.together, ++this.#exchanges)
    const answer = new Promise<Near>((resolve, reject) => {
      const over = (settle: () => void) => (): void => {
        if (kind === 'exchange') this.#exchanges--
        settle()
      }
      const take = async (): Promise<() => void> => {
        try {
          const arrive = read(await request())
          return over(() => resolve(arrive()))
        } catch (error) {
          return over(() => reject(error))
        }
      }
      this.#requests.push({ kind, ids, take, reject: error => over(() => reject(error))() })
      if (!this.#serves) void this.#serve()
    })
    this.#clock.outside?.(answer.catch(() => {}))
    return answer
  }
  /** Waits some microtasks, or some turns of the loop. */
  async transit(longest = 3): Promise<void> {
    const hops = this.#chance.below(3)
    for (let i = 0; i < hops; i++) await undefined
    const turns = this.#chance.below(longest + 1)
    for (let i = 0; i < turns; i++) await new Promise<void>(resolve => this.#clock.soon(resolve))
  }
  async #serve(): Promise<void> {
    this.#serves = true
    while (this.#requests.length > 0) {
      await this.transit()
      // Several requests together, as one transaction would execute them.
      for (let left = 1 + this.#chance.below(this.#requests.length); left > 0; left--) await this.#serveOne()
    }
    this.#serves = false
  }
  async #serveOne(): Promise<void> {
    const request = this.#next()
    const { kind } = request
    if (kind === 'exchange' && this.#chance.oneIn(this.#options.refusesOneIn)) {
      this.#facts.refused++
      return this.#reply(() => request.reject(new Error('the connection broke, and nothing was stored')))
    }
    const isLost = this.#chance.oneIn(this.#options.losesOneIn)
    if (isLost) {
      this.#facts.lostReplies++
      // Waits for a new connection. Whether the request was executed before is found out; it is executed once.
      if (this.#chance.below(2) === 0) await this.transit(8)
      if ((kind === 'put' || kind === 'command') && this.#chance.oneIn(this.#options.forgetsOneIn)) {
        this.#facts.forgotten++
        if (this.#chance.below(2) === 0) await request.take()
        const what = kind === 'put' ? 'the jobs were stored' : 'the change was made'
        return this.#reply(() => request.reject(new OutcomeUnknownError(what, request.ids(), {})))
      }
    }
    const arrive = await request.take()
    if (isLost) await this.transit(8)
    this.#reply(arrive)
  }
  /** An exchange may take effect before puts that were made before it, but not before earlier exchanges. */
  #next(): Request {
    const requests = this.#requests
    if (requests[0]?.kind === 'put' && this.#chance.below(4) === 0) {
      const exchange = requests.findIndex(({ kind }) => kind !== 'put')
      if (requests[exchange]?.kind === 'exchange') {
        this.#facts.overtook++
        return requests.splice(exchange, 1)[0] as Request
      }
    }
    return requests.shift() as Request
  }
  #reply(arrive: () => void): void {
    this.#replies.push(arrive)
    if (!this.#delivers) void this.#deliver()
  }
  async #deliver(): Promise<void> {
    this.#delivers = true
    while (this.#replies.length > 0) {
      await this.transit()
      // Several replies in one step, as one message would bring them.
      for (const arrive of this.#replies.splice(0, 1 + this.#chance.below(this.#replies.length))) arrive()
    }
    this.#delivers = false
  }
}
