/** A request that was passed to the link and is not answered yet. */
import { QueueStoppedError } from '../../lib/errors.ts'
import type { Request } from './store.ts'

export interface PendingRequest {
  readonly request: Request
  /** Its share of the bounds: 0 unless it is a put. */
  readonly jobs: number
  readonly bytes: number
  resolve(answer: never): void
  reject(error: unknown): void
}

export function stoppedError(): QueueStoppedError {
  return new QueueStoppedError('the backlog is closed')
}

export function weigh(request: Request): { readonly jobs: number; readonly bytes: number } {
  if (request.kind !== 'put') return { jobs: 0, bytes: 0 }
  let bytes = 0
  for (const payload of request.payloads) bytes += payload.length
  return { jobs: request.ids.length, bytes }
}
