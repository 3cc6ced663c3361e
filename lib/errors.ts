/**
 * Every error that rdq makes: a class for each thing a caller would do differently, a `code` that stays, the facts as
 * fields, and a message that says what was asked, what is so, and what to do.
 */
import { types } from 'node:util'

/** The base of all errors of rdq. */
export abstract class DispatchError extends Error {
  /** Stable over versions; compare with this, not with the message. */
  abstract readonly code: string
  /** The name of the class. Each class of rdq states its own as text, because a minifier renames the class itself. */
  override get name(): string {
    return this.constructor.name
  }
}

/** An option, or an argument, that is not legal. Thrown by constructors and setters; rejects from methods. */
export class OptionError extends DispatchError {
  static override readonly name: string = 'OptionError'
  readonly code = 'OPTION'
  /** The option's name, with its path: `rate.per`. */
  readonly option: string
  readonly value: unknown
  /** @param of What takes the option, where its name alone would not say so: `Throttled`. */
  constructor(option: string, value: unknown, problem: string, of?: string) {
    super(`${of === undefined ? '' : `${of}: `}${option} ${problem}`)
    this.option = option
    this.value = value
  }
}

/** A payload or a checkpoint that the backlog cannot hold as it is: `path` says which part of it. Nothing of it was stored. */
export class PayloadError extends DispatchError {
  static override readonly name: string = 'PayloadError'
  readonly code = 'PAYLOAD'
  /** Where it is: `payload.to[2].send`, `payloads[7].at`, `checkpoint.rows`. */
  readonly path: string
  readonly #problem: string
  constructor(path: string, problem: string, options?: ErrorOptions) {
    super(`${path} ${problem}`, options)
    this.path = path
    this.#problem = problem
  }
  /** @internal The same of a payload that is called `root`. */
  at(root: string): PayloadError {
    const { path, cause } = this
    return new PayloadError(path.replace(/^payload/, root), this.#problem, cause === undefined ? undefined : { cause })
  }
}

/**
 * The backlog refused what one job or one caller handed over, and would refuse it again: nothing of it was stored. Whatever
 * was handed over beside it was. `cause` is what the store said.
 */
export class StoreError extends DispatchError {
  static override readonly name: string = 'StoreError'
  readonly code = 'STORE'
  constructor(what: string, options?: ErrorOptions) {
    super(`the backlog cannot store ${what} (${describeError(options?.cause)}); change what was handed over`, options)
  }
}

/**
 * The backlog holds `size` jobs already and `overflow` is `'reject'`: put again later, or use `overflow: 'wait'`. Or more than
 * `size` were put at a time, for which there is never room.
 */
export class QueueFullError extends DispatchError {
  static override readonly name: string = 'QueueFullError'
  readonly code = 'QUEUE_FULL'
  readonly size: number
  constructor(asked: number, size: number, taken: number) {
    const remedy = asked > size ? 'put fewer at a time, or raise size' : `put again later, or use overflow: 'wait'`
    super(`cannot put ${asked} ${asked === 1 ? 'job' : 'jobs'}: ${taken} of ${size} places are taken; ${remedy}`)
    this.size = size
  }
}

/** The queue was stopped. `willRunLater` says whether the job stays in a durable backlog and runs in a later process. */
export class QueueStoppedError extends DispatchError {
  static override readonly name: string = 'QueueStoppedError'
  readonly code = 'QUEUE_STOPPED'
  readonly willRunLater: boolean
  constructor(what: string, willRunLater = false) {
    super(`${what}: the queue was stopped${willRunLater ? '; the job stays in its backlog and runs later' : ''}`)
    this.willRunLater = willRunLater
  }
}

/** This process has a queue with a handler for the same name and backlog. Use that one, stop it first, or use another name. */
export class QueueNameTakenError extends DispatchError {
  static override readonly name: string = 'QueueNameTakenError'
  readonly code = 'QUEUE_NAME_TAKEN'
  readonly queue: string
  constructor(name: string) {
    super(
      `the name '${name}' is taken: this process has a queue with a handler for it on this backlog, and its stop() has not resolved; use that queue, await its stop(), or use another name`,
    )
    this.queue = name
  }
}

/** The id is remembered with another payload. Choose another id, or put what was put before. */
export class IdConflictError extends DispatchError {
  static override readonly name: string = 'IdConflictError'
  readonly code = 'ID_CONFLICT'
  readonly id: string
  constructor(id: string) {
    super(`the id '${id}' was put before with another payload; choose another id, or put the same payload`)
    this.id = id
  }
}

/** The job's state forbids the command: reprioritizing one that is underway, say. */
export class JobStateError extends DispatchError {
  static override readonly name: string = 'JobStateError'
  readonly code = 'JOB_STATE'
  readonly id: string
  readonly state: string
  constructor(command: string, id: string, state: string, allowed: string) {
    super(`cannot ${command} job ${id}: it is ${state}, and must be ${allowed}`)
    this.id = id
    this.state = state
  }
}

/** The backlog knows no job of that id: it never was, has been removed, or is no longer kept (see `keep`). */
export class JobUnknownError extends DispatchError {
  static override readonly name: string = 'JobUnknownError'
  readonly code = 'JOB_UNKNOWN'
  readonly id: string
  constructor(id: string) {
    super(
      `no job ${describe(id)} in the backlog: it never was put, was removed, or is no longer kept (see the option keep)`,
    )
    this.id = id
  }
}

/** An attempt took longer than its `timeout`. `task.signal` is aborted with this, and it is the job's error. */
export class TimeoutError extends DispatchError {
  static override readonly name: string = 'TimeoutError'
  readonly code = 'TIMEOUT'
  readonly timeoutMs: number
  /** The body went on for 10 s after that, so the job failed whatever attempts were left: a retry would run beside it. */
  readonly stuck: boolean
  constructor(timeoutMs: number, options: { stuck?: boolean } = {}) {
    const { stuck = false } = options
    const more = stuck ? ', and its body did not end when its signal aborted; let the handler heed task.signal' : ''
    super(`the attempt took longer than its timeout of ${timeoutMs} ms${more}`)
    this.timeoutMs = timeoutMs
    this.stuck = stuck
  }
}

/** The job was cancelled. `reason` is what was given to `cancel`, or the reason of its aborted signal, which is `cause`, too. */
export class CancelledError extends DispatchError {
  static override readonly name: string = 'CancelledError'
  readonly code = 'CANCELLED'
  readonly reason: unknown
  constructor(reason?: unknown, options?: ErrorOptions) {
    super(`the job was cancelled${whyOf(reason)}`, options)
    this.reason = reason
  }
}

/**
 * The process died too often while the job ran, the last time with no other job underway; or once, where `afterCrash` is
 * `'fail'` or `crashLimit` is 1. It does not run by itself again; `retry` runs it anew.
 */
export class PoisonError extends DispatchError {
  static override readonly name: string = 'PoisonError'
  readonly code = 'POISON'
  readonly crashes: number
  constructor(crashes: number) {
    super(
      `the process died ${crashes === 1 ? 'once' : `${crashes} times`} while this job ran; it will not start by itself again, see retry()`,
    )
    this.crashes = crashes
  }
}

/** The run's job went to another process, or was taken out: nothing that the run still says is recorded. */
export class LeaseLostError extends DispatchError {
  static override readonly name: string = 'LeaseLostError'
  readonly code = 'LEASE_LOST'
  readonly id: string
  constructor(id: string) {
    super(`job ${id} was lost to another process while it ran here; what this run returns is not recorded`)
    this.id = id
  }
}

/** The job ended and its result is not there: it ran elsewhere or earlier, and `keep.results` is off or has passed. */
export class ResultNotKeptError extends DispatchError {
  static override readonly name: string = 'ResultNotKeptError'
  readonly code = 'RESULT_NOT_KEPT'
  readonly id: string
  constructor(id: string) {
    super(
      `the result of job ${id} was not kept, and the job has ended, here before it was asked for or elsewhere; set keep.finished and keep.results, or ask for job.result before it ends`,
    )
    this.id = id
  }
}

/**
 * The connection to the backlog was lost before there was an answer: whether these jobs were stored, or a change was made, is
 * not known. Look, or put again with the same id: what was stored is then found, and nothing is put twice.
 */
export class OutcomeUnknownError extends DispatchError {
  static override readonly name: string = 'OutcomeUnknownError'
  readonly code = 'OUTCOME_UNKNOWN'
  readonly ids: readonly string[]
  constructor(what: string, ids: readonly string[], options?: ErrorOptions) {
    super(`whether ${what} is not known: put again with the same id, or look with get(id)`, options)
    this.ids = ids
  }
}

/** A job's cost is above what a rule allows in a whole window, so it could never start. */
export class CostError extends DispatchError {
  static override readonly name: string = 'CostError'
  readonly code = 'COST'
  readonly unit: string
  readonly cost: number
  readonly limit: number
  constructor(unit: string, cost: number, limit: number) {
    super(
      `a cost of ${cost} ${unit} can never start: the rate allows ${limit} in its whole window; split the job or raise the limit`,
    )
    this.unit = unit
    this.cost = cost
    this.limit = limit
  }
}

/** Events were dropped because nobody took them in time: `lost` says how many. */
export class EventsLostError extends DispatchError {
  static override readonly name: string = 'EventsLostError'
  readonly code = 'EVENTS_LOST'
  readonly lost: number
  constructor(problem: string, lost: number) {
    super(problem)
    this.lost = lost
  }
}

/** A reason may be anything, also a proxy that throws when it is looked at. */
function whyOf(reason: unknown): string {
  try {
    return typeof reason === 'string' || reason instanceof Error ? `: ${describeError(reason)}` : ''
  } catch {
    return ''
  }
}

/** The message of what was thrown, for another message: short, and never throwing. */
export function describeError(error: unknown): string {
  try {
    return String((error as { message?: unknown } | null | undefined)?.message ?? error).slice(0, 200)
  } catch {
    return 'an error that cannot be read'
  }
}

/** As Array.isArray, which throws for a proxy that was revoked. */
export function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

/** Whether `value` is an object with these methods. One that cannot be asked has none. */
export function hasMethods(value: unknown, names: readonly PropertyKey[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  try {
    return names.every(name => typeof (value as Record<PropertyKey, unknown>)[name] === 'function')
  } catch {
    return false
  }
}

/** The code of an error, by which it is known also where it is of a second copy of rdq; undefined where it has none. */
export function codeOf(error: unknown): unknown {
  try {
    return (error as { code?: unknown } | null | undefined)?.code
  } catch {
    return undefined
  }
}

/** What a value looks like in a message: short, whole, and never throwing, whatever the value does when it is looked at. */
export function describe(value: unknown): string {
  try {
    return described(value)
  } catch {
    return 'an object that cannot be read'
  }
}

function described(value: unknown): string {
  if (typeof value === 'string') return value.length > 60 ? `'${value.slice(0, 60)}…'` : `'${value}'`
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (types.isDate(value)) return Number.isNaN(msOf(value)) ? 'an invalid Date' : new Date(msOf(value)).toISOString()
  if (types.isPromise(value)) return 'a promise'
  return isArray(value) ? 'an array' : 'an object'
}

/** For a message that wants a number: what to do where the value is the text of one, as an environment has them. */
export function numberHint(value: unknown): string {
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? `; did you mean the number ${value}?` : ''
}

/** Its milliseconds since the epoch, also of a Date of another realm, and of one whose methods were replaced. */
export function msOf(date: Date): number {
  return Date.prototype.getTime.call(date)
}
