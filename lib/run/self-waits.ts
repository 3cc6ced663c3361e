/**
 * Tells of a handler that waits for its own queue: `await queue.idle()`, `pause()`, `stop()`, or `run()` without a free slot
 * inside a body never ends, for the body holds the slot that they wait for.
 *
 * What is told is true of the very body that made the call, so nothing is told of who only waits long. It costs nothing but
 * two assignments a call of a handler. The other side of that: the call is seen where it is made before the first `await` of
 * an async function, or in a step of a generator; later on Node knows a caller only by an AsyncLocalStorage, which makes all
 * promises of the process slower where contexts are not kept by V8.
 */
import type { Clock } from '../clock.ts'
import type { Run } from './run.ts'

/** Such a wait is told of after so long. */
export const selfWaitMs = 10_000

/** The body whose handler, or whose step, is on the stack. */
let onStack: Run | undefined

/** Says which body is on the stack from now on: none is called by another one. */
export function enterBody(run: Run | undefined): void {
  onStack = run
}

export interface SelfWaitsParts {
  readonly clock: Clock
  readonly queue: string
  /** Whether that body is one of this queue's. */
  owns(run: Run): boolean
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
  /** Told of, which is done once; or being watched. */
  readonly #reported = new Set<SelfWait>()
  readonly #watched = new Set<SelfWait>()

  constructor(parts: SelfWaitsParts) {
    this.#parts = parts
  }
  /** Whether a body of this queue makes the call that is on the stack, and such a wait is not known yet. */
  concerns(kind: SelfWait): boolean {
    if (onStack === undefined || this.#reported.has(kind) || this.#watched.has(kind)) return false
    return this.#parts.owns(onStack)
  }
  /** `wait` was given out to the body on the stack. `isStuck` says whether it still needs the end of that body. */
  watch(kind: SelfWait, wait: Promise<unknown>, isStuck: () => boolean = () => true): void {
    if (!this.concerns(kind)) return
    const { clock, queue } = this.#parts
    const run = onStack as Run
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
