/**
 * Every error that rdq creates. There is one class for each case that a caller would handle differently, a stable
 * `code`, the facts as fields, and a message that says what was asked, what is so, and what to do.
 */
import { types } from 'node:util'

/** The base of all errors of rdq. */
export abstract class DispatchError extends Error {
  /** Stable over versions. Compare this, not the message. */
  abstract readonly code: string
  /** The name of the class. Each class states its own as text, because a minifier renames the class itself. */
  override get name(): string {
    return this.constructor.name
  }
}

/** An option or argument is illegal. Constructors and setters throw it; methods reject with it. */
export class OptionError extends DispatchError {
  static override readonly name: string = 'OptionError'
  readonly code = 'OPTION'
  /** The option's name, with its path: `rate.per`. */
  readonly option: string
  readonly value: unknown
  /**
   * @param of The class or function that takes the option, if the option's name alone would be ambiguous: `Throttled`.
   */
  constructor(option: string, value: unknown, problem: string, of?: string) {
    super(`${of === undefined ? '' : `${of}: `}${option} ${problem}`)
    this.option = option
    this.value = value
  }
}

/**
 * The backlog cannot hold a payload or checkpoint as it is. `path` names the part at fault. Nothing of it was stored.
 */
export class PayloadError extends DispatchError {
  static override readonly name: string = 'PayloadError'
  readonly code = 'PAYLOAD'
  /** The path of the part at fault: `payload.to[2].send`, `payloads[7].at`, `checkpoint.rows`. */
  readonly path: string
  readonly #problem: string
  constructor(path: string, problem: string, options?: ErrorOptions) {
    super(`${path} ${problem}`, options)
    this.path = path
    this.#problem = problem
  }
  /** @internal A copy of the error for a payload that is called `root`. */
  at(root: string): PayloadError {
    const { path, cause } = this
    return new PayloadError(path.replace(/^payload/, root), this.#problem, cause === undefined ? undefined : { cause })
  }
}

/**
 * The backlog refused the data of one job or one caller, and would refuse it again. Nothing of it was stored; other
 * data of the same request was. `cause` is the error of the store.
 */
export class StoreError extends DispatchError {
  static override readonly name: string = 'StoreError'
  readonly code = 'STORE'
  constructor(what: string, options?: ErrorOptions) {
    super(`the backlog cannot store ${what} (${describeError(options?.cause)}); change what was handed over`, options)
  }
}

/**
 * The backlog holds `size` jobs already and `overflow` is `'reject'`: put again later, or use `overflow: 'wait'`. Or
 * more than `size` jobs were put at once, which never fit.
 */
export class QueueFullError extends DispatchError {
  static override readonly name: string = 'QueueFullError'
  readonly code = 'QUEUE_FULL'
  readonly size: number
  constructor(requested: number, size: number, taken: number) {
    const remedy = requested > size ? 'put fewer at a time, or raise size' : `put again later, or use overflow: 'wait'`
    super(
      `cannot put ${requested} ${requested === 1 ? 'job' : 'jobs'}: ${taken} of ${size} places are taken; ${remedy}`,
    )
    this.size = size
  }
}

/** The queue was stopped. `willRunLater` says whether the job stays in its backlog and runs later. */
export class QueueStoppedError extends DispatchError {
  static override readonly name: string = 'QueueStoppedError'
  readonly code = 'QUEUE_STOPPED'
  readonly willRunLater: boolean
  constructor(what: string, willRunLater = false) {
    super(`${what}: the queue was stopped${willRunLater ? '; the job stays in its backlog and runs later' : ''}`)
    this.willRunLater = willRunLater
  }
}

/**
 * This process has a queue with a handler for the same name and backlog. Use that one, stop it first, or use another
 * name.
 */
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

/** The id is remembered with another payload. Choose another id, or put the same payload as before. */
export class IdConflictError extends DispatchError {
  static override readonly name: string = 'IdConflictError'
  readonly code = 'ID_CONFLICT'
  readonly id: string
  constructor(id: string) {
    super(`the id '${id}' was put before with another payload; choose another id, or put the same payload`)
    this.id = id
  }
}

/** The job's state forbids the command, for example to reprioritize a job that is underway. */
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

/** The backlog has no job of that id: it was never put, was removed, or is no longer kept (see `keep`). */
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

/**
 * A handler threw `Throttled` with a `rule` that its queue does not have. The job fails with this error, because another
 * attempt would name the same rule. `rules` are the names that the queue has.
 */
export class RuleUnknownError extends DispatchError {
  static override readonly name: string = 'RuleUnknownError'
  readonly code = 'RULE_UNKNOWN'
  readonly rule: string
  readonly rules: readonly string[]
  constructor(rule: string, rules: readonly string[], meant?: string) {
    const has = rules.length === 0 ? 'no rule with a name' : `only ${rules.map(name => `'${name}'`).join(', ')}`
    const hint = meant === undefined ? '' : `; did you mean '${meant}'?`
    const remedy = hint || `; declare it in rate, or throw Throttled without rule, which holds the queue`
    super(`Throttled cannot hold the rule ${describe(rule)}: the queue has ${has}${remedy}`)
    this.rule = rule
    this.rules = rules
  }
}

/** An attempt took longer than its `timeout`. It is the reason of the aborted `task.signal`, and the job's error. */
export class TimeoutError extends DispatchError {
  static override readonly name: string = 'TimeoutError'
  readonly code = 'TIMEOUT'
  readonly timeoutMs: number
  /**
   * Whether the body still ran 10 s after the abort. The job then failed even if it had attempts left, because a retry
   * would run beside it.
   */
  readonly stuck: boolean
  constructor(timeoutMs: number, options: { stuck?: boolean } = {}) {
    const { stuck = false } = options
    const more = stuck ? ', and its body did not end when its signal aborted; let the handler heed task.signal' : ''
    super(`the attempt took longer than its timeout of ${timeoutMs} ms${more}`)
    this.timeoutMs = timeoutMs
    this.stuck = stuck
  }
}

/**
 * The job was cancelled. `reason` is the argument of `cancel`, or the reason of the aborted signal, which is also the
 * `cause`.
 */
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
 * The process, or the isolate, died too often while the job ran, the last time with no other job underway in it; or
 * once, if `afterCrash` is `'fail'` or `crashLimit` is 1. The job does not run again by itself; `retry` runs it again.
 */
export class PoisonError extends DispatchError {
  static override readonly name: string = 'PoisonError'
  readonly code = 'POISON'
  readonly crashes: number
  /** @param died What ended while the job ran. */
  constructor(crashes: number, died: 'process' | 'isolate' = 'process') {
    super(
      `the ${died} died ${crashes === 1 ? 'once' : `${crashes} times`} while this job ran; it will not start by itself again, see retry()`,
    )
    this.crashes = crashes
  }
}

/** The process, or the isolate, died while the job ran, and the function `afterCrash` answered that it has failed. */
export class CrashedError extends DispatchError {
  static override readonly name: string = 'CrashedError'
  readonly code = 'CRASHED'
  /** @param died What ended while the job ran. */
  constructor(died: 'process' | 'isolate') {
    super(`the ${died} died while this job ran, and afterCrash answered 'failed'`)
  }
}

/**
 * The module of a handler cannot be loaded, so the queue starts no jobs: they stay pending, and loading is tried again
 * with growing pauses of up to a minute. `cause` is what the import threw.
 */
export class HandlerLoadError extends DispatchError {
  static override readonly name: string = 'HandlerLoadError'
  readonly code = 'HANDLER_LOAD'
  /** The address of the module. */
  readonly module: string
  constructor(module: string, problem: string, options?: ErrorOptions) {
    super(`the handler ${module} cannot be loaded: ${problem}`, options)
    this.module = module
  }
}

/**
 * An isolate ended by itself: the handler ended its thread or process, or used up its memory, or threw where nobody
 * catches. The jobs that ran in it go back or fail, as after a crash of a process. `cause` is the uncaught error of a
 * thread; a process has printed its own to stderr.
 */
export class IsolateEndedError extends DispatchError {
  static override readonly name: string = 'IsolateEndedError'
  readonly code = 'ISOLATE_ENDED'
  /** The number of the isolate within its queue. */
  readonly isolate: number
  /** How many bodies ran in it. */
  readonly underway: number
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  constructor(
    isolate: { readonly id: number; readonly kind: string; readonly underway: number },
    { exitCode, signal }: { readonly exitCode?: number | undefined; readonly signal?: string | undefined },
    options?: ErrorOptions,
  ) {
    const { id, kind, underway } = isolate
    const how = signal === undefined ? `with exit code ${exitCode}` : `by signal ${signal}`
    const why = options?.cause === undefined ? '' : ` (${describeError(options.cause)})`
    const bodies = underway === 1 ? 'one job' : `${underway} jobs`
    super(
      `the ${kind} of isolate ${id} ended by itself ${how}${why}, while ${bodies} ran in it; it is replaced`,
      options,
    )
    this.isolate = id
    this.underway = underway
    this.exitCode = exitCode
    this.signal = signal
  }
}

/**
 * The thread of a call ended by itself: the function ended it, or used up its memory, or threw where nobody catches.
 * `cause` is the uncaught error.
 */
export class ThreadEndedError extends DispatchError {
  static override readonly name: string = 'ThreadEndedError'
  readonly code = 'THREAD_ENDED'
  readonly exitCode: number
  constructor(exitCode: number, options?: ErrorOptions) {
    const why = options?.cause === undefined ? '' : ` (${describeError(options.cause)})`
    super(
      `the thread ended by itself with exit code ${exitCode}${why} before the function had returned; the next call gets another thread`,
      options,
    )
    this.exitCode = exitCode
  }
}

/**
 * The module given to `inThread` cannot be loaded, or its default export is no function. `cause` is what the import
 * threw. The next call loads it again.
 */
export class ModuleLoadError extends DispatchError {
  static override readonly name: string = 'ModuleLoadError'
  readonly code = 'MODULE_LOAD'
  /** The address of the module. */
  readonly module: string
  constructor(module: string, problem: string, options?: ErrorOptions) {
    super(`the module ${module} cannot be loaded: ${problem}`, options)
    this.module = module
  }
}

/** The run's job went to another process, or was removed. Nothing that the run reports from now on is recorded. */
export class LeaseLostError extends DispatchError {
  static override readonly name: string = 'LeaseLostError'
  readonly code = 'LEASE_LOST'
  readonly id: string
  constructor(id: string) {
    super(`job ${id} was lost to another process while it ran here; what this run returns is not recorded`)
    this.id = id
  }
}

/** The job ended and its result is missing: it ran elsewhere or earlier, and `keep.results` is off or has expired. */
export class ResultNotKeptError extends DispatchError {
  static override readonly name: string = 'ResultNotKeptError'
  readonly code = 'RESULT_NOT_KEPT'
  readonly id: string
  constructor(id: string) {
    super(
      `the result of job ${id} was not kept, and the job has ended, elsewhere, or here before its result was requested; set keep.finished and keep.results, or read job.result before it ends`,
    )
    this.id = id
  }
}

/**
 * The connection to the backlog was lost before the reply, so it is unknown whether these jobs were stored, or a change
 * was made. Query the job, or put it again with the same id: a stored job is then found, and not put twice.
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

/** Events were dropped because the iterator was not read in time. `lost` is their number. */
export class EventsLostError extends DispatchError {
  static override readonly name: string = 'EventsLostError'
  readonly code = 'EVENTS_LOST'
  readonly lost: number
  constructor(problem: string, lost: number) {
    super(problem)
    this.lost = lost
  }
}

/** A reason may be any value, even a proxy that throws when it is read. */
function whyOf(reason: unknown): string {
  try {
    return typeof reason === 'string' || reason instanceof Error ? `: ${describeError(reason)}` : ''
  } catch {
    return ''
  }
}

/** The message of a thrown value, for use in another message. It is short and never throws. */
export function describeError(error: unknown): string {
  try {
    return String((error as { message?: unknown } | null | undefined)?.message ?? error).slice(0, 200)
  } catch {
    return 'an error that cannot be read'
  }
}

/** Same as Array.isArray, which throws for a revoked proxy. */
export function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

/** Whether `value` is an object with these methods. False if reading them throws. */
export function hasMethods(value: unknown, names: readonly PropertyKey[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  try {
    return names.every(name => typeof (value as Record<PropertyKey, unknown>)[name] === 'function')
  } catch {
    return false
  }
}

/** The code of an error, which also identifies errors of a second copy of rdq; undefined if it has none. */
export function codeOf(error: unknown): unknown {
  try {
    return (error as { code?: unknown } | null | undefined)?.code
  } catch {
    return undefined
  }
}

/** How a value looks in a message. It is short and complete, and never throws, whatever reading the value does. */
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

/** For a message that requires a number: a hint if the value is the text of one, as environment variables are. */
export function numberHint(value: unknown): string {
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? `; did you mean the number ${value}?` : ''
}

/** The milliseconds since the epoch of a Date, even of another realm, or with replaced methods. */
export function msOf(date: Date): number {
  return Date.prototype.getTime.call(date)
}
