/** The options of a queue and of a put: what they mean, their defaults, and the one place where they are parsed. */
import type { Backlog, KeepPolicy } from './backlog.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Duration, durationMs } from './duration.ts'
import { describe, OptionError } from './errors.ts'
import type { Job, RetryPolicy } from './job.ts'
import { parseRate, type RateRule, type Rule } from './rate.ts'

/** How often a job is attempted, and how long it waits in between. A number is `attempts`. */
export interface RetryOptions {
  /** All runs count; 1. A whole number of 1 or more, or Infinity. */
  attempts?: number
  /** Before the second attempt; '1s'. */
  delay?: Duration
  /** By which the delay grows from attempt to attempt; 2. 1 or more. */
  factor?: number
  /** The longest delay; '1h'. */
  max?: Duration
  /** Takes a random part of the delay, so that many failures do not come back together; true. */
  jitter?: boolean
}

/** How long ended jobs are kept. */
export interface KeepOptions {
  /** 0: forgotten at once. */
  finished?: Duration
  /** '14d' */
  failed?: Duration
  /** '1d' */
  cancelled?: Duration
  /** How long the id that was given to a job is remembered after the job is gone; '7d'. */
  ids?: Duration
  /** Whether what a handler returned is kept with its finished job; false. */
  results?: boolean
}

/** What to do with a job whose process died while it ran. */
export type AfterCrash<Payload, Result> =
  | 'again'
  | 'fail'
  | ((job: Job<Payload, Result>) => Promise<'again' | 'finished' | 'failed'>)

export interface QueueOptions<Payload = unknown, Result = unknown> {
  /** Names the queue in its backlog, in errors and warnings; 1 to 200 characters. Required with a durable backlog. */
  name?: string
  /** How many jobs may be underway: a whole number of 0 or more, or Infinity; 1. */
  width?: number
  /** One rule or several. No limit by default. */
  rate?: Rule | readonly Rule[]
  /** Where jobs wait; a MemoryBacklog of its own. */
  backlog?: Backlog
  /** 1 attempt. */
  retry?: number | RetryOptions
  /** How long an attempt may take; no limit. */
  timeout?: Duration
  /** 'again'. Only a durable backlog outlives a crash. */
  afterCrash?: AfterCrash<Payload, Result>
  /** During how many runs a process may die before the job fails with PoisonError; 3. */
  crashLimit?: number
  /** How many jobs may be pending or delayed; Infinity. */
  size?: number
  /** When `size` is reached: 'reject' puts with QueueFullError, or let them 'wait' in order. 'reject'. */
  overflow?: 'reject' | 'wait'
  /** Milliseconds of uninterrupted work before the event loop gets a turn; 5. */
  slice?: Duration
  /** The async context that handlers run in: the queue's or the putter's; 'queue'. */
  context?: 'queue' | 'put'
  keep?: KeepOptions
  /** Starts paused; false. */
  paused?: boolean
  /** Stops the queue as `stop({ cancelUnderway: true })` when it aborts. */
  signal?: AbortSignal
  clock?: Clock
  /** The longest that a Throttled may hold the rate; '1h'. */
  maxHold?: Duration
}

export interface PutOptions {
  /** Any finite number; lower is more important; 0. */
  priority?: number
  /** How long from now it must not start; 0. Not together with `runAt`. */
  delay?: Duration
  /** When it may start: milliseconds since the epoch, or a Date. In the past it is now. */
  runAt?: number | Date
  /** A label (tenant, host, account); 1 to 200 characters. */
  key?: string
  /** 1 to 200 characters. A put of an id that is remembered puts nothing and resolves with `existed: true`. */
  id?: string
  /** Units that rules count, by name: `{ tokens: 500 }`. */
  cost?: Readonly<Record<string, number>>
  /** Instead of the queue's. */
  retry?: number | RetryOptions
  /** Instead of the queue's. */
  timeout?: Duration
  /** Cancels the job when it aborts. */
  signal?: AbortSignal
}

export interface ParsedOptions {
  readonly name: string | undefined
  readonly width: number
  readonly rate: readonly RateRule[] | undefined
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
  'rate',
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

/** What other libraries call it. */
const otherWords: Readonly<Record<string, string>> = {
  concurrency: 'width',
  workers: 'width',
  maxConcurrent: 'width',
  interval: 'rate',
  intervalCap: 'rate',
  limiter: 'rate',
  limit: 'rate',
  minTime: 'rate',
  reservoir: 'rate',
  attempts: 'retry',
  retries: 'retry',
  backoff: 'retry',
  highWater: 'size',
  maxSize: 'size',
  autoStart: 'paused',
  jobId: 'id',
  startAfter: 'delay',
  weight: 'cost',
}

export function parseQueueOptions(options: QueueOptions<never, never> = {}): ParsedOptions {
  refuseUnknown('', options, queueNames)
  const { name, width, backlog, size, overflow, context, paused, signal, clock, afterCrash, crashLimit, slice } =
    options
  if (name !== undefined) checkLabel('name', name)
  if (backlog !== undefined && (typeof backlog !== 'object' || typeof backlog?.attach !== 'function')) {
    throw new OptionError('backlog', backlog, `must be a backlog such as new MemoryBacklog(), got ${describe(backlog)}`)
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
  if (typeof afterCrash !== 'function') oneOf('afterCrash', afterCrash, ['again', 'fail'])
  if (slice !== undefined) durationMs('slice', slice, 'more')
  if (clock !== undefined && (typeof clock !== 'object' || typeof clock?.now !== 'function')) {
    throw new OptionError('clock', clock, `must be a Clock, got ${describe(clock)}`)
  }
  return {
    name,
    width: width === undefined ? 1 : parseWidth(width),
    rate: options.rate === undefined ? undefined : parseRate('rate', options.rate),
    backlog,
    retry: parseRetry('retry', options.retry),
    timeoutMs: options.timeout === undefined ? Infinity : durationMs('timeout', options.timeout, 'more'),
    size: size === undefined ? Infinity : checkWhole('size', size, 1),
    waits: overflow === 'wait',
    slice: slice ?? 5,
    context: context ?? 'queue',
    keep: parseKeep(options.keep),
    paused: paused === undefined ? false : checkBoolean('paused', paused),
    signal: signal === undefined ? undefined : checkSignal('signal', signal),
    clock: clock ?? systemClock,
    maxHoldMs: durationMs('maxHold', options.maxHold ?? '1h', 'more'),
    afterCrash: afterCrash ?? 'again',
    crashLimit: crashLimit === undefined ? 3 : checkWhole('crashLimit', crashLimit, 1),
  }
}

/** Refuses what is not legal in the options of a put; what they mean is read by intake.ts. On the way of each such put. */
export function checkPutOptions(options: PutOptions): void {
  if (typeof options !== 'object' || options === null) refuseUnknown('', options, putNames)
  for (const name in options) {
    const value = options[name as keyof PutOptions]
    if (value !== undefined || !putNames.includes(name as keyof PutOptions)) checkPutOption(name, value, options)
  }
}

function checkPutOption(name: string, value: unknown, options: PutOptions): void {
  switch (name) {
    case 'priority':
      return void checkPriority(value)
    case 'delay':
      return void durationMs('delay', value)
    case 'runAt':
      return checkRunAt(value, options.delay)
    case 'key':
    case 'id':
      return checkLabel(name, value)
    case 'cost':
      return checkCost('cost', value)
    case 'retry':
      return void parseRetry('retry', value as number | RetryOptions)
    case 'timeout':
      return void durationMs('timeout', value, 'more')
    case 'signal':
      return void checkSignal('signal', value)
    default:
      refuseUnknown('', options, putNames)
  }
}

function checkRunAt(runAt: unknown, delay: unknown): void {
  if (delay !== undefined) throw new OptionError('runAt', runAt, 'and delay say the same: give one of them')
  const instant = runAt instanceof Date ? runAt.getTime() : runAt
  if (typeof instant === 'number' && Number.isFinite(instant)) return
  throw new OptionError('runAt', runAt, `must be milliseconds since the epoch or a valid Date, got ${describe(runAt)}`)
}

export function parseWidth(value: unknown): number {
  return checkWhole('width', value, 0)
}

export function checkPriority(value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new OptionError('priority', value, `must be a finite number, lower is more important, got ${describe(value)}`)
}

export function parseRetry(option: string, value: number | RetryOptions | undefined): RetryPolicy {
  const retry = typeof value === 'number' ? { attempts: value } : (value ?? {})
  if (typeof retry !== 'object')
    throw new OptionError(option, value, `must be a number of attempts or an object, got ${describe(value)}`)
  refuseUnknown(`${option}.`, retry, ['attempts', 'delay', 'factor', 'max', 'jitter'])
  const { attempts = 1, delay = '1s', factor = 2, max = '1h', jitter = true } = retry
  if (typeof factor !== 'number' || !(factor >= 1) || factor === Infinity) {
    throw new OptionError(`${option}.factor`, factor, `must be a finite number of 1 or more, got ${describe(factor)}`)
  }
  return {
    attempts: checkWhole(typeof value === 'number' ? option : `${option}.attempts`, attempts, 1),
    delayMs: durationMs(`${option}.delay`, delay),
    factor,
    maxMs: durationMs(`${option}.max`, max),
    jitter: checkBoolean(`${option}.jitter`, jitter),
  }
}

export function checkCost(option: string, value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OptionError(option, value, `must be units by name such as { tokens: 500 }, got ${describe(value)}`)
  }
  for (const [unit, amount] of Object.entries(value)) {
    if (typeof amount === 'number' && amount >= 0 && amount < Infinity) continue
    throw new OptionError(`${option}.${unit}`, amount, `must be a finite number of 0 or more, got ${describe(amount)}`)
  }
}

export function checkWhole(option: string, value: unknown, least: number): number {
  if (value === Infinity || (Number.isSafeInteger(value) && (value as number) >= least)) return value as number
  throw new OptionError(
    option,
    value,
    `must be a whole number of ${least} or more, or Infinity, got ${describe(value)}`,
  )
}

/** Refuses names that are not among `known`, with the one that was probably meant. */
export function refuseUnknown(path: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new OptionError(path || 'options', options, `must be an object, got ${describe(options)}`)
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const meant = known.includes(otherWords[name] ?? '') ? otherWords[name] : nearest(name, known)
    const hint = meant ? `; did you mean ${path}${meant}?` : ''
    throw new OptionError(
      path + name,
      (options as Record<string, unknown>)[name],
      `is not an option${hint} Known are: ${known.join(', ')}`,
    )
  }
}

function parseKeep(keep: KeepOptions = {}): KeepPolicy {
  refuseUnknown('keep.', keep, ['finished', 'failed', 'cancelled', 'ids', 'results'])
  return {
    finishedMs: durationMs('keep.finished', keep.finished ?? 0),
    failedMs: durationMs('keep.failed', keep.failed ?? '14d'),
    cancelledMs: durationMs('keep.cancelled', keep.cancelled ?? '1d'),
    idsMs: durationMs('keep.ids', keep.ids ?? '7d'),
    results: checkBoolean('keep.results', keep.results ?? false),
  }
}

function checkBoolean(option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new OptionError(option, value, `must be true or false, got ${describe(value)}`)
}

function checkSignal(option: string, value: unknown): AbortSignal {
  if (value instanceof AbortSignal) return value
  throw new OptionError(option, value, `must be an AbortSignal, got ${describe(value)}`)
}

function checkLabel(option: string, value: unknown): void {
  if (typeof value === 'string' && value.length >= 1 && value.length <= 200) return
  throw new OptionError(option, value, `must be a string of 1 to 200 characters, got ${describe(value)}`)
}

function oneOf(option: string, value: unknown, allowed: readonly string[]): void {
  if (value === undefined || allowed.includes(value as string)) return
  throw new OptionError(
    option,
    value,
    `must be ${allowed.map(word => `'${word}'`).join(' or ')}, got ${describe(value)}`,
  )
}

/** The known name at most two slips of the pen away. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const near = known.map(word => ({ word, slips: slips(name.toLowerCase(), word.toLowerCase()) }))
  near.sort((a, b) => a.slips - b.slips)
  return near[0] && near[0].slips <= 2 ? near[0].word : undefined
}

/** Levenshtein's distance. */
function slips(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
