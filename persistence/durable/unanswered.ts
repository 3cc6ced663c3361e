/**
 * Requests that were unanswered when their connection was lost: those that the store has executed get the reply that
 * was lost, and all others are sent again.
 */

import { isSetting } from '../../lib/decisions/command-states.ts'
import { OutcomeUnknownError } from '../../lib/errors.ts'
import type { PutReplay, PutRequest, ReplayRequest, Request } from './store.ts'

/** A request that waits for its reply. */
export interface UnansweredRequest {
  readonly request: Request
  resolve(answer: never): void
  reject(error: unknown): void
}
export interface RecoveryHost<R> {
  /** Sends a query over the new connection, before all waiting requests. */
  query(request: ReplayRequest): Promise<PutReplay | undefined>
  /** Sends the request once more, as it is. */
  resend(unanswered: R): void
  /** The error if nothing can be sent any more. */
  refusal(request: Request): Error | undefined
  /** Why the connection was lost. */
  cause(): unknown
  /** Called synchronously after the last request is resolved, so that nothing is sent before the waiting requests. */
  resolved(): void
}

/** Requests that a lost connection left unanswered, in order, until each is resolved. */
export class UnansweredRequests<R extends UnansweredRequest> {
  #line: R[] = []

  get count(): number {
    return this.#line.length
  }
  /**
   * Resolves each request. If the connection is lost again meanwhile, the next call continues.
   *
   * Stored puts are answered before anything is sent again. An exchange that was sent before a put may be executed
   * after it, and then claim its jobs: their records have no seq before the put is answered, so each such job would get
   * a second record.
   */
  async resolve(sent: readonly R[], host: RecoveryHost<R>): Promise<void> {
    // An earlier loss may have left some. Its queries are made anew.
    const line = [...sent.filter(({ request }) => request.kind !== 'replay'), ...this.#line]
    this.#line = line
    const puts = line.filter(({ request }) => request.kind === 'put')
    const replays = await Promise.all(puts.map(({ request }) => replayOf(request as PutRequest, host)))
    if (this.#line !== line) return
    const stored = new Map(puts.map((put, i) => [put, replays[i]]))
    this.#line = line.filter(unanswered => stored.get(unanswered) === undefined)
    for (const [put, replay] of stored) {
      if (replay === 'unknown') put.reject(outcomeUnknown(put.request, host.cause()))
      else if (replay) put.resolve(replay as never)
    }
    for (const unanswered of this.#line.splice(0)) {
      const { request } = unanswered
      const error = host.refusal(request)
      if (!isRepeatable(request)) unanswered.reject(outcomeUnknown(request, host.cause()))
      else if (error) unanswered.reject(error)
      else host.resend(unanswered)
    }
    host.resolved()
  }
}

/** The reply to the put if it was committed; undefined if it was not. */
async function replayOf(
  { queue, number }: PutRequest,
  { query }: Pick<RecoveryHost<never>, 'query'>,
): Promise<PutReplay | 'unknown' | undefined> {
  try {
    return await query({ kind: 'replay', queue, number })
  } catch {
    return 'unknown'
  }
}

/**
 * Queries change nothing, exchanges are numbered, a name may be attached and detached twice, a value may be set twice,
 * and a put is repeated only if it was not committed.
 */
export function isRepeatable(request: Request): boolean {
  return request.kind !== 'command' || isSetting(request.command.kind)
}

export function outcomeUnknown(request: Request, cause: unknown): OutcomeUnknownError {
  const ids = request.kind === 'put' ? request.ids : []
  const what =
    request.kind === 'put'
      ? `${ids.length === 1 ? 'the job was' : `the ${ids.length} jobs were`} stored`
      : `the change (${request.kind === 'command' ? request.command.kind : request.kind}) was made`
  return new OutcomeUnknownError(what, ids, { cause })
}

/** The error of a request that was unanswered when the connection was lost for good. */
export function errorOfUnanswered(request: Request, error: Error): Error {
  return request.kind === 'put' || request.kind === 'command' ? outcomeUnknown(request, error) : error
}
