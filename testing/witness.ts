/**
 * A witness records one queue object: calls, their replies, and events.
 *
 * It replaces the verbs of that one object, so that it also sees calls by a job handle or a signal. It changes nothing
 * in their effect, except that it gives ids to jobs without one.
 */
import { types } from 'node:util'
import { parseWhen } from '../lib/control/commands.ts'
import { Key } from '../lib/control/keys.ts'
import { Job, type RetryPolicy } from '../lib/job.ts'
import { type KeysOptions, parseKeys } from '../lib/limits/keys.ts'
import { type CostOf, parseDefaultCost } from '../lib/options/cost.ts'
import { type PutOptions, parseRetry, type QueueOptions, type RetryOptions } from '../lib/options/options.ts'
import { durationMs } from '../lib/parse/duration.ts'
import { DispatchQueue } from '../lib/queue.ts'
import { type Cost, parseRate, type RateRule } from '../lib/rate/rules.ts'
import type { Handler } from '../lib/run/run.ts'
import type { Emitted, Fact, PutCalled, Verb } from './entry.ts'
import { codeOf, watchedHandler } from './watched-handler.ts'

export interface WitnessOptions {
  /** The process, or life of one, of the queue; 'main'. Two queue objects that share a name need two. */
  readonly process?: string | undefined
  /** Whether each put without an id gets one, so that its job is known from the request on; true. */
  readonly ids?: boolean | undefined
  /**
   * Settings of the queue that cannot be read from it. Invariants that depend on them are judged only if they are
   * given.
   */
  readonly attempts?: number | undefined
  /** Same as the queue's option `retry`: also how long jobs wait between attempts. */
  readonly retry?: number | RetryOptions | undefined
  readonly crashLimit?: number | undefined
  readonly afterCrash?: 'again' | 'fail' | 'ask' | undefined
  readonly idsMs?: number | undefined
  /** Same as the queue's option `keys`. Without it, the checkers take it that keys neither share nor limit. */
  readonly keys?: KeysOptions | undefined
  /**
   * Same as the queue's option `cost`. Without it, the checkers take it that jobs without a cost of their own have
   * none.
   */
  readonly cost?: QueueOptions<never>['cost'] | undefined
}

/**
 * Creates a handler that does the same and is recorded. `generates` says for which payloads a function returns a
 * generator: its first line is then that of the generator's body. For generator functions this is known.
 */
export type RecordHandler = <Payload, Result>(
  handler: Handler<Payload, Result>,
  generates?: (payload: Payload) => boolean,
) => Handler<Payload, Result>

type AnyQueue = DispatchQueue<unknown, unknown>
type Verbs = Record<string, (...args: unknown[]) => unknown>

const jobEvents = [
  ...([
    'pending',
    'delayed',
    'underway',
    'progress',
    'checkpoint',
    'retry',
    'finished',
    'failed',
    'cancelled',
  ] as const),
  ...(['recovered', 'lost', 'stuck', 'abandoned', 'settled'] as const),
]
const queueEvents = ['width', 'rate', 'limited', 'paused', 'resumed', 'idle', 'stopped', 'stalled'] as const

export class Witness {
  readonly process: string
  readonly #write: (queue: string, fact: Fact) => void
  readonly #nextCall: () => number
  readonly #nextName: () => number
  readonly #fences = new Map<string, number>()
  /** Promises that were given out in place of the queue's own. */
  readonly #given = new WeakMap<Promise<unknown>, Promise<unknown>>()
  readonly #adopted = new WeakSet<Job>()
  #queue: AnyQueue | undefined
  #name = ''
  #ids = true
  #works = false
  #silent = false
  #costOf: CostOf = () => ({})

  /** @param next Numbers calls and names over all witnesses of a history, because a process may have several lives. */
  constructor(
    write: (queue: string, fact: Fact) => void,
    next: { readonly call: () => number; readonly name: () => number },
    process: string,
  ) {
    this.#write = write
    this.#nextCall = next.call
    this.#nextName = next.name
    this.process = process
  }
  silence(): void {
    this.#silent = true
  }
  handler<Payload, Result>(
    handler: Handler<Payload, Result>,
    generates?: (payload: Payload) => boolean,
  ): Handler<Payload, Result> {
    this.#works = true
    return watchedHandler(
      handler,
      generates ?? (() => types.isGeneratorFunction(handler)),
      fact => this.#record(fact),
      job => this.#fences.get(job),
    )
  }
  watch(
    queue: DispatchQueue<never, never> | AnyQueue,
    { ids = true, attempts, retry, crashLimit, afterCrash, idsMs, keys, cost }: WitnessOptions,
  ): void {
    const it = queue as AnyQueue
    this.#queue = it
    this.#name = it.name
    this.#ids = ids
    if (cost !== undefined) this.#costOf = parseDefaultCost(cost, [])
    this.#record({
      ...{ kind: 'opened', width: it.width, rules: it.rate, paused: it.paused, works: this.#works },
      ...(it.globalWidth < Infinity && { globalWidth: it.globalWidth }),
      ...(attempts !== undefined && { attempts }),
      ...policyOf(retry),
      ...(crashLimit !== undefined && { crashLimit }),
      ...(afterCrash !== undefined && { afterCrash }),
      ...(idsMs !== undefined && { idsMs }),
      ...(keys !== undefined && { keys: parseKeys('keys', keys) }),
    })
    this.#watchPuts(it)
    this.#watchChanges(it)
    this.#watchKeys(it)
    this.#watchState(it)
    this.#listen(it)
  }
  readCounts(): void {
    const { closing, asOf, ...counts } = (this.#queue as AnyQueue).counts
    this.#record({ kind: 'counts', counts, closing })
  }
  async inventory(): Promise<void> {
    const queue = this.#queue as AnyQueue
    const jobs: { id: string; state: Job['state']; attempt: number; code?: string }[] = []
    for (const state of ['pending', 'delayed', 'underway', 'finished', 'failed', 'cancelled'] as const) {
      for (let after: Job | undefined; ; ) {
        const page: Job[] = await queue.jobs({ state, limit: 1_000, ...(after && { after }) })
        for (const { id, attempt, error } of page) {
          jobs.push({ id, state, attempt, ...(state === 'failed' && { code: codeOf(error) }) })
        }
        after = page.at(-1)
        if (!after) break
      }
    }
    const { closing, asOf, ...counts } = queue.counts
    this.#record({ kind: 'inventory', counts, jobs })
  }
  #record(fact: Fact): void {
    if (!this.#silent) this.#write(this.#name, fact)
  }

  #watchPuts(queue: AnyQueue): void {
    const { put, putMany, run } = queue as unknown as Verbs
    this.#become('put', (payload, options) => {
      const call = this.#nextCall()
      const named = this.called(call, options, payload)
      return this.#answered('put', call, put?.call(queue, payload, named), job => this.#accepted(call, job as Job))
    })
    this.#become('putMany', (payloads, options) => {
      const call = this.#nextCall()
      const each = optionsOfEach(payloads, options)?.map((each, i) =>
        this.called(call, each, (payloads as unknown[])[i]),
      )
      const promise = putMany?.call(queue, payloads, each ? (_: unknown, i: number) => each[i] : options)
      return this.#answered('put', call, promise, jobs => {
        for (const job of jobs as Job[]) this.#accepted(call, job)
      })
    })
    this.#become('run', (payload, options) => {
      const call = this.#nextCall()
      const named = this.called(call, options, payload)
      const job = (named as PutOptions | undefined)?.id
      const of = { of: 'run', call, ...(job !== undefined && { job }) } as const
      this.#record({ kind: 'promised', ...of })
      const promise = run?.call(queue, payload, named) as Promise<unknown>
      return promise.then(
        value => {
          this.#record({ kind: 'settled', ...of, how: 'resolved' })
          return value
        },
        error => {
          this.#record({ kind: 'settled', ...of, how: 'rejected', code: codeOf(error) })
          throw error
        },
      )
    })
  }
  /** Records one put, and returns the options with which its job is known. */
  called(call: number, options: unknown, payload: unknown): unknown {
    const called = (options ?? {}) as PutOptions
    if (typeof called !== 'object') return options
    const id = called.id ?? (this.#ids ? `${this.process}-${this.#nextName()}` : undefined)
    this.#record(factOfPut(call, id, { ...called, cost: called.cost ?? this.#costByDefault(payload) }))
    return id === called.id ? options : { ...called, id }
  }
  /** Undefined if there is none, or it cannot be computed: then the put is refused. */
  #costByDefault(payload: unknown): Cost | undefined {
    try {
      const cost = this.#costOf(payload)
      return Object.keys(cost).length > 0 ? cost : undefined
    } catch {
      return undefined
    }
  }
  #accepted(call: number, job: Job): void {
    this.#record({ kind: 'accepted', call, job: job.id, existed: job.existed })
    this.#adopt(job)
  }
  /** Records every request of the job's result. */
  #adopt(job: Job): void {
    if (this.#adopted.has(job)) return
    this.#adopted.add(job)
    const { get } = Object.getOwnPropertyDescriptor(Job.prototype, 'result') as PropertyDescriptor
    let result: Promise<unknown> | undefined
    const first = (): Promise<unknown> => {
      const of = { of: 'result', call: this.#nextCall(), job: job.id } as const
      this.#record({ kind: 'promised', ...of })
      const promise = get?.call(job) as Promise<unknown>
      promise.then(
        () => this.#record({ kind: 'settled', ...of, how: 'resolved' }),
        error => this.#record({ kind: 'settled', ...of, how: 'rejected', code: codeOf(error) }),
      )
      return promise
    }
    Object.defineProperty(job, 'result', { configurable: true, get: () => (result ??= first()) })
  }

  #watchChanges(queue: AnyQueue): void {
    const verbs = queue as unknown as Verbs
    for (const kind of ['cancel', 'retry', 'remove', 'reprioritize', 'reschedule', 'promote'] as const) {
      const verb = verbs[kind]
      this.#become(kind, (target, more) => {
        const call = this.#nextCall()
        const job = typeof target === 'string' ? target : String((target as Job | undefined)?.id)
        const facts = kind === 'reprioritize' ? { priority: more as number } : kind === 'reschedule' ? whenOf(more) : {}
        this.#record({ kind, call, job, ...facts })
        const value = (answer: unknown): boolean | undefined => (typeof answer === 'boolean' ? answer : undefined)
        return this.#answered(kind, call, verb?.call(queue, target, more), answer => {
          if (kind === 'retry') this.#adopt(answer as Job)
          this.#record({ kind: 'answered', of: kind, call, ...valued(value(answer)) })
        })
      })
    }
    for (const kind of ['clear', 'idle'] as const) {
      const verb = verbs[kind]
      this.#become(kind, () => {
        const call = this.#nextCall()
        this.#record({ kind, call })
        return this.#answered(kind, call, verb?.call(queue), answer => {
          this.#record({ kind: 'answered', of: kind, call, ...valued(answer as number | undefined) })
        })
      })
    }
  }

  #watchKeys(queue: AnyQueue): void {
    const { key, clearOverrides } = queue as unknown as Verbs
    this.#become('key', name => this.#watchedKey(key?.call(queue, name) as Key))
    this.#become('clearOverrides', only => {
      const call = this.#nextCall()
      this.#record({ kind: 'clearOverrides', call, ...(only !== undefined && { only: String(only) }) })
      const promise = clearOverrides?.call(queue, only)
      return this.#answered('clearOverrides', call, promise, () => {
        this.#record({ kind: 'answered', of: 'clearOverrides', call })
      })
    })
  }
  /** Records what is set for the key by this object. */
  #watchedKey(key: Key): Key {
    const kind = 'key'
    for (const name of ['width', 'rate', 'weight'] as const) {
      const accessor = Object.getOwnPropertyDescriptor(Key.prototype, name) as PropertyDescriptor
      const set = (value: unknown): void => {
        accessor.set?.call(key, value)
        const call = this.#nextCall()
        // The new value is shown at once, parsed.
        const shown = value === undefined ? null : accessor.get?.call(key)
        this.#record({ kind, call, key: key.name, [name]: shown })
        const stored = this.#answered(kind, call, key.stored(), () =>
          this.#record({ kind: 'answered', of: kind, call }),
        )
        // A failed write is emitted as `error`.
        stored.catch(() => {})
      }
      Object.defineProperty(key, name, { configurable: true, get: () => accessor.get?.call(key), set })
    }
    const { pause, resume, clear } = key
    const pauses = (verb: () => Promise<void>, paused: boolean) => (): Promise<unknown> => {
      const call = this.#nextCall()
      this.#record({ kind, call, key: key.name, paused })
      return this.#answered(kind, call, verb.call(key), () => this.#record({ kind: 'answered', of: kind, call }))
    }
    return Object.assign(key, {
      pause: pauses(pause, true),
      resume: pauses(resume, false),
      clear: () => {
        const call = this.#nextCall()
        this.#record({ kind: 'clear', call, key: key.name })
        return this.#answered('clear', call, clear.call(key), count => {
          this.#record({ kind: 'answered', of: 'clear', call, ...valued(count as number) })
        })
      },
    })
  }

  #watchState(queue: AnyQueue): void {
    const { pause, resume, stop } = queue as unknown as Verbs
    this.#become('pause', (options = {}) => {
      const call = this.#nextCall()
      const { tasks, shared } = (options ?? {}) as { tasks?: unknown; shared?: unknown }
      this.#record({ kind: 'pause', call, tasks: tasks === true, shared: shared === true })
      return this.#answered('pause', call, pause?.call(queue, options), drained => {
        this.#record({ kind: 'answered', of: 'pause', call, value: drained as boolean })
      })
    })
    this.#become('resume', options => {
      const shared = (options as { shared?: unknown } | undefined)?.shared === true
      this.#record({ kind: 'resume', shared })
      try {
        resume?.call(queue, options)
      } catch (error) {
        // It was refused: the former state stays in force.
        if (queue.paused) this.#record({ kind: 'pause', call: this.#nextCall(), tasks: false, shared: false })
        throw error
      }
    })
    this.#become('stop', options => {
      const call = this.#nextCall()
      this.#record({ kind: 'stop', call })
      return this.#answered('stop', call, stop?.call(queue, options), answer => {
        const { returned, left, abandoned } = answer as Awaited<ReturnType<AnyQueue['stop']>>
        const ids = (jobs: readonly Job[]): string[] => jobs.map(({ id }) => id)
        this.#record({ kind: 'answered', of: 'stop', call, left, returned: ids(returned), abandoned: ids(abandoned) })
      })
    })
    this.#becomeSetter('width', width => ({ kind: 'width', width: width as number }))
    this.#becomeSetter('globalWidth', width => ({ kind: 'globalWidth', width: width as number }))
    this.#becomeSetter('rate', rate => ({ kind: 'rate', rules: parseRate('rate', rate) }))
  }

  #listen(queue: AnyQueue): void {
    for (const event of jobEvents) {
      queue.on(event, (job: Job, ...more: unknown[]) => {
        if (event === 'underway') this.#fences.set(job.id, Job.recordOf(job).fence)
        const { id, state, attempt } = job
        const fact: Emitted = {
          ...{ kind: 'emitted', event, job: id, state, attempt },
          ...(event === 'retry' && { delayMs: more[1] as number }),
          ...(event === 'failed' && { code: codeOf(job.error) }),
        }
        this.#record(fact)
      })
    }
    for (const event of queueEvents) queue.on(event, () => this.#record({ kind: 'emitted', event }))
    queue.on('globalWidth', width => this.#record({ kind: 'emitted', event: 'globalWidth', width }))
    queue.on('error', error => this.#record({ kind: 'emitted', event: 'error', code: codeOf(error) }))
  }

  #become(verb: string, does: (...args: unknown[]) => unknown): void {
    Object.defineProperty(this.#queue, verb, { configurable: true, writable: true, value: does })
  }
  /** For an accessor: the new value is recorded before it can have any effect. */
  #becomeSetter(name: 'width' | 'globalWidth' | 'rate', factOf: (value: unknown) => Fact): void {
    const queue = this.#queue as AnyQueue
    const accessor = Object.getOwnPropertyDescriptor(DispatchQueue.prototype, name) as PropertyDescriptor
    const set = (value: unknown): void => void accessor.set?.call(queue, value)
    Object.defineProperty(queue, name, {
      configurable: true,
      get: () => accessor.get?.call(queue),
      set: value => {
        const before: unknown = queue[name]
        try {
          this.#record(factOf(value))
        } catch {
          return set(value)
        }
        try {
          set(value)
        } catch (error) {
          // It was refused: the former value stays in force.
          this.#record(name === 'rate' ? { kind: name, rules: before as readonly RateRule[] } : factOf(before))
          throw error
        }
      },
    })
  }
  /** The same promise, but its outcome is recorded when it settles; one for each that the queue gives. */
  #answered(of: Verb, call: number, promise: unknown, resolved: (value: unknown) => void): Promise<unknown> {
    const given = this.#given.get(promise as Promise<unknown>)
    const seen = (promise as Promise<unknown>).then(
      value => {
        resolved(value)
        return value
      },
      error => {
        this.#record({ kind: 'refused', of, call, code: codeOf(error) })
        throw error
      },
    )
    if (given) {
      seen.catch(() => {})
      return given
    }
    this.#given.set(promise as Promise<unknown>, seen)
    return seen
  }
}

function valued(value: boolean | number | undefined): { value?: boolean | number } {
  return value === undefined ? {} : { value }
}

/** The options of each payload; undefined for an invalid call. */
function optionsOfEach(payloads: unknown, options: unknown): unknown[] | undefined {
  if (!Array.isArray(payloads)) return undefined
  try {
    return payloads.map((payload, i) => (typeof options === 'function' ? options(payload, i) : options))
  } catch {
    return undefined
  }
}

function factOfPut(call: number, job: string | undefined, options: PutOptions): PutCalled {
  const { priority = 0, delay, runAt, key, cost, retry } = options
  const delayMs = delay === undefined ? undefined : msOf(delay)
  return {
    ...{ kind: 'put', call, priority },
    ...(job !== undefined && { job }),
    ...(delayMs !== undefined && { delayMs }),
    ...(runAt !== undefined && { runAtMs: Number(runAt) }),
    ...(key !== undefined && { key }),
    ...(cost !== undefined && { cost }),
    ...policyOf(retry),
  }
}

/** Empty if no retry is given, or an illegal one. */
function policyOf(retry: number | RetryOptions | undefined): { attempts?: number; retry?: RetryPolicy } {
  if (retry === undefined) return {}
  try {
    const policy = parseRetry('retry', retry)
    return { attempts: policy.attempts, retry: policy }
  } catch {
    return {}
  }
}

function msOf(duration: unknown): number | undefined {
  try {
    return durationMs('delay', duration)
  } catch {
    return undefined
  }
}

/** The argument of `reschedule`, if it is legal. */
function whenOf(when: unknown): { readonly delayMs?: number; readonly runAtMs?: number } {
  try {
    const { waitMs, runAt } = parseWhen(when)
    return { ...(waitMs !== undefined && { delayMs: waitMs }), ...(runAt !== undefined && { runAtMs: runAt }) }
  } catch {
    return {}
  }
}
