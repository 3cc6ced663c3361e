/** Replies of the thread to requests that it could not store. */

import { toWire } from '../../durable/errors.ts'
import type {
  ExchangeReply,
  NumberedReply,
  NumberedRequest,
  PutRequest,
  Request,
  RequestResult,
} from '../../durable/store.ts'
import { BacklogDiskError } from '../errors.ts'

export class Failure {
  readonly cause: unknown
  constructor(cause: unknown) {
    this.cause = cause
  }
}

export function replyToAll(
  requests: readonly NumberedRequest[],
  answer: RequestResult,
  replies: NumberedReply[],
): void {
  for (const [id] of requests) replies.push([id, answer])
}

/** A full disk has stored nothing. After a fault of the disk the commit may exist or not. */
export function refusal(request: Request, fault: 'diskFull' | 'disk', error: unknown, path: string): RequestResult {
  if (request.kind !== 'put' || fault === 'diskFull') return { error: toWire(error) }
  const { message } = error instanceof Error ? error : new BacklogDiskError(path, String(error))
  return {
    error: { code: 'OUTCOME_UNKNOWN', message, fields: { ids: (request as PutRequest).ids } },
  }
}

/** An exchange that could not claim looks again by itself. */
export function withRetryAt(done: ExchangeReply, retryAt: number): ExchangeReply {
  return { ...done, nextLookAt: Math.min(done.nextLookAt, retryAt) }
}
