/** What is asked of a job of the file: by its place where this process knows it, else by its id. */
import type { Command, JobRef } from '../../lib/backlog.ts'
import { JobUnknownError } from '../../lib/errors.ts'
import { thrownText } from '../../lib/settle/thrown.ts'
import type { CommandRequest, ListCursor, RowRef } from './store.ts'

export function rowTarget(target: JobRef): RowRef {
  if (typeof target === 'string') return target
  return target.seq > 0 ? target.seq : target.id
}

/** The place after which a list goes on. It is that of the job as this process knows it, which may be gone from the file. */
export function placeTarget(target: JobRef): ListCursor | string {
  if (typeof target === 'string') return target
  const { priority, seq, id } = target
  return seq > 0 ? { priority, seq } : id
}

/** An error that the file told by the place of the job names it as users do. */
export function named(target: JobRef, error: unknown): unknown {
  return typeof target !== 'string' && error instanceof JobUnknownError ? new JobUnknownError(target.id) : error
}

export function onWire(command: Exclude<Command, { kind: 'return' }>): CommandRequest['command'] {
  switch (command.kind) {
    case 'cancel':
      return { kind: 'cancel', target: rowTarget(command.target), reason: command.text ?? thrownText(command.reason) }
    case 'retry':
      return { kind: 'retry', target: rowTarget(command.target) }
    case 'remove': {
      const { target } = command
      return { kind: 'remove', target: rowTarget(target), id: typeof target === 'string' ? target : target.id }
    }
    case 'reschedule':
    case 'promote':
      return { ...command, target: rowTarget(command.target) }
    case 'reprioritize':
      return { kind: 'reprioritize', target: rowTarget(command.target), priority: command.priority }
    case 'clear':
      return { kind: 'clear', reason: clearedText }
    default:
      return command
  }
}

/** Why a job that a clear has cancelled was. */
export const clearedText: string = JSON.stringify({
  name: 'CancelledError',
  message: 'the job was cancelled: cleared',
  code: 'CANCELLED',
  fields: { reason: 'cleared' },
})
