/**
 * Checks the names of options, states and events. An unknown name is refused with the nearest known one. The words of
 * other queue libraries for the same things are known too.
 */
import { types } from 'node:util'
import { describe, isArray, OptionError } from '../errors.ts'

/** The words of other libraries, and their names here. The first one that the refusing option accepts is suggested. */
const otherWords: Readonly<Record<string, readonly string[]>> = {
  // The queue.
  concurrency: ['width'],
  workers: ['width'],
  maxConcurrent: ['width'],
  maxConcurrency: ['width'],
  teamSize: ['width'],
  batchSize: ['width'],
  interval: ['rate', 'per'],
  intervalCap: ['rate'],
  limiter: ['rate'],
  limit: ['rate'],
  minTime: ['rate'],
  reservoir: ['rate'],
  attempts: ['retry', 'attempts'],
  retries: ['retry', 'attempts'],
  maxAttempts: ['retry', 'attempts'],
  maxRetries: ['retry', 'attempts'],
  retryLimit: ['retry', 'attempts'],
  highWater: ['size'],
  maxSize: ['size'],
  maxLength: ['size'],
  strategy: ['overflow'],
  autoStart: ['paused'],
  autostart: ['paused'],
  autorun: ['paused'],
  abortSignal: ['signal'],
  expiration: ['timeout'],
  expireInSeconds: ['timeout'],
  maxStalledCount: ['crashLimit'],
  removeOnComplete: ['keep', 'finished'],
  removeOnFail: ['keep', 'failed'],
  store: ['backlog'],
  storage: ['backlog'],
  connection: ['backlog'],
  // A put.
  prio: ['priority'],
  jobId: ['id'],
  singletonKey: ['id'],
  startAfter: ['delay', 'runAt'],
  delayUntil: ['runAt'],
  weight: ['cost'],
  group: ['key'],
  // A retry.
  backoff: ['delay and factor', 'retry'],
  retryDelay: ['delay', 'retry'],
  minTimeout: ['delay'],
  maxTimeout: ['max'],
  maxDelay: ['max'],
  retryDelayMax: ['max'],
  exponential: ['factor'],
  // Kept jobs.
  completed: ['finished'],
  complete: ['finished'],
  succeeded: ['finished'],
  success: ['finished'],
  done: ['finished'],
  error: ['failed'],
  canceled: ['cancelled'],
  // A stop.
  timeout: ['grace'],
  force: ['cancelUnderway'],
  // A rule.
  max: ['limit'],
  points: ['limit'],
  requests: ['limit'],
  duration: ['per'],
  window: ['per'],
  perMs: ['per'],
  jitterMs: ['jitter'],
  unit: ['of'],
  // States and events.
  waiting: ['pending'],
  queued: ['pending'],
  created: ['pending'],
  wait: ['pending'],
  added: ['pending'],
  add: ['pending'],
  active: ['underway'],
  running: ['underway'],
  executing: ['underway'],
  started: ['underway'],
  scheduled: ['delayed'],
  drain: ['idle'],
  drained: ['idle'],
  empty: ['idle'],
  next: ['settled'],
  retrying: ['retry'],
  stopping: ['stopped'],
  close: ['stopped'],
  closed: ['stopped'],
  // Values.
  block: ['wait'],
  drop: ['reject'],
  throw: ['reject'],
}

/**
 * The name that was probably meant: the translation of another library's word, or a known name within two typing
 * errors.
 */
export function meantBy(name: string, known: readonly string[]): string | undefined {
  const theirs = Object.hasOwn(otherWords, name) ? (otherWords[name] as readonly string[]) : []
  const meant = theirs.find(word => word.split(' and ').every(part => known.includes(part)))
  return meant ?? nearest(name, known)
}

function nearest(name: string, known: readonly string[]): string | undefined {
  // A much longer name is no misspelling of a word here, and the comparison takes quadratic time.
  if (name.length > 40) return undefined
  let best: string | undefined
  let least = 3
  for (const word of known) {
    const distance = slips(name.toLowerCase(), word.toLowerCase())
    if (distance >= Math.min(least, word.length)) continue
    least = distance
    best = word
  }
  return best
}

/** Levenshtein distance. */
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

/** Refuses a value that is not one of the `allowed` words. The error suggests the one that was probably meant. */
export function oneOf(option: string, value: unknown, allowed: readonly string[], other = ''): void {
  if (value === undefined || allowed.includes(value as string)) return
  const words = allowed.map(word => `'${word}'`)
  const list = words.length === 2 ? words.join(' or ') : `one of ${words.join(', ')}`
  const meant = typeof value === 'string' ? meantBy(value, allowed) : undefined
  const hint = meant === undefined ? '' : `; did you mean '${meant}'?`
  throw new OptionError(option, value, `must be ${list}${other}, got ${describe(value)}${hint}`)
}

/**
 * Refuses names that are not among `known`. The error suggests the one that was probably meant. `path` precedes a name:
 * `'keep.'`.
 */
export function refuseUnknown(path: string, options: object, known: readonly string[]): void {
  for (const name of namesOf(path, options)) if (!known.includes(name)) throw unknownOption(path, name, options, known)
}

export function unknownOption(path: string, name: string, options: object, known: readonly string[]): OptionError {
  const meant = meantBy(name, known)
  const words = meant?.split(' and ').map(word => `${path}${word}`)
  const hint = words ? `; did you mean ${words.join(' and ')}?` : '.'
  return new OptionError(
    `${path}${name}`,
    readable(options, name),
    `is not an option${hint} Known are: ${known.join(', ')}`,
  )
}

/**
 * The known options in `value`, each read once, so that the checked value is the used value. Throws an
 * {@link OptionError} for a value that is no object of options, for an unknown name, and for an option that cannot be
 * read.
 */
export function optionsOf(path: string, value: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (value === undefined) return {}
  refuseUnknown(path, value as object, known)
  const read: Record<string, unknown> = {}
  for (const name of known) {
    try {
      const option = (value as Record<string, unknown>)[name]
      if (option !== undefined) read[name] = option
    } catch (error) {
      throw unreadable(`${path}${name}`, error)
    }
  }
  return read
}

/** The names in an object of options. An array, a promise or a map is refused, although it is an object. */
function namesOf(path: string, options: unknown): readonly string[] {
  const option = path.slice(0, -1) || 'options'
  try {
    if (isRecord(options)) return Object.keys(options)
  } catch (error) {
    throw unreadable(option, error)
  }
  throw new OptionError(option, options, `must be an object of options, got ${describe(options)}`)
}

/** Whether `value` is an object whose properties have a meaning: no array, promise, map, set or date. */
export function isRecord(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || isArray(value)) return false
  return !(types.isPromise(value) || types.isMap(value) || types.isSet(value) || types.isDate(value))
}

/** For a getter or a proxy that threw when the option was read. */
export function unreadable(option: string, cause: unknown): OptionError {
  const error = new OptionError(option, undefined, 'cannot be read: reading it throws')
  error.cause = cause
  return error
}

function readable(options: object, name: string): unknown {
  try {
    return (options as Record<string, unknown>)[name]
  } catch {
    return undefined
  }
}
