/** The options of a queue and of a put: their meaning, their defaults, and the one place that parses them. */
import type { Backlog, KeepPolicy } from '../backlog.ts'
import { type Clock, checkClock, systemClock } from '../clock.ts'
import { defaultSliceMs } from '../cooperate/cooperator.ts'
import { describe, hasMethods, OptionError } from '../errors.ts'
import type { Job, RetryPolicy } from '../job.ts'
import { type KeysOptions, type KeysPolicy, parseKeys } from '../limits/keys.ts'
import { type Duration, durationMs, instantMs } from '../parse/duration.ts'
import { isLabel, labelForm } from '../parse/label.ts'
import { oneOf, optionsOf, unknownOption, unreadable } from '../parse/option-names.ts'
import { checkWhole } from '../parse/whole.ts'
import { type Cost, parseRate, type RateRule, type Rule } from '../rate/rules.ts'
import { type CostOf, parseCost, parseDefaultCost } from './cost.ts'
import { type IsolateOptions, type ParsedIsolate, parseIsolate } from './isolate.ts'

/** How often a job is attempted, and how long it waits between attempts. A plain number means `attempts`. */
export interface RetryOptions {
  /** How many attempts a job has, including the first; 1. A whole number of 1 or more, or Infinity. */
  attempts?: number | undefined
  /** The wait before the second attempt; '1s'. */
  delay?: Duration | undefined
  /** The factor by which the delay grows with each attempt; 2. A number of 1 or more. */
  factor?: number | undefined
  /** The longest delay; '1h'. */
  max?: Duration | undefined
  /** Randomises part of the delay, so that many failed jobs do not retry together; true. */
  jitter?: boolean | undefined
}

/**
 * How long, and how many, ended jobs are kept. The first default is that of a durable backlog, the second that of
 * memory.
 */
export interface KeepOptions {
  /** How long finished jobs are kept; 0: not at all. */
  finished?: Duration | undefined
  /** How long failed jobs are kept; '14d', in memory '1h'. */
  failed?: Duration | undefined
  /** How long cancelled jobs are kept; '1d', in memory '1h'. */
  cancelled?: Duration | undefined
  /** How long an id given to a job is remembered after the job is gone; '7d', in memory '1h'. */
  ids?: Duration | undefined
  /** Whether the handler's result is kept with the finished job; false. Refused unless `finished` keeps the job. */
  results?: boolean | undefined
  /**
   * The most ended jobs, and the most ids, that are kept; the ones that would expire next are dropped first. Infinity;
   * in memory 10,000.
   */
  most?: number | undefined
}

/** The fate of a job whose process died while the job ran. */
export type AfterCrash<Payload, Result> =
  | 'again'
  | 'fail'
  | ((job: Job<Payload, Result>) => Promise<'again' | 'finished' | 'failed'>)

export interface QueueOptions<Payload = unknown, Result = unknown> {
  /** Names the queue in its backlog, in errors and warnings; 1 to 200 characters. Required with a durable backlog. */
  name?: string | undefined
  /** How many jobs may be underway: a whole number of 0 or more, or Infinity; 1. */
  width?: number | undefined
  /**
   * How many jobs of this name may be underway in all processes together: a whole number of 0 or more, or Infinity;
   * Infinity. In force is the smaller of both widths.
   */
  globalWidth?: number | undefined
  /** One rule or several. No limit by default. */
  rate?: Rule | readonly Rule[] | undefined
  /** Limits for each key (tenant, host, account), and how keys share. Without it keys are only labels. */
  keys?: KeysOptions | undefined
  /**
   * The cost of a job that is put without one, in units that rules count: `{ tokens: 500 }`, or a function of the
   * payload that returns that. Nothing by default.
   */
  cost?: Readonly<Record<string, number>> | ((payload: Payload) => Readonly<Record<string, number>>) | undefined
  /**
   * Runs the handler in threads or processes. The handler is then the URL of a module, and its default export is called.
   * Not set by default: the handler is a function, and runs in this thread.
   */
  isolate?: 'thread' | 'process' | IsolateOptions | undefined
  /** Where jobs wait; a MemoryBacklog of its own. Required without a handler. */
  backlog?: Backlog | undefined
  /** How often a job is attempted; 1. */
  retry?: number | RetryOptions | undefined
  /** How long an attempt may take; no limit. */
  timeout?: Duration | undefined
  /** The fate of a job whose process died while it ran; 'again'. Only a durable backlog outlives a crash. */
  afterCrash?: AfterCrash<Payload, Result> | undefined
  /** After this number of proven crashes a job fails with PoisonError; in the last of them it ran alone; 3. */
  crashLimit?: number | undefined
  /** How many jobs may be pending or delayed; Infinity. */
  size?: number | undefined
  /** When `size` is reached: 'reject' refuses puts with QueueFullError, 'wait' lets them wait in order. 'reject'. */
  overflow?: 'reject' | 'wait' | undefined
  /** How many milliseconds of uninterrupted work may pass before the event loop gets a turn; 5. */
  slice?: Duration | undefined
  /** The async context in which handlers run: that of the queue or that of the put; 'queue'. */
  context?: 'queue' | 'put' | undefined
  keep?: KeepOptions | undefined
  /** Whether the queue starts paused; false. */
  paused?: boolean | undefined
  /** Stops the queue like `stop({ cancelUnderway: true })` when the signal aborts. */
  signal?: AbortSignal | undefined
  clock?: Clock | undefined
  /** The longest time for which a Throttled may hold the rate; '1h'. */
  maxHold?: Duration | undefined
}

export interface PutOptions {
  /** Any finite number; lower is more important; 0. */
  priority?: number | undefined
  /** How long the job must wait before it may start; 0. Not together with `runAt`. */
  delay?: Duration | undefined
  /** When the job may start: milliseconds since the epoch, or a Date. An instant in the past means now. */
  runAt?: number | Date | undefined
  /** A label (tenant, host, account); 1 to 200 characters. */
  key?: string | undefined
  /** 1 to 200 characters. A put of a remembered id adds no job and resolves with `existed: true`. */
  id?: string | undefined
  /** The cost of the job in units that rules count: `{ tokens: 500 }`. Replaces the queue's `cost` as a whole. */
  cost?: Readonly<Record<string, number>> | undefined
  /** Overrides the queue's `retry`. */
  retry?: number | RetryOptions | undefined
  /** Overrides the queue's `timeout`. */
  timeout?: Duration | undefined
  /** Cancels the job when it aborts. */
  signal?: AbortSignal | undefined
}

export interface ParsedOptions {
  readonly name: string | undefined
  readonly width: number
  readonly globalWidth: number | undefined
  readonly rate: readonly RateRule[] | undefined
  readonly keys: KeysPolicy | undefined
  readonly cost: CostOf | undefined
  readonly isolate: ParsedIsolate | undefined
  readonly backlog: Backlog | undefined
  readonly retry: RetryPolicy
  readonly timeoutMs: number
  readonly size: number
  readonly waits: boolean
  readonly slice: Duration
  readonly context: 'queue' | 'put'
  readonly keep: KeepPolicy
  readonly paused: boolean
  readonly signal: AbortSignal | undefined
  readonly clock: Clock
  readonly maxHoldMs: number
  readonly afterCrash: AfterCrash<never, never>
  readonly crashLimit: number
}

const queueNames = [
  'name',
  'width',
  'globalWidth',
  'rate',
  'keys',
  'cost',
  'isolate',
  'backlog',
  'retry',
  'timeout',
  'afterCrash',
  'crashLimit',
  'size',
  'overflow',
  'slice',
  'context',
  'keep',
  'paused',
  'signal',
  'clock',
  'maxHold',
] as const // prettier-ignore

const putNames = ['priority', 'delay', 'runAt', 'key', 'id', 'cost', 'retry', 'timeout', 'signal'] as const

const retryNames = ['attempts', 'delay', 'factor', 'max', 'jitter']
const keepNames = ['finished', 'failed', 'cancelled', 'ids', 'results', 'most']

export function parseQueueOptions(options: QueueOptions<never, never> = {}): ParsedOptions {
  const read = optionsOf('', options, queueNames) as QueueOptions<never, never>
  const { name, width, backlog, size, overflow, context, paused, signal, clock, afterCrash, crashLimit, slice } = read
  if (name !== undefined) checkLabel('name', name)
  if (backlog !== undefined && !hasMethods(backlog, ['attach'])) {
    const problem = `must be a backlog such as new MemoryBacklog(), got ${describe(backlog)}`
    throw new OptionError('backlog', backlog, problem)
  }
  if (backlog?.durable && name === undefined) {
    throw new OptionError(
      'name',
      name,
      'is required with a durable backlog: a default would let one handler take the jobs of another',
    )
  }
  oneOf('overflow', overflow, ['reject', 'wait'])
  oneOf('context', context, ['queue', 'put'])
  if (typeof afterCrash !== 'function') oneOf('afterCrash', afterCrash, ['again', 'fail'], ', or a function of the job')
  if (slice !== undefined) durationMs('slice', slice, 'more')
  const rate = read.rate === undefined ? undefined : parseRate('rate', read.rate)
  const keys = read.keys === undefined ? undefined : parseKeys('keys', read.keys)
  const rules = [...(rate ?? []), ...(keys?.rate ?? [])]
  return {
    name,
    width: width === undefined ? 1 : parseWidth(width),
    globalWidth: read.globalWidth === undefined ? undefined : parseWidth(read.globalWidth, 'globalWidth'),
    rate,
    keys,
    cost: read.cost === undefined ? undefined : parseDefaultCost(read.cost, rules),
    isolate: read.isolate === undefined ? undefined : parseIsolate(read.isolate),
    backlog,
    retry: parseRetry('retry', read.retry),
    timeoutMs: read.timeout === undefined ? Infinity : durationMs('timeout', read.timeout, 'more'),
    size: size === undefined ? Infinity : checkWhole('size', size, 1),
    waits: overflow === 'wait',
    slice: slice ?? defaultSliceMs,
    context: context ?? 'queue',
    keep: parseKeep(read.keep, backlog?.durable === true),
    paused: paused === undefined ? false : checkBoolean('paused', paused),
    signal: signal === undefined ? undefined : checkSignal('signal', signal),
    clock: clock === undefined ? systemClock : checkClock('clock', clock),
    maxHoldMs: read.maxHold === undefined ? 3_600_000 : durationMs('maxHold', read.maxHold, 'more'),
    afterCrash: afterCrash ?? 'again',
    crashLimit: crashLimit === undefined ? 3 : checkWhole('crashLimit', crashLimit, 1),
  }
}

/** The parsed options of a put. */
export interface ParsedPut {
  readonly priority: number
  readonly delayMs: number | undefined
  /** Milliseconds since the epoch. */
  readonly runAt: number | undefined
  readonly key: string | undefined
  readonly id: string | undefined
  /** A copy of the given cost. */
  readonly cost: Cost | undefined
  readonly retry: RetryPolicy | undefined
  readonly timeoutMs: number | undefined
  readonly signal: AbortSignal | undefined
}

/**
 * Parses the options of a put, reading each once. Every put with options takes this path, so it creates one object and
 * no list.
 */
export function parsePut(options: PutOptions): ParsedPut {
  const { priority, delay, runAt, key, id, cost, retry, timeout, signal } = readPut(options)
  if (delay !== undefined && runAt !== undefined) {
    throw new OptionError('runAt', runAt, 'and delay say the same: give one of them')
  }
  if (key !== undefined) checkLabel('key', key)
  if (id !== undefined) checkLabel('id', id)
  return {
    priority: priority === undefined ? 0 : checkPriority(priority),
    delayMs: delay === undefined ? undefined : durationMs('delay', delay, 'zero', 'runAt'),
    runAt: runAt === undefined ? undefined : instantMs('runAt', runAt, 'delay'),
    key,
    id,
    cost: cost === undefined ? undefined : parseCost('cost', cost),
    retry: retry === undefined ? undefined : parseRetry('retry', retry),
    timeoutMs: timeout === undefined ? undefined : durationMs('timeout', timeout, 'more'),
    signal: signal === undefined ? undefined : checkSignal('signal', signal),
  }
}

function readPut(options: PutOptions): PutOptions {
  if (typeof options !== 'object' || options === null) return optionsOf('', options, putNames)
  let unknown: string | undefined
  let empty = true
  try {
    for (const name in options) {
      empty = false
      if (!putNames.includes(name as keyof PutOptions)) unknown ??= name
    }
  } catch (error) {
    throw unreadable('options', error)
  }
  if (unknown !== undefined) throw unknownOption('', unknown, options, putNames)
  // An array or a promise has no option names and is refused. Options with names that are not enumerable are read.
  if (empty) return optionsOf('', options, putNames)
  try {
    const { priority, delay, runAt, key, id, cost, retry, timeout, signal } = options
    return { priority, delay, runAt, key, id, cost, retry, timeout, signal } as PutOptions
  } catch {
    // Throws the error that names the unreadable option.
    return optionsOf('', options, putNames)
  }
}

export function parseWidth(value: unknown, option = 'width'): number {
  return checkWhole(option, value, 0)
}

export function checkPriority(value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new OptionError('priority', value, `must be a finite number, lower is more important, got ${describe(value)}`)
}

export function parseRetry(option: string, value: number | RetryOptions | undefined): RetryPolicy {
  if (value !== undefined && typeof value !== 'number' && (typeof value !== 'object' || value === null)) {
    throw new OptionError(option, value, `must be a number of attempts or an object, got ${describe(value)}`)
  }
  const isNumber = typeof value === 'number'
  const read: RetryOptions = isNumber ? { attempts: value } : optionsOf(`${option}.`, value, retryNames)
  const { attempts = 1, delay = '1s', factor = 2, max = '1h', jitter = true } = read
  if (typeof factor !== 'number' || !(factor >= 1) || factor === Infinity) {
    throw new OptionError(`${option}.factor`, factor, `must be a finite number of 1 or more, got ${describe(factor)}`)
  }
  return {
    attempts: checkWhole(isNumber ? option : `${option}.attempts`, attempts, 1),
    delayMs: durationMs(`${option}.delay`, delay),
    factor,
    maxMs: durationMs(`${option}.max`, max),
    jitter: checkBoolean(`${option}.jitter`, jitter),
  }
}

/** Ended jobs in a memory backlog cost memory that nobody requested, so they are bounded there. */
const keepInMemory = { failed: '1h', cancelled: '1h', ids: '1h', most: 10_000 } as const
const keepInDurable = { failed: '14d', cancelled: '1d', ids: '7d', most: Infinity } as const

/** The default of `keep` in a durable backlog. */
export function defaultDurableKeep(): KeepPolicy {
  return parseKeep(undefined, true)
}

function parseKeep(keep: KeepOptions | undefined, durable: boolean): KeepPolicy {
  const read: KeepOptions = optionsOf('keep.', keep, keepNames)
  const byDefault = durable ? keepInDurable : keepInMemory
  const { failed, cancelled, ids, most } = byDefault
  const policy = {
    finishedMs: durationMs('keep.finished', read.finished ?? 0),
    failedMs: durationMs('keep.failed', read.failed ?? failed),
    cancelledMs: durationMs('keep.cancelled', read.cancelled ?? cancelled),
    idsMs: durationMs('keep.ids', read.ids ?? ids),
    results: read.results === undefined ? false : checkBoolean('keep.results', read.results),
    most: read.most === undefined ? most : checkWhole('keep.most', read.most, 0),
  }
  if (policy.results && policy.finishedMs === 0) {
    const problem =
      "keeps nothing, because finished jobs are forgotten at once; set keep.finished too, to '1h' for example"
    throw new OptionError('keep.results', true, problem)
  }
  if (policy.results && policy.most === 0) {
    throw new OptionError('keep.results', true, 'keeps nothing, because keep.most is 0; raise keep.most')
  }
  return policy
}

export function checkBoolean(option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new OptionError(option, value, `must be true or false, got ${describe(value)}`)
}

/** Accepts an AbortSignal of any realm, or of a library that has its own. */
export function checkSignal(option: string, value: unknown): AbortSignal {
  if (isSignal(value)) return value
  const hint = hasMethods(value, ['abort']) ? `; did you mean the signal of this AbortController?` : ''
  throw new OptionError(option, value, `must be an AbortSignal, got ${describe(value)}${hint}`)
}

function isSignal(value: unknown): value is AbortSignal {
  if (!hasMethods(value, ['addEventListener', 'removeEventListener'])) return false
  return typeof (value as AbortSignal).aborted === 'boolean'
}

export function checkLabel(option: string, value: unknown): asserts value is string {
  if (!isLabel(value)) throw new OptionError(option, value, `must be ${labelForm}, got ${describe(value)}`)
}
