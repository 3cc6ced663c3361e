/**
 * A backlog that seems to be a network away, for tests: it wraps another one and delays, gathers, splits, overtakes and
 * repeats in every way that the contract of backlogs allows (lib/backlog.ts). A seed chooses.
 *
 * A queue that is right on it relies on nothing but the contract. It takes turns of the event loop and no time, so it runs
 * under a clock that stands still.
 */
import type {
  Answer,
  Backlog,
  Changed,
  Command,
  Declaration,
  Exchange,
  JobQuery,
  PutBatch,
  Shelf,
  StateCounts,
  Target,
  Turn,
  Waiting,
} from '../lib/backlog.ts'
import type { Clock } from '../lib/clock.ts'
import { OutcomeUnknownError } from '../lib/errors.ts'
import { MemoryBacklog } from '../lib/index.ts'
import type { JobRecord } from '../lib/job.ts'
import type { RateRule } from '../lib/rate.ts'

export interface RemoteBacklogOptions {
  /** Chooses every delay and fault: 1. */
  readonly seed?: number
  /** One connection in so many breaks before it has delivered its replies, which then come later; never. */
  readonly losesOneIn?: number
  /** One exchange in so many rejects, and takes nothing; none. */
  readonly refusesOneIn?: number
  /** Of the puts and commands whose reply was lost, one in so many rejects with OutcomeUnknownError, done or not; none. */
  readonly forgetsOneIn?: number
}

/** What has happened, for tests that must not pass because nothing did. */
export interface RemoteBacklogFacts {
  /** Exchanges of one session that were in flight together, at most. */
  together: number
  /** Exchanges that took effect before a put that had been made before them. */
  overtook: number
  lost: number
  refused: number
  forgotten: number
}

/** Mulberry32: the same numbers for the same seed. */
class Chance {
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

export class RemoteBacklog implements Backlog {
  readonly durable: boolean
  readonly strict: boolean
  readonly facts: RemoteBacklogFacts = { together: 0, overtook: 0, lost: 0, refused: 0, forgotten: 0 }
  readonly #backlog: Backlog
  readonly #options: RemoteBacklogOptions
  readonly #chance: Chance

  /** @param backlog The one that it wraps: a MemoryBacklog. */
  constructor(backlog: Backlog = new MemoryBacklog(), options: RemoteBacklogOptions = {}) {
    this.#backlog = backlog
    this.#options = options
    this.#chance = new Chance(options.seed ?? 1)
    this.durable = backlog.durable
    this.strict = backlog.strict
  }
  async attach(declaration: Declaration): Promise<Shelf> {
    const line = new Line(declaration.clock, this.#chance, this.#options, this.facts)
    const wake = (): void => void line.transit().then(declaration.wake)
    const shelf = await this.#backlog.attach({ ...declaration, wake })
    return new RemoteShelf(shelf, line)
  }
}

type Kind = 'turn' | 'put' | 'control' | 'other'

interface Request {
  readonly kind: Kind
  readonly ids: () => readonly string[]
  /** Lets it take effect. What that answers is called when the reply arrives. */
  take(): Answer<() => void>
  reject(error: unknown): void
}

/** The way of one session to its backlog and back: requests take effect one after the other, and are answered in that order. */
class Line {
  readonly #clock: Clock
  readonly #chance: Chance
  readonly #options: RemoteBacklogOptions
  readonly #facts: RemoteBacklogFacts
  readonly #requests: Request[] = []
  readonly #replies: (() => void)[] = []
  #serves = false
  #delivers = false
  #turns = 0

  constructor(clock: Clock, chance: Chance, options: RemoteBacklogOptions, facts: RemoteBacklogFacts) {
    this.#clock = clock
    this.#chance = chance
    this.#options = options
    this.#facts = facts
  }
  /** @param done Called with what was answered, in the step in which the reply arrives. */
  send<T>(
    kind: Kind,
    ask: () => Answer<T>,
    arrived: () => () => void,
    ids: () => readonly string[] = () => [],
  ): Promise<T> {
    if (kind === 'turn') this.#facts.together = Math.max(this.#facts.together, ++this.#turns)
    const answer = new Promise<T>((resolve, reject) => {
      const over = (settle: () => void) => (): void => {
        if (kind === 'turn') this.#turns--
        settle()
      }
      const take = async (): Promise<() => void> => {
        try {
          const answered = await ask()
          const arrive = arrived()
          return over(() => {
            arrive()
            resolve(answered)
          })
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
  /** Some microtasks, or some turns of the loop. */
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
      // Some of them together, as one transaction would.
      for (let left = 1 + this.#chance.below(this.#requests.length); left > 0; left--) await this.#serveOne()
    }
    this.#serves = false
  }
  async #serveOne(): Promise<void> {
    const request = this.#next()
    const { kind } = request
    if (kind === 'turn' && this.#chance.oneIn(this.#options.refusesOneIn)) {
      this.#facts.refused++
      return this.#reply(() => request.reject(new Error('the connection broke, and nothing was stored')))
    }
    const isLost = this.#chance.oneIn(this.#options.losesOneIn)
    if (isLost) {
      this.#facts.lost++
      // Until there is a new connection. Whether the request was done before is found out; it is done once.
      if (this.#chance.below(2) === 0) await this.transit(8)
      if ((kind === 'put' || kind === 'control') && this.#chance.oneIn(this.#options.forgetsOneIn)) {
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
  /** An exchange may take effect before puts that were made before it, but for those of its own order. */
  #next(): Request {
    const requests = this.#requests
    if (requests[0]?.kind === 'put' && this.#chance.below(4) === 0) {
      const turn = requests.findIndex(({ kind }) => kind !== 'put')
      if (requests[turn]?.kind === 'turn') {
        this.#facts.overtook++
        return requests.splice(turn, 1)[0] as Request
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
      // Some of them in one step, as one message would bring them.
      for (const arrive of this.#replies.splice(0, 1 + this.#chance.below(this.#replies.length))) arrive()
    }
    this.#delivers = false
  }
}

class RemoteShelf implements Shelf {
  readonly #shelf: Shelf
  readonly #line: Line
  counts: Readonly<StateCounts>
  rules: readonly RateRule[]
  held: boolean
  readonly bodies?: () => number
  readonly hold?: (record: JobRecord) => JobRecord
  readonly asOf?: (record: JobRecord) => number | undefined
  readonly finishWithin?: NonNullable<Shelf['finishWithin']>

  constructor(shelf: Shelf, line: Line) {
    this.#shelf = shelf
    this.#line = line
    this.counts = { ...shelf.counts }
    this.rules = shelf.rules
    this.held = shelf.held
    if (shelf.bodies) this.bodies = shelf.bodies.bind(shelf)
    if (shelf.hold) this.hold = shelf.hold.bind(shelf)
    if (shelf.asOf) this.asOf = shelf.asOf.bind(shelf)
    if (shelf.finishWithin) this.finishWithin = shelf.finishWithin.bind(shelf)
  }
  put(batch: PutBatch, now: number, wall: number): Promise<ReadonlyMap<JobRecord, JobRecord> | undefined> {
    const records = [...batch]
    const ids = (): readonly string[] => records.map(({ id }) => id)
    return this.#line.send('put', () => this.#shelf.put(records, now, wall), this.#read, ids)
  }
  turn(exchange: Exchange): Promise<Turn> {
    return this.#send(() => this.#shelf.turn(exchange), 'turn')
  }
  control(command: Command, now: number, wall: number): Promise<Changed> {
    return this.#send(() => this.#shelf.control(command, now, wall), 'control')
  }
  find(target: Target): Promise<JobRecord | undefined> {
    return this.#send(() => this.#shelf.find(target))
  }
  list(query: JobQuery): Promise<readonly JobRecord[]> {
    return this.#send(() => this.#shelf.list(query))
  }
  explain(target: Target, now: number, wall: number): Promise<Waiting | undefined> {
    return this.#send(() => this.#shelf.explain(target, now, wall))
  }
  close(): Promise<void> {
    return this.#send(() => this.#shelf.close())
  }
  #send<T>(ask: () => Answer<T>, kind: Kind = 'other'): Promise<T> {
    return this.#line.send(kind, ask, this.#read)
  }
  /** What is so when the request has taken effect, and is known here when its reply arrives. */
  readonly #read = (): (() => void) => {
    const { rules, held } = this.#shelf
    const counts = { ...this.#shelf.counts }
    return () => {
      this.counts = counts
      this.rules = rules
      this.held = held
    }
  }
}
