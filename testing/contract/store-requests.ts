/** The requests of a worker to a store, with their defaults, for tests: they say only what matters to them. */
import type { KeepPolicy, SettleKind } from '../../lib/backlog.ts'
import type {
  AttachRequest,
  CommandRequest,
  DetachRequest,
  ExchangeReply,
  ExchangeRequest,
  ExplainRequest,
  FindRequest,
  JobRow,
  JobRowExtras,
  ListRequest,
  PutRequest,
  RequestResult,
  SettleExtras,
} from '../../persistence/durable/store.ts'

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
  readonly extras?: JobRowExtras
}
export interface Ending {
  readonly seq: number
  readonly fence: number
  readonly kind?: SettleKind
  readonly extras?: SettleExtras
}
export interface ExchangeParts extends Partial<Omit<ExchangeRequest, 'settled'>> {
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

/** Makes the requests of one worker with one queue. It numbers the exchanges and passes its clocks with every request. */
export class StoreRequests {
  static #ids = 0
  now = 0
  wall: number = wall
  queue = 0
  #number = 0
  #putNumber = 0

  /** Advances both clocks. */
  pass(ms: number): this {
    this.now += ms
    this.wall += ms
    return this
  }
  /** The number of the exchange before. */
  get number(): number {
    return this.#number
  }
  protected attachRequest(parts: Partial<AttachRequest> = {}): AttachRequest {
    const { now, wall } = this
    const declared = { rate: undefined, size: Infinity, keep, afterCrash: 'again', crashLimit: 3 } as const
    return { kind: 'attach', name: 'q', works: true, ...declared, now, wall, ...parts }
  }
  putRequest(jobs: readonly (string | Put)[], size: number = Infinity): PutRequest {
    const puts = jobs.map(job => (typeof job === 'string' ? { payload: job } : job))
    const { now, wall, queue } = this
    return {
      ...{ kind: 'put', queue, number: ++this.#putNumber, acknowledged: 0, now, wall, size },
      ids: puts.map(({ id }) => id ?? `made-${String(StoreRequests.#ids++).padStart(9, '0')}`),
      payloads: puts.map(({ payload }) => JSON.stringify(payload ?? null)),
      priorities: puts.some(({ priority }) => priority) ? puts.map(({ priority }) => priority ?? 0) : undefined,
      queuedAt: puts.map(() => wall),
      extras: puts.flatMap(({ extras }, i) => (extras ? [[i, extras] as const] : [])),
    }
  }
  protected detachRequest(parts: Partial<DetachRequest> = {}): DetachRequest {
    const { now, wall, queue } = this
    return { kind: 'detach', queue, works: true, keepLeases: false, now, wall, ...parts }
  }
  exchangeRequest(parts: ExchangeParts = {}): ExchangeRequest {
    const { settled = [], ...rest } = parts
    const { now, wall, queue } = this
    return {
      ...{ kind: 'exchange', queue, number: ++this.#number, acknowledged: 0, now, wall, room: 0, works: true },
      settled: {
        seqs: settled.map(({ seq }) => seq),
        fences: settled.map(({ fence }) => fence),
        kinds: settled.every(({ kind }) => kind === undefined)
          ? undefined
          : settled.map(({ kind }) => kind ?? 'finished'),
        startedAt: settled.map(() => wall),
        stoppedAt: settled.map(() => wall + 1),
        extras: settled.flatMap(({ extras }, i) => (extras ? [[i, extras] as const] : [])),
      },
      ...{ mayLaunch: true, confirmed: [], spent: [], checkpoints: [], endedBodies: [] },
      launchReports: { seqs: [], fences: [], first: [] },
      ...rest,
    }
  }
  commandRequest(command: CommandRequest['command']): CommandRequest {
    const { queue, now, wall } = this
    return { kind: 'command', queue, now, wall, command }
  }
  protected findRequest(target: number | string): FindRequest {
    return { kind: 'find', queue: this.queue, target }
  }
  protected listRequest(parts: Partial<ListRequest> = {}): ListRequest {
    return { kind: 'list', queue: this.queue, state: undefined, key: undefined, limit: 100, after: undefined, ...parts }
  }
  protected explainRequest(target: number | string): ExplainRequest {
    const { queue, now, wall } = this
    return { kind: 'explain', queue, target, now, wall }
  }
}

/** The reports that the bodies of these jobs run; `first`: that they are about to. */
export function launchReportsOf(jobs: readonly Ending[], first: boolean): ExchangeRequest['launchReports'] {
  return { seqs: jobs.map(({ seq }) => seq), fences: jobs.map(({ fence }) => fence), first: jobs.map(() => first) }
}
/** The value of an answer. Throws {@link Refused} for an error. */
export function replyOf(answer: RequestResult | undefined): unknown {
  if (!answer) throw new Error('no answer')
  if ('error' in answer) throw new Refused(answer.error.code, answer.error.message, answer.error.fields)
  return answer.ok
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
