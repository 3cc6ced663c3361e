/**
 * The errors by which a handler decides what happens to its job: run it later, slow down, or do not run it again.
 *
 * They are recognised by `code` and not by class, because a handler in a package of its own may use a second copy of
 * rdq. That copy may be of another version, or a look-alike, so its fields are checked when they are read.
 */
import { systemClock } from '../clock.ts'
import { DispatchError, describe, describeError, OptionError } from '../errors.ts'
import { isLabel, labelForm } from '../parse/label.ts'
import { optionsOf } from '../parse/option-names.ts'
import { type After, afterMs } from './after-value.ts'

/** Thrown by a handler: put the job back for `after`, without using up an attempt. */
export class RetryLater extends DispatchError {
  static override readonly name: string = 'RetryLater'
  readonly code = 'RETRY_LATER'
  /** The value as it was given. */
  readonly after: After
  /**
   * @param after Milliseconds, `'10s'`, a Date, or the unchanged value of a Retry-After header: there `'120'` means
   * seconds, or the value is an HTTP date. Null, undefined and '' (no header) mean the delay of `retry`, and 1 s where
   * that is 0. Throws OptionError.
   */
  constructor(after?: After) {
    super('the handler asked to run this job later')
    this.after = checked('RetryLater', after)
  }
}

/**
 * Thrown by a handler after a server's 429: holds the queue, or only a key or a named rule, for `after`; no attempt is
 * used.
 */
export class Throttled extends DispatchError {
  static override readonly name: string = 'Throttled'
  readonly code = 'THROTTLED'
  /** The value as it was given. */
  readonly after: After
  /** The key whose jobs are held; true: that of the job. Undefined with no `rule` either: all jobs of the queue. */
  readonly key: string | true | undefined
  /** The name of the rule that is held, for all queues that share it. */
  readonly rule: string | undefined
  /**
   * @param after The server's answer: `new Throttled(response.headers.get('retry-after'))`. Milliseconds, `'10s'`, a
   * Date, or the unchanged value of a Retry-After header: there `'120'` means seconds, or the value is an HTTP date.
   * Null, undefined and '' (no header) mean the delay of `retry`, and 1 s where that is 0. Capped by `maxHold`. Throws
   * OptionError.
   * @param options `key`: holds the jobs of that key and no others; `true` means the job's own key. A job without a key
   * then holds the queue, as without `key`. `rule`: holds the rule of that name, and with it all queues of the backlog
   * that share it; if the queue has no such rule, the job fails with {@link RuleUnknownError}. With both, both are held.
   */
  constructor(after?: After, options: { key?: string | true | undefined; rule?: string | undefined } = {}) {
    super('the handler was told to slow down')
    this.after = checked('Throttled', after)
    const { key, rule } = targetsOf(options)
    this.key = key
    this.rule = rule
  }
}

/** Thrown by a handler: the job fails at once, even if it has attempts left. */
export class Unrecoverable extends DispatchError {
  static override readonly name: string = 'Unrecoverable'
  readonly code = 'UNRECOVERABLE'
  /** @param message The reason. An error given instead supplies its message and becomes the `cause`. */
  constructor(message = 'the handler gave the job up', options?: ErrorOptions) {
    const isText = typeof message === 'string'
    super(isText ? message : describeError(message), options ?? (isText ? undefined : { cause: message }))
  }
}

/** The rates that a {@link Throttled} holds; with neither, that of the queue. */
interface Targets {
  readonly key: string | true | undefined
  readonly rule: string | undefined
}

/** The request that a control error carries. */
export type Control =
  | { readonly kind: 'later'; readonly afterMs: number | undefined }
  | ({ readonly kind: 'throttled'; readonly afterMs: number | undefined } & Targets)
  | { readonly kind: 'never' }

/**
 * The request that `error` carries, recognised by its code; undefined if it is no control error. `wall` is the present
 * instant, to which dates relate. Throws an {@link OptionError} if the request is invalid.
 *
 * `RetryLater` and `Throttled` must also have a field `after`: an error of some client that merely has the code
 * 'THROTTLED' lacks it and counts as an ordinary failure.
 */
export function controlOf(error: unknown, wall: number): Control | undefined {
  const { code, after, key, rule, carries } = partsOf(error)
  if (code === 'UNRECOVERABLE') return { kind: 'never' }
  if (!carries) return undefined
  if (code === 'RETRY_LATER') return { kind: 'later', afterMs: afterMs('RetryLater', after, wall) }
  if (code !== 'THROTTLED') return undefined
  return {
    kind: 'throttled',
    afterMs: afterMs('Throttled', after, wall),
    key: checkedKey(key),
    rule: checkedRule(rule),
  }
}

interface Parts {
  readonly code: unknown
  readonly after: unknown
  readonly key: unknown
  readonly rule: unknown
  /** Whether the field `after` exists, even with the value undefined. */
  readonly carries: boolean
}

const nothing: Parts = { code: undefined, after: undefined, key: undefined, rule: undefined, carries: false }

/** Reads each field once, because a thrown value may return something else the next time, or throw. */
function partsOf(error: unknown): Parts {
  if (typeof error !== 'object' || error === null) return nothing
  try {
    const { code } = error as { code?: unknown }
    if (code !== 'RETRY_LATER' && code !== 'THROTTLED' && code !== 'UNRECOVERABLE') return nothing
    const { after, key, rule } = error as { after?: unknown; key?: unknown; rule?: unknown }
    return { code, after, key, rule, carries: 'after' in error }
  } catch {
    return nothing
  }
}

/**
 * Refuses an invalid value in the constructor, where the stack shows who gave it, instead of when the error is read.
 */
function checked(of: string, after: After): After {
  afterMs(of, after, systemClock.wall())
  return after
}

function targetsOf(options: { key?: string | true | undefined; rule?: string | undefined }): Targets {
  if (typeof options === 'object' && options !== null) {
    const { key, rule } = optionsOf('Throttled.', options, ['key', 'rule'])
    return { key: checkedKey(key), rule: checkedRule(rule) }
  }
  const allowed = 'must be an object such as { key } or { rule }'
  throw new OptionError('options', options, `${allowed}, got ${describe(options)}`, 'Throttled')
}

function checkedKey(key: unknown): string | true | undefined {
  if (key === undefined || key === true || isLabel(key)) return key
  const allowed = `must be ${labelForm}, true for the job's own key, or undefined`
  throw new OptionError('key', key, `${allowed}, got ${describe(key)}`, 'Throttled')
}

function checkedRule(rule: unknown): string | undefined {
  if (rule === undefined || isLabel(rule)) return rule
  const allowed = `must be the name of a rule, which is ${labelForm}, or undefined`
  throw new OptionError('rule', rule, `${allowed}, got ${describe(rule)}`, 'Throttled')
}
