/**
 * Warns about a handler that waits for its own queue. Inside a body `await queue.idle()`, `pause()`, `stop()`, or
 * `run()` without a free slot never ends, because the body holds the slot that the call waits for.
 *
 * The warning is exact: it concerns the very body that made the call, so a merely long wait causes none. The cost is
 * two assignments per call of a handler. In return the call is only detected before the first `await` of an async
 * function, or in a step of a generator. Later Node knows a caller only by an AsyncLocalStorage, which slows down all
 * promises of the process where V8 does not keep contexts.
 */
import type { Clock } from '../clock.ts'
import type { JobRecord } from '../job.ts'

/** A wait that lasts this long causes the warning. */
export const selfWaitMs = 10_000

/** A run, as far as a wait inside its body concerns it. */
export interface RunOnStack {
  readonly record: JobRecord
  readonly fence: number
  readonly bodyEnded: boolean
  isOf(record: JobRecord, fence: number): boolean
}

/** The body whose handler, or step of a generator, is on the stack. */
let onStack: RunOnStack | undefined

/** Sets the body that is on the stack. Bodies do not call one another. */
export function enterBody(run: RunOnStack | undefined): void {
  onStack = run
}

export interface SelfWaitsParts {
  readonly clock: Clock
  readonly queue: string
  /** Whether that body belongs to this queue. */
  owns(run: RunOnStack): boolean
}

const advice = {
  idle: 'idle() resolves only when nothing is underway',
  pause: 'pause() resolves only when nothing is underway',
  stop: 'stop() resolves only when its bodies have ended',
  run: 'run() needs a slot, and there is none but those of such bodies',
} as const

export type SelfWait = keyof typeof advice

export class SelfWaits {
  readonly #parts: SelfWaitsParts
  /** The kinds that were reported, which happens once each, and those that are being watched. */
  readonly #reported = new Set<SelfWait>()
  readonly #watched = new Set<SelfWait>()

  constructor(parts: SelfWaitsParts) {
    this.#parts = parts
  }
  /** Whether a body of this queue makes the present call, and this kind of wait was not found before. */
  concerns(kind: SelfWait): boolean {
    if (onStack === undefined || this.#reported.has(kind) || this.#watched.has(kind)) return false
    return this.#parts.owns(onStack)
  }
  /**
   * Watches the promise `wait`, which the body on the stack got. `isStuck` says whether it still needs the end of that
   * body.
   */
  watch(kind: SelfWait, wait: Promise<unknown>, isStuck: () => boolean = () => true): void {
    if (!this.concerns(kind)) return
    const { clock, queue } = this.#parts
    const run = onStack as RunOnStack
    const { record, fence } = run
    this.#watched.add(kind)
    const timer = clock.at(clock.now() + selfWaitMs, () => {
      this.#watched.delete(kind)
      if (!run.isOf(record, fence) || run.bodyEnded || !isStuck()) return
      this.#reported.add(kind)
      process.emitWarning(
        `queue '${queue}': the handler of job ${record.id} called ${kind}() of its own queue ${selfWaitMs / 1_000} s ago and still runs. ` +
          `${advice[kind]}, so a handler that awaits it waits for itself; do not await it there`,
        { type: 'DispatchQueueWarning', code: 'RDQ_OWN_WAIT' },
      )
    })
    timer.unref()
    const over = (): void => {
      timer.cancel()
      this.#watched.delete(kind)
    }
    wait.then(over, over)
  }
}
