/**
 * Encodes errors between a store and its queues as plain data (class, code, message and fields), and decodes them. It
 * knows the classes of `lib`; a backlog registers its own.
 */

import * as lib from '../../lib/errors.ts'
import { DispatchError, StoreError } from '../../lib/errors.ts'
import * as controlErrors from '../../lib/settle/control-errors.ts'
import type { Request, WireError } from './store.ts'

/** The stored bytes are not JSON: another program, or a fault of the disk, has changed them. */
export class UnreadableError extends DispatchError {
  static override readonly name: string = 'UnreadableError'
  readonly code = 'UNREADABLE'
  readonly id: string
  constructor(id: string, said: string) {
    super(`the stored payload of job ${id} is no JSON (${said}); remove the job, or mend it and retry it`)
    this.id = id
  }
}

type ErrorClass = { readonly prototype: Error }

const byName = new Map<string, ErrorClass>()

/** Registers classes by name, so that an encoded error is decoded as one of its class. */
export function registerErrors(classes: Readonly<Record<string, unknown>>): void {
  for (const [name, made] of Object.entries(classes)) {
    if (typeof made === 'function' && (made as { prototype?: unknown }).prototype instanceof Error) {
      byName.set(name, made as unknown as ErrorClass)
    }
  }
}
registerErrors({ ...lib, ...controlErrors, UnreadableError })

/** The class of that name, if it is one of ours or was registered. */
export function errorClass(name: string): ErrorClass | undefined {
  return byName.get(name)
}

/** Foreign errors are encoded as an error without a class. */
export function toWire(error: unknown): WireError & { readonly name: string } {
  const { name, message, stack, code, ...fields } = Object.assign(Object.create(null), error, {
    name: (error as Error)?.name,
    message: (error as Error)?.message ?? String(error),
  }) as Record<string, unknown>
  const wire = { name: String(name ?? 'Error'), code: String(code ?? ''), message: String(message), fields }
  const cause = error instanceof StoreError ? error.cause : undefined
  return cause === undefined ? wire : { ...wire, cause: toWire(cause) }
}

/** Decodes an error: an object of its class, if the class is known. */
export function fromWire(wire: WireError): Error {
  const error = new Error(wire.message)
  const made = byName.get(wire.name ?? '')
  if (made) Object.setPrototypeOf(error, made.prototype)
  else if (wire.name) Object.defineProperty(error, 'name', { value: wire.name, configurable: true, writable: true })
  if (wire.cause) {
    const cause = fromWire({ ...wire.cause, fields: {} })
    Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
  }
  return Object.assign(error, wire.code === '' ? {} : { code: wire.code }, wire.fields)
}

/** The error with which the store refuses `request`, and would refuse it again. */
export function refusedForGood(request: Request, cause: unknown): unknown {
  return cause instanceof DispatchError ? cause : new StoreError(namedRequest(request), { cause })
}

function namedRequest(request: Request): string {
  switch (request.kind) {
    case 'put':
      return request.ids.length === 1 ? `job ${request.ids[0]}` : `these ${request.ids.length} jobs`
    case 'exchange':
      return 'what became of the jobs that run'
    case 'command':
      return `the ${request.command.kind}`
    default:
      return `what '${request.kind}' wants to change`
  }
}
