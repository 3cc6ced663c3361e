/** Finds out, as far as possible, what became of requests that were unanswered when their connection was lost. */
import { OutcomeUnknownError } from '../../lib/errors.ts'
import type { FindRequest, JobRow, JobRowExtras, PutReply, PutRequest, Request } from './store.ts'

/** `resend`: the request may be sent again as it is. Otherwise the reply that it would have had. */
export type Resolution = 'resend' | 'unknown' | PutReplyFound
/** A {@link PutReply} without the counts. */
export type PutReplyFound = Omit<PutReply, 'counts'> & { readonly counts: undefined }

/** A request that waits for its reply. */
export interface UnansweredRequest {
  readonly request: Request
  resolve(answer: never): void
  reject(error: unknown): void
}
export interface RecoveryHost<Q> {
  /** Sends a query over the new connection, before all waiting requests. */
  look<T>(request: Request): Promise<T>
  /** Sends the request once more, as it is. */
  resend(question: Q): void
  /** The error if nothing can be sent any more. */
  refusal(request: Request): Error | undefined
  /** Why the connection was lost. */
  cause(): unknown
  /** Called synchronously after the last request is resolved, so that nothing is sent before the waiting requests. */
  resolved(): void
}

/** Requests that a lost connection left unanswered, in order, until each is resolved. */
export class UnansweredRequests<Q extends UnansweredRequest> {
  #line: Q[] = []
  /** By queue: the seq of the newest job with a given id whose put was answered. */
  readonly #newest = new Map<number, number>()
  /** Lookups of this object. If the connection is lost again, they are made anew. */
  readonly #lookups = new WeakSet<Request>()

  get count(): number {
    return this.#line.length
  }
  /** Called with the reply to each put: its jobs cannot be those of a put whose reply was lost. */
  stored({ queue, ids, more }: PutRequest, { first, existed }: Pick<PutReply, 'first' | 'existed'>): void {
    const made = ids.length - existed.length
    if (more.length > 0 && made > 0) this.#newest.set(queue, first + made - 1)
  }
  /**
   * Resolves each request. If the connection is lost again meanwhile, the next call continues.
   *
   * Stored puts are answered before anything is sent again. An exchange that was sent before a put may be executed
   * after it, and then claim its jobs: their records have no seq before the put is answered, so each such job would get
   * a second record.
   */
  async resolve(before: readonly Q[], others: boolean, host: RecoveryHost<Q>): Promise<void> {
    // An earlier loss may have left some.
    const line = [...before.filter(({ request }) => !this.#lookups.has(request)), ...this.#line]
    this.#line = line
    const find = (query: FindRequest): Promise<JobRow | undefined> => {
      this.#lookups.add(query)
      return host.look(query)
    }
    for (const question of line.filter(({ request }) => request.kind === 'put')) {
      const { request } = question
      const newest = (): number => ('queue' in request && this.#newest.get(request.queue)) || 0
      const fate = await resolutionOf(request, others, find, newest).catch((): 'unknown' => 'unknown')
      if (this.#line !== line) return
      if (fate === 'resend') continue
      line.splice(line.indexOf(question), 1)
      if (fate === 'unknown') question.reject(outcomeUnknown(request, host.cause()))
      else {
        this.stored(request as PutRequest, fate)
        question.resolve(fate as never)
      }
    }
    for (const question of line.splice(0)) {
      const { request } = question
      const error = host.refusal(request)
      // A put that is left was not stored.
      if (request.kind !== 'put' && !isRepeatable(request)) question.reject(outcomeUnknown(request, host.cause()))
      else error ? question.reject(error) : host.resend(question)
    }
    host.resolved()
  }
}

/**
 * @param others Whether other processes may have removed stored jobs.
 * @param newest The seq of the newest job that is known to belong to another put of this process, at the time of the
 * call.
 */
export async function resolutionOf(
  request: Request,
  others: boolean,
  look: (request: FindRequest) => Promise<JobRow | undefined>,
  newest: () => number = () => 0,
): Promise<Resolution> {
  if (request.kind === 'put') return resolutionOfPut(request, others, look, newest)
  return isRepeatable(request) ? 'resend' : 'unknown'
}

/**
 * Queries change nothing, exchanges are numbered, a name may be attached and detached twice, and a value may be set
 * twice.
 */
function isRepeatable(request: Exclude<Request, PutRequest>): boolean {
  return request.kind !== 'control' || request.command.kind === 'rate' || request.command.kind === 'pause'
}

/**
 * A put is stored as a whole or not at all, and its new jobs have consecutive seqs. So one job that certainly belongs
 * to it shows where the others are.
 *
 * A generated id occurs in no other put. A given id may: its job is taken for this put's own if it has the payload and
 * key of this put, was queued in the same millisecond, and no earlier put of this process was answered with it. If
 * another process, or `putWithin`, puts the same in that very millisecond, the two cannot be told apart: then both puts
 * report the job as new, and the signal of either cancels it.
 */
async function resolutionOfPut(
  { queue, ids, queuedAt, more }: PutRequest,
  others: boolean,
  look: (request: FindRequest) => Promise<JobRow | undefined>,
  newest: () => number,
): Promise<Resolution> {
  const given = new Map(more.filter(([, { fingerprint }]) => fingerprint !== undefined))
  const find = (i: number): Promise<JobRow | undefined> => look({ kind: 'find', queue, target: ids[i] as string })
  const isOwn = (i: number, row: JobRow): boolean =>
    row.queuedAt === queuedAt[i] && row.seq > newest() && isAlike(given.get(i), row.more)
  let own = ids.findIndex((_, i) => !given.has(i))
  let row: JobRow | undefined
  const allGiven = own < 0
  if (allGiven) {
    // If the put is sent again, each given id finds its job if it existed before.
    do {
      if (++own === ids.length) return 'resend'
      row = await find(own)
      if (!row) return 'resend'
    } while (!isOwn(own, row))
  } else {
    row = await find(own)
    // A missing job was not stored, unless another process has run and forgotten it meanwhile.
    if (!row) return others ? 'unknown' : 'resend'
  }
  const rows = new Map(
    await Promise.all([...given.keys()].map(async i => [i, i === own ? row : await find(i)] as const)),
  )
  const existed = new Map<number, JobRow>()
  let first = row.seq
  // New jobs have the seqs around it, in order. A given id with another seq existed before.
  for (const step of [-1, 1]) {
    let next = row.seq + step
    for (let i = own + step; i >= 0 && i < ids.length; i += step) {
      const other = rows.get(i)
      // Either only its id is remembered, so it was not new; or it was new and is gone by now.
      if (given.has(i) && !other) return allGiven ? 'resend' : 'unknown'
      if (other && (other.seq !== next || !isOwn(i, other))) existed.set(i, other)
      else {
        first = Math.min(first, next)
        next += step
      }
    }
  }
  return { first, existed: [...existed].sort(([a], [b]) => a - b), counts: undefined }
}

/** Compares what no command changes: another put may have stored the id first, with another payload or key. */
function isAlike(put: JobRowExtras | undefined, stored: JobRowExtras | undefined): boolean {
  return stored?.fingerprint === put?.fingerprint && stored?.key === put?.key
}

export function outcomeUnknown(request: Request, cause: unknown): OutcomeUnknownError {
  const ids = request.kind === 'put' ? request.ids : []
  const what =
    request.kind === 'put'
      ? `${ids.length === 1 ? 'the job was' : `the ${ids.length} jobs were`} stored`
      : `the change (${request.kind === 'control' ? request.command.kind : request.kind}) was made`
  return new OutcomeUnknownError(what, ids, { cause })
}

/** The error of a request that was unanswered when the connection was lost for good. */
export function linkLost(request: Request, error: Error): Error {
  return request.kind === 'put' || request.kind === 'control' ? outcomeUnknown(request, error) : error
}
