/**
 * Lets the width of a queue, or of a key, find itself: an algorithm watches how runs end, and sets the width between
 * two bounds.
 *
 * It is fed by the time that handlers run, never by the time that jobs wait. It changes nothing but the width, so all
 * other limits hold as before.
 */
import type { EndedRun, Steering } from '../control/steering.ts'
import { describe, OptionError } from '../errors.ts'
import { checkLabel } from '../options/options.ts'
import { oneOf, optionsOf } from '../parse/option-names.ts'
import { DispatchQueue } from '../queue.ts'
import { Aimd } from './aimd.ts'
import { type ClassifiedRun, classifyByDefault, type Outcome } from './classify.ts'
import type { Bounds, Controller } from './controller.ts'
import { Gradient } from './gradient.ts'

export interface AdaptOptions<Payload = unknown, Result = unknown> {
  /** The smallest width; 1. A whole number of 1 or more: at a width of 0 no run would ever show that more could run. */
  min?: number | undefined
  /** The greatest width: a whole number of `min` or more. */
  max: number
  /**
   * `'aimd'`, the default, grows until the service refuses work. `'gradient'` also notices that runs take longer, so it
   * suits services that become slow instead of refusing.
   */
  algorithm?: 'aimd' | 'gradient' | undefined
  /**
   * Adapts the width of this key by the runs of its jobs, instead of that of the queue. It is an override of the key, so
   * it is stored and holds in all processes.
   */
  key?: string | undefined
  /** The verdict of a run's end on the service. By default see {@link classifyByDefault}. */
  classify?: ((run: ClassifiedRun<Payload, Result>) => Outcome) | undefined
}

export interface Adaptation {
  /** The present width of the queue, or of the key. */
  readonly width: number
  /** Leaves the width as it is from now on. */
  stop(): void
}

const names = ['min', 'max', 'algorithm', 'key', 'classify']
const outcomes: readonly unknown[] = ['ok', 'overload', 'ignore'] satisfies readonly Outcome[]

/**
 * Adapts the width of `queue` from its present value on, until `stop()` is called or the queue stops. The `width` event
 * has the reason of each change as its third argument, and the key, if it is the width of a key, as its fourth. A width
 * that you set goes on from there; one outside of the bounds suspends the adaptation until you set one within them, so
 * `queue.width = 0` stops the queue as usual.
 *
 * Throws OptionError, and QueueStoppedError after `stop`.
 */
export function adapt<Payload, Result>(
  queue: DispatchQueue<Payload, Result>,
  options: AdaptOptions<Payload, Result>,
): Adaptation {
  if (!isQueue(queue)) {
    throw new OptionError('queue', queue, `must be a DispatchQueue of this copy of rdq, got ${describe(queue)}`)
  }
  const read = optionsOf('adapt.', options, names)
  const min = whole('adapt.min', read.min ?? 1, 1)
  const bounds: Bounds = { min, max: whole('adapt.max', read.max, min) }
  oneOf('adapt.algorithm', read.algorithm, ['aimd', 'gradient'])
  const classify = read.classify ?? classifyByDefault
  if (typeof classify !== 'function') {
    throw new OptionError('adapt.classify', classify, `must be a function of a run, got ${describe(classify)}`)
  }
  const { key } = read
  if (key !== undefined) checkLabel('adapt.key', key)
  const steering = DispatchQueue.steering(queue as unknown as DispatchQueue<never, never>, key)
  if (steering.taken) {
    const problem = 'is adapted already: call stop() of the earlier adaptation first'
    throw key === undefined ? new OptionError('queue', queue, problem) : new OptionError('adapt.key', key, problem)
  }
  bringWithin(bounds, steering)
  const { width } = steering
  const controller: Controller =
    read.algorithm === 'gradient' ? new Gradient(bounds, width) : new Aimd(bounds, width, steering.clock.now())
  const classifyRun = classify as (run: ClassifiedRun) => unknown
  steering.watch(run => observe(run, { bounds, steering, controller, classify: classifyRun }))
  return {
    get width() {
      return steering.width
    },
    stop: () => steering.unwatch(),
  }
}

interface Parts {
  readonly bounds: Bounds
  readonly steering: Steering
  readonly controller: Controller
  readonly classify: (run: ClassifiedRun) => unknown
}

function observe(run: EndedRun, { bounds, steering, controller, classify }: Parts): void {
  const { width } = steering
  const { job, error, startedAt, endedAt, underway } = run
  const outcome = outcomeOf({ job, error, key: steering.key, runMs: endedAt - startedAt }, classify, steering)
  if (outcome === 'ignore' || width < bounds.min || width > bounds.max) return
  const decision = controller.observe({ startedAt, endedAt, underway, outcome }, width)
  if (decision) steering.resize(decision.width, decision.reason)
}

/** A function of the user that fails, or answers something else, is reported and must not stop the queue. */
function outcomeOf(run: ClassifiedRun, classify: (run: ClassifiedRun) => unknown, steering: Steering): Outcome {
  try {
    const outcome = classify(run)
    if (outcomes.includes(outcome)) return outcome as Outcome
    const allowed = "must return 'ok', 'overload' or 'ignore'"
    throw new OptionError('adapt.classify', outcome, `${allowed}, got ${describe(outcome)}`)
  } catch (error) {
    steering.report(error, run.job)
    return 'ignore'
  }
}

function bringWithin({ min, max }: Bounds, steering: Steering): void {
  const { width } = steering
  const within = Math.max(min, Math.min(max, width))
  if (within === width) return
  const verb = within < width ? 'Narrowed' : 'Widened'
  steering.resize(within, `${verb} from ${width} to ${within}: the bounds are ${min} and ${max}.`)
}

function whole(option: string, value: unknown, least: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number
  throw new OptionError(option, value, `must be a whole number of ${least} or more, got ${describe(value)}`)
}

/** Nothing of a stranger's value may throw here: `instanceof` does for a revoked proxy. */
function isQueue(value: unknown): boolean {
  try {
    return value instanceof DispatchQueue
  } catch {
    return false
  }
}
