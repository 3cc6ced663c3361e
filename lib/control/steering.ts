/** The access of a controller of the width (lib/adaptive/) to a queue: its clock, its width, and the runs that end. */

import type { Announcer } from '../announce/announcer.ts'
import type { Clock } from '../clock.ts'
import type { Launcher, RunObserver } from '../dispatch/launcher.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { Job } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Run } from '../run/run.ts'
import type { Settings } from './settings.ts'

/** A run that ended by itself: neither a cancel nor a stop cut it short. */
export interface EndedRun {
  readonly job: Job
  /** The thrown value; undefined if the run finished. */
  readonly error: unknown
  /** The launch and the end, in steady milliseconds. */
  readonly startedAt: number
  readonly endedAt: number
  /** How many bodies ran right before the end, this one included. */
  readonly underway: number
}

export interface SteeringParts {
  readonly settings: Settings
  readonly launcher: Launcher
  readonly lifecycle: Lifecycle
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly announcer: Announcer
}

export class Steering implements RunObserver {
  readonly #parts: SteeringParts
  /** A run that has no instant here was launched before the watch began. */
  readonly #startedAt = new WeakMap<Run, number>()
  #listener: ((run: EndedRun) => void) | undefined

  constructor(parts: SteeringParts) {
    this.#parts = parts
  }
  get clock(): Clock {
    return this.#parts.launcher.clock
  }
  get width(): number {
    return this.#parts.launcher.width
  }
  /** Whether another controller watches the runs of this queue. */
  get taken(): boolean {
    return this.#parts.launcher.observer !== undefined
  }
  watch(listener: (run: EndedRun) => void): void {
    this.#listener = listener
    this.#parts.launcher.observer = this
  }
  unwatch(): void {
    if (this.#parts.launcher.observer === this) this.#parts.launcher.observer = undefined
  }
  /** Sets the width, unless the queue stops. */
  resize(width: number, reason: string): void {
    if (!this.#parts.lifecycle.stopping) this.#parts.settings.setWidth(width, reason)
  }
  report(error: unknown, job: Job): void {
    this.#parts.emitter.report(error, { job })
  }

  launched(run: Run): void {
    this.#startedAt.set(run, this.clock.now())
  }
  settled(run: Run): void {
    const { kind, error, record } = run
    const startedAt = this.#startedAt.get(run)
    this.#startedAt.delete(run)
    if (startedAt === undefined || kind === 'cancelled' || kind === 'interrupted') return
    const { announcer, launcher } = this.#parts
    this.#listener?.({
      job: announcer.jobOf(record) as Job,
      error: kind === 'finished' ? undefined : error,
      startedAt,
      endedAt: this.clock.now(),
      underway: launcher.running,
    })
  }
}
