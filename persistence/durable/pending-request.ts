/** What was asked of a channel and is not answered yet, and what its failures mean. */
import { QueueStoppedError } from '../../lib/errors.ts'
import type { Request } from './store.ts'

export interface Pending {
  readonly request: Request
  readonly jobs: number
  readonly bytes: number
  resolve(answer: never): void
  reject(error: unknown): void
}

/** Faults that pass by themselves, when the disk or a lock is free again. */
const passing: ReadonlySet<unknown> = new Set(['BACKLOG_DISK', 'BACKLOG_BUSY', 'DISK_FULL'])

export function closed(): QueueStoppedError {
  return new QueueStoppedError('the file is closed')
}

export function passes(error: unknown): boolean {
  return passing.has((error as { code?: unknown }).code)
}

export function weigh(request: Request): { readonly jobs: number; readonly bytes: number } {
  if (request.kind !== 'put') return { jobs: 0, bytes: 0 }
  let bytes = 0
  for (const payload of request.payloads) bytes += payload.length
  return { jobs: request.ids.length, bytes }
}
