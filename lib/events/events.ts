/**
 * The events of a queue: their names, their arguments, and an emitter that survives failing listeners.
 *
 * A listener that throws or rejects is reported as `error` and affects no other listener. An `error` without a listener
 * becomes a process warning, at most one per queue and minute.
 */
import { EventEmitter } from 'eventemitter3'
import type { Clock } from '../clock.ts'
import { describe, OptionError } from '../errors.ts'
import type { Job, Limited } from '../job.ts'
import { oneOf } from '../parse/option-names.ts'
import type { RateRule } from '../rate/rules.ts'
import { inCleanContext } from '../support/clean-context.ts'

/** Where an `error` comes from. */
export interface ErrorContext {
  readonly event?: string
  readonly job?: Job
}

/** The first argument of a job event is the job. `settled` follows any ending. */
export interface QueueEvents<Payload = unknown, Result = unknown> {
  pending: [job: Job<Payload, Result>]
  delayed: [job: Job<Payload, Result>]
  underway: [job: Job<Payload, Result>]
  progress: [job: Job<Payload, Result>, value: unknown]
  checkpoint: [job: Job<Payload, Result>, value: unknown]
  retry: [job: Job<Payload, Result>, error: unknown, delay: number]
  finished: [job: Job<Payload, Result>]
  failed: [job: Job<Payload, Result>]
  cancelled: [job: Job<Payload, Result>]
  recovered: [job: Job<Payload, Result>]
  lost: [job: Job<Payload, Result>]
  stuck: [job: Job<Payload, Result>]
  abandoned: [job: Job<Payload, Result>]
  settled: [job: Job<Payload, Result>]
  /**
   * `reason` is a sentence, if a controller has set the width (`rdq/adaptive`). With `key` it is the width of that key,
   * which a controller has set.
   */
  width: [now: number, before: number, reason?: string, key?: string]
  globalWidth: [now: number, before: number]
  rate: [now: readonly RateRule[], before: readonly RateRule[]]
  limited: [Limited]
  paused: []
  resumed: []
  idle: []
  stopped: []
  stalled: []
  error: [error: unknown, context: ErrorContext]
}

export type QueueEventName = keyof QueueEvents

/** Every event name. The type makes the compiler check that none is missing. */
const isEvent: Readonly<Record<QueueEventName, true>> = {
  pending: true,
  delayed: true,
  underway: true,
  progress: true,
  checkpoint: true,
  retry: true,
  finished: true,
  failed: true,
  cancelled: true,
  recovered: true,
  lost: true,
  stuck: true,
  abandoned: true,
  settled: true,
  width: true,
  globalWidth: true,
  rate: true,
  limited: true,
  paused: true,
  resumed: true,
  idle: true,
  stopped: true,
  stalled: true,
  error: true,
}
const eventNames: readonly string[] = Object.keys(isEvent)

type Listener = (...args: never[]) => unknown

type On<Payload, Result, E extends QueueEventName> = EventEmitter.EventListener<QueueEvents<Payload, Result>, E>

const minuteMs = 60_000
const ignored = (): void => {}

/**
 * Reports errors of one queue that have no listener, as process warnings. The first is shown at once. Those of the next
 * minute are counted and shown as one warning, with the first error after that minute or when the queue has stopped.
 */
class UnhandledErrors {
  readonly #queue: string
  readonly #noun: string
  #count = 0
  #first: unknown
  #warnedAt = -Infinity

  constructor(queue: string, noun: string) {
    this.#queue = queue
    this.#noun = noun
  }
  note(error: unknown, now: number): void {
    if (this.#count++ === 0) this.#first = error
    if (now - this.#warnedAt < minuteMs) return
    if (this.#count > 1) this.rest()
    else this.#warn(`an ${this.#noun}; further ones within a minute are combined into one warning`)
    this.#warnedAt = now
  }
  /** Shows the errors that were only counted. */
  rest(): void {
    if (this.#count === 0) return
    const nouns = this.#count === 1 ? this.#noun : `${this.#noun}s`
    this.#warn(`${this.#count} more ${nouns}; the first of them`)
  }
  #warn(what: string): void {
    process.emitWarning(`queue '${this.#queue}': ${what}: ${messageOf(this.#first)}`, 'DispatchQueueWarning')
    this.#count = 0
    this.#first = undefined
  }
}

/** The text of an error. Never throws, whatever the error is. */
function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.stack ?? error.message) : String(error)
  } catch {
    return 'an error that cannot be shown'
  }
}

export class SafeEmitter<Payload, Result> extends EventEmitter<QueueEvents<Payload, Result>> {
  readonly #clock: Clock
  readonly #errors: UnhandledErrors
  readonly #failures: UnhandledErrors
  /**
   * The iterators over events that have not ended (event-stream.ts).
   * @internal
   */
  readonly streams: Set<{ readonly event: QueueEventName; end(): void }> = new Set()
  /**
   * `stopped` was emitted, so no event follows.
   * @internal
   */
  over = false
  /**
   * The wrapper of each listener, by event, because `off` receives the listener itself. It is collected with the
   * listener.
   */
  readonly #wrapped = new Map<unknown, WeakMap<Listener, Listener>>()

  /** The last error of the backlog that was reported. */
  #reportedLast: unknown

  constructor(queue: string, clock: Clock) {
    super()
    this.#errors = new UnhandledErrors(queue, 'unhandled error')
    this.#failures = new UnhandledErrors(queue, 'unhandled job failure')
    this.#clock = clock
  }
  /**
   * Whether the event has a listener. Without one its arguments need not be created.
   * @internal
   */
  hasListener(event: QueueEventName): boolean {
    return this.listenerCount(event) > 0
  }
  /**
   * Emits an event. It takes loose arguments so that the hot path needs no tuple. Listeners run in a clean async
   * context, not in that of the code that created the queue, put the job or cancelled it.
   */
  announce(event: QueueEventName, ...args: unknown[]): void {
    if (this.listenerCount(event) > 0)
      inCleanContext(this.emit as (...args: unknown[]) => boolean, this, event, ...args)
  }
  /**
   * Emits `stopped`, the last event.
   * @internal
   */
  finish(): void {
    this.announce('stopped')
    this.over = true
    for (const stream of this.streams) stream.end()
    this.#errors.rest()
    this.#failures.rest()
  }
  /** Reports a failed job whose failure had no listener and whose result nobody requested. */
  unobservedFailure(error: unknown): void {
    this.#failures.note(error, this.#clock.now())
  }
  report(error: unknown, context: ErrorContext): void {
    // A backlog that is gone for good refuses every request with the same error, which is reported once.
    const isOfBacklog = context.event === undefined && context.job === undefined
    if (isOfBacklog && error === this.#reportedLast) return
    if (isOfBacklog) this.#reportedLast = error
    if (!this.hasListener('error')) {
      this.#errors.note(error, this.#clock.now())
      return
    }
    this.announce('error', error, context)
  }
  override on<E extends QueueEventName>(event: E, listener: On<Payload, Result, E>, context?: unknown): this {
    this.#check(event, listener)
    return super.on(event, this.#wrap(event, listener) as On<Payload, Result, E>, context)
  }
  override once<E extends QueueEventName>(event: E, listener: On<Payload, Result, E>, context?: unknown): this {
    this.#check(event, listener)
    return super.once(event, this.#wrap(event, listener) as On<Payload, Result, E>, context)
  }
  override addListener<E extends QueueEventName>(event: E, listener: On<Payload, Result, E>, context?: unknown): this {
    return this.on(event, listener, context)
  }
  override off<E extends QueueEventName>(
    event: E,
    listener?: On<Payload, Result, E>,
    context?: unknown,
    once?: boolean,
  ): this {
    this.#check(event, listener ?? ignored)
    if (listener === undefined) return this.removeAllListeners(event)
    const wrapped = this.#wrapped.get(event)?.get(listener as Listener) ?? listener
    return super.off(event, wrapped as On<Payload, Result, E>, context, once)
  }
  override removeListener<E extends QueueEventName>(
    event: E,
    listener?: On<Payload, Result, E>,
    context?: unknown,
    once?: boolean,
  ): this {
    return this.off(event, listener, context, once)
  }
  /** Refuses a misspelt event, because the listener would otherwise wait in silence. */
  #check(event: unknown, listener: unknown): void {
    oneOf('event', event ?? null, eventNames)
    if (typeof listener === 'function') return
    throw new OptionError('listener', listener, `must be a function, got ${describe(listener)}`)
  }
  override removeAllListeners(event?: QueueEventName): this {
    super.removeAllListeners(event)
    for (const stream of this.streams) if (event === undefined || stream.event === event) stream.end()
    return this
  }
  #wrap<E extends QueueEventName>(event: E, listener: On<Payload, Result, E>): Listener {
    let ofEvent = this.#wrapped.get(event)
    if (!ofEvent) this.#wrapped.set(event, (ofEvent = new WeakMap()))
    let safe = ofEvent.get(listener)
    if (!safe) {
      const failed = (error: unknown): void => {
        // A failing listener of `error` must not be called with its own failure: it would fail again.
        if (event === 'error') this.#errors.note(error, this.#clock.now())
        else this.report(error, { event })
      }
      safe = function (this: unknown, ...args: never[]): void {
        try {
          const answer: unknown = (listener as Listener).apply(this, args)
          if (typeof (answer as PromiseLike<unknown> | undefined)?.then === 'function') {
            void (answer as PromiseLike<unknown>).then(undefined, failed)
          }
        } catch (error) {
          failed(error)
        }
      }
      ofEvent.set(listener, safe)
    }
    return safe
  }
}
