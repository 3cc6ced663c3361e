/**
 * The inside of an isolate: loads the handler's module, and runs many calls at once on a cooperator of its own.
 *
 * The queue decides everything about jobs: this file only calls the handler and reports what comes of it. Bodies are
 * driven by the same `Run` as in the main thread. It knows no threads and no processes (entry.ts does).
 */
import type { Clock } from '../clock.ts'
import { Cooperator, type RingMember, Seat } from '../cooperate/cooperator.ts'
import { YieldPoint } from '../cooperate/yield-point.ts'
import { describeError, OptionError, PayloadError } from '../errors.ts'
import { JobRecord, type RetryPolicy } from '../job.ts'
import type { Cost } from '../rate/rules.ts'
import type { Run, RunHost } from '../run/run.ts'
import { Runs } from '../run/runs.ts'
import type { Task } from '../run/task.ts'
import { cleanContext } from '../support/clean-context.ts'
import { Deferred } from '../support/deferred.ts'
import { Fifo } from '../support/fifo.ts'
import { CheckpointValue } from '../text/checkpoint-value.ts'
import { IsolateReports, type Post } from './isolate-reports.ts'
import { defaultFunctionOf } from './loaded-module.ts'
import { beatMs, type CallMessage, type IsolateOpening, type ToIsolate } from './protocol.ts'
import { isDetached, unmarked } from './transfer.ts'
import { fromWireError, toWireError } from './wire-error.ts'

/** The thread or process around the host. */
export interface HostMeans {
  readonly clock: Clock
  readonly post: Post
  /** How much memory is used, in bytes. */
  memory(): number
  /** Imports a module by its address. */
  load(module: string): Promise<unknown>
  /** Ends the isolate. */
  exit(): void
}

type Handler = (payload: unknown, task: Task) => unknown

const mustBeHandler = 'it must be the handler: export default async function (payload, task) { … }'

/** The queue decides whether there is another attempt, so an isolate has no use for this. */
const noRetry: RetryPolicy = { attempts: 1, delayMs: 0, factor: 1, maxMs: 0, jitter: false }

export class Host implements RunHost, RingMember {
  readonly clock: Clock
  readonly cooperator: Cooperator
  readonly maxHoldMs: number = Infinity
  readonly retry: RetryPolicy = noRetry
  readonly timeoutMs: number = Infinity
  readonly judges = false
  readonly parked = false
  handler: Handler = () => undefined
  readonly #means: HostMeans
  readonly #opening: IsolateOpening
  readonly #reports: IsolateReports
  readonly #yieldPoint: YieldPoint
  readonly #runs = new Runs(this)
  readonly #waiting = new Fifo<CallMessage>()
  readonly #running = new Map<number, Run>()
  readonly #checkpoints = new Map<number, Deferred<void>>()
  readonly #seat = new Seat(this)
  readonly #context = cleanContext('DispatchQueueIsolate')
  #lastCheckpoint = 0
  #isLoaded = false
  #expectedBeat = 0

  constructor(opening: IsolateOpening, means: HostMeans) {
    const { clock } = means
    this.#opening = opening
    this.#means = means
    this.clock = clock
    this.cooperator = new Cooperator({ slice: opening.sliceMs, clock })
    this.#yieldPoint = new YieldPoint(this.cooperator, clock)
    this.#reports = new IsolateReports(means.post, clock)
  }
  ruleNames(): readonly string[] {
    return []
  }
  /** Loads the module. A failure is reported, and does not throw. */
  async start(): Promise<void> {
    const { module } = this.#opening
    try {
      this.handler = defaultFunctionOf<Handler>(await this.#means.load(module), mustBeHandler)
      this.#isLoaded = true
      this.#reports.push({ kind: 'loaded' })
    } catch (error) {
      this.#reports.push({ kind: 'refused', error: toWireError(error) })
    }
    this.#reports.flush()
    this.#beat()
    if (this.#isLoaded && this.#waiting.length > 0) this.cooperator.enter(this.#seat)
  }
  /** A batch of messages of the queue. */
  take(batch: readonly ToIsolate[]): void {
    for (const message of batch) this.#take(message)
  }
  #take(message: ToIsolate): void {
    switch (message.kind) {
      case 'call':
        this.#waiting.push(message)
        if (this.#isLoaded) this.cooperator.enter(this.#seat)
        return
      case 'withdraw':
        for (const { call } of this.#waiting.takeAll()) this.#notStarted(call)
        return
      case 'abort':
        return this.#abort(message.call, fromWireError(message.reason))
      case 'park':
        return this.#park(message.call)
      case 'unpark': {
        const task = this.#running.get(message.call)?.task
        return task?.paused ? task.resume() : undefined
      }
      case 'stored': {
        const waiter = this.#checkpoints.get(message.checkpoint)
        this.#checkpoints.delete(message.checkpoint)
        return message.error ? waiter?.fail(fromWireError(message.error)) : waiter?.resolve()
      }
      case 'progressTaken':
        return this.#reports.progressTaken()
      case 'end':
        this.#reports.flush()
        // In a later turn of the loop, so that output that was written has left.
        this.clock.soon(() => this.clock.soon(() => this.#means.exit()))
        return
      default:
        message satisfies never
    }
  }
  #abort(call: number, reason: unknown): void {
    const run = this.#running.get(call)
    if (run) return run.abort(reason)
    const waiting = this.#waiting.takeAll()
    for (const one of waiting) one.call === call ? this.#notStarted(call) : this.#waiting.push(one)
  }
  /** A generator that has been closed, and whose `finally` still runs, cannot be parked. */
  #park(call: number): void {
    const task = this.#running.get(call)?.task
    if (!task?.running) return
    task.pause()
    // What it has reported before comes before it.
    this.#reports.endProgress(call)
    this.#reports.push({ kind: 'parked', call })
  }
  /** At once: a later call that starts says that all before it have started, or have gone back. */
  #notStarted(call: number): void {
    this.#reports.push({ kind: 'notStarted', call })
    this.#reports.flush()
  }

  /** Starts one call. Returns whether there are more. */
  step(): boolean {
    const message = this.#waiting.shift()
    if (message) this.#call(message)
    return this.#waiting.length > 0
  }
  #call(message: CallMessage): void {
    const { call, payload, startBefore, limited } = message
    if (startBefore !== undefined && this.#hostNow() >= startBefore) return this.#notStarted(call)
    const record = recordOf(message)
    // The queue must know of the start even if the first line of the handler blocks this loop, or ends the process.
    this.#reports.started = call
    this.#reports.flush()
    const run = this.#runs.add(record, payload, 0, Infinity)
    record.run = run
    this.#running.set(call, run)
    this.#context.runInAsyncScope(run.launch, run, this.clock.wall())
    // A rate counts the start from here on, because this thread may have been halted before the first line.
    this.#reports.confirmed = call
    if (limited) this.#reports.schedule()
    if (run.isOf(record, record.fence) && run.task?.running) this.#reports.push({ kind: 'task', call })
  }
  /** The clock of the host, which all its processes share. */
  #hostNow(): number {
    return this.clock.now() + (this.clock.origin?.offsetMs ?? 0)
  }
  #beat(): void {
    const { clock } = this
    const now = clock.now()
    const loopDelay = Math.max(now - (this.#expectedBeat || now), 0)
    this.#reports.push({ kind: 'beat', memory: this.#means.memory(), loopDelay })
    this.#expectedBeat = now + beatMs
    clock.at(this.#expectedBeat, () => this.#beat()).unref()
  }

  // The host of runs.

  settled(run: Run): void {
    const { seq: call } = run.record
    this.#reports.endProgress(call)
    if (run.kind !== 'finished') return this.#reports.push({ kind: 'failed', call, error: toWireError(run.error) })
    const { value, buffers } = unmarked(run.value)
    // Not every version of Node refuses to send it, and none can read it.
    const problem = buffers.some(isDetached) ? 'a buffer of transfer() has been transferred already' : undefined
    if (problem !== undefined) return this.#reports.push({ kind: 'unsent', call, problem })
    this.#reports.push({ kind: 'finished', call, value }, buffers)
  }
  released(run: Run): void {
    this.#running.delete(run.record.seq)
    this.#runs.remove(run)
    this.#runs.reuse(run)
  }
  abandonedBodyEnded(): void {}
  stuck(): void {}
  progress(run: Run, value: unknown): void {
    this.#reports.progress(run.record.seq, cloneOf(value, 'progress'))
  }
  checkpoint(run: Run, value: unknown): Promise<void> {
    const stored = new Deferred<void>()
    try {
      const copy = CheckpointValue.of(value, this.#opening.strict).read()
      const checkpoint = ++this.#lastCheckpoint
      this.#checkpoints.set(checkpoint, stored)
      this.#reports.push({ kind: 'checkpoint', call: run.record.seq, checkpoint, value: copy })
    } catch (error) {
      stored.fail(error)
    }
    return stored.promise
  }
  spent(run: Run, cost: Cost): void {
    this.#reports.push({ kind: 'spent', call: run.record.seq, cost: { ...cost } })
  }
  breathe(): Promise<void> {
    return this.#yieldPoint.nextTurn()
  }
  finishWithin(_run: Run, transaction: unknown): never {
    const problem = `cannot be used in an isolate, because a transaction of the handler's own thread is not one of the backlog's; run this handler without isolate`
    throw new OptionError('transaction', transaction, problem)
  }
}

function recordOf({ call, id, payload, attempt, crashes, key, restored }: CallMessage): JobRecord {
  const record = new JobRecord(id, payload, 0, 0)
  record.seq = call
  record.attempt = attempt
  record.fence = 1
  if (key !== undefined) record.ensureExtras().key = key
  if (crashes > 0) record.ensureExtras().crashes = crashes
  // A task reads a checkpoint from its stored form, and takes any other value as it is.
  if (restored !== undefined) Object.assign(record.ensureExtras(), { checkpoint: restored })
  return record
}

/** Copies the value at the call. Throws PayloadError. */
function cloneOf(value: unknown, what: string): unknown {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function' && typeof value !== 'symbol') {
    return value
  }
  try {
    return structuredClone(value)
  } catch (error) {
    throw new PayloadError(what, `cannot be cloned (${describeError(error)}); give plain data`, { cause: error })
  }
}
