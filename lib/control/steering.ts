/**
 * The access of a controller of a width (lib/adaptive/) to a queue: its clock, the width of the queue or of one key, and
 * the runs that end.
 */

import type { Announcer } from '../announce/announcer.ts'
import type { Clock } from '../clock.ts'
import type { Launcher, RunObserver } from '../dispatch/launcher.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { Job } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Run } from '../run/run.ts'
import type { Keys } from './keys.ts'
import type { Settings } from './settings.ts'

/** A run that ended by itself: neither a cancel nor a stop cut it short. */
export interface EndedRun {
  readonly job: Job
  /** The thrown value; undefined if the run finished. */
  readonly error: unknown
  /** The launch and the end, in steady milliseconds. */
  readonly startedAt: number
  readonly endedAt: number
  /** How many bodies ran in this process right before the end, this one included: of the queue, or of the key. */
  readonly underway: number
}

export interface SteeringParts {
  readonly settings: Settings
  readonly keys: Keys
  readonly launcher: Launcher
  readonly lifecycle: Lifecycle
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly announcer: Announcer
}

/** One controller's access. Its listener is notified of the runs of the queue, or of the key. */
export class Steering {
  readonly key: string | undefined
  readonly #parts: SteeringParts
  #listener: Listener | undefined

  constructor(key: string | undefined, parts: SteeringParts) {
    this.key = key
    this.#parts = parts
  }
  get clock(): Clock {
    return this.#parts.launcher.clock
  }
  get width(): number {
    const { launcher, keys } = this.#parts
    return this.key === undefined ? launcher.width : keys.settings(this.key).width
  }
  /** Whether another controller has the same width. */
  get taken(): boolean {
    return this.#watch?.listeners.has(this.key) === true
  }
  watch(listener: (run: EndedRun) => void): void {
    const { launcher } = this.#parts
    const watch = this.#watch ?? new RunWatch(this.#parts)
    launcher.observer = watch
    this.#listener = watch.begin(this.key, listener)
  }
  unwatch(): void {
    const watch = this.#watch
    // Another controller may have the width by now.
    if (watch?.listeners.get(this.key) !== this.#listener) return
    watch?.listeners.delete(this.key)
    if (watch?.listeners.size === 0) this.#parts.launcher.observer = undefined
  }
  /** Sets the width, unless the queue stops. */
  resize(width: number, reason: string): void {
    const { lifecycle, settings, keys } = this.#parts
    if (lifecycle.stopping) return
    if (this.key === undefined) settings.setWidth(width, reason)
    else keys.steerWidth(this.key, width, reason)
  }
  report(error: unknown, job: Job): void {
    this.#parts.emitter.report(error, { job })
  }
  get #watch(): RunWatch | undefined {
    const { observer } = this.#parts.launcher
    return observer instanceof RunWatch ? observer : undefined
  }
}

interface Listener {
  readonly notify: (run: EndedRun) => void
  /** The bodies of the key that run. Undefined for the queue, which counts its own. */
  readonly running: Set<Run> | undefined
}

/** The runs of one queue, for all of its controllers. */
class RunWatch implements RunObserver {
  readonly #parts: SteeringParts
  /** By key; undefined: that of the queue. */
  readonly listeners: Map<string | undefined, Listener> = new Map()
  /** A run that has no instant here was launched before the first watch began. */
  readonly #startedAt = new WeakMap<Run, number>()

  constructor(parts: SteeringParts) {
    this.#parts = parts
  }
  begin(key: string | undefined, notify: (run: EndedRun) => void): Listener {
    const isOfKey = (run: Run): boolean => run.launched && !run.bodyEnded && run.record.extras?.key === key
    const running = key === undefined ? undefined : new Set([...this.#parts.launcher.runs].filter(isOfKey))
    const listener = { notify, running }
    this.listeners.set(key, listener)
    return listener
  }
  launched(run: Run): void {
    this.#startedAt.set(run, this.#parts.launcher.clock.now())
    this.#ofKey(run)?.running?.add(run)
  }
  settled(run: Run): void {
    const { kind, error, record } = run
    const startedAt = this.#startedAt.get(run)
    this.#startedAt.delete(run)
    if (startedAt === undefined || kind === 'cancelled' || kind === 'interrupted') return
    const { announcer, launcher } = this.#parts
    for (const listener of [this.listeners.get(undefined), this.#ofKey(run)]) {
      listener?.notify({
        job: announcer.jobOf(record) as Job,
        error: kind === 'finished' ? undefined : error,
        startedAt,
        endedAt: launcher.clock.now(),
        underway: listener.running?.size ?? launcher.running,
      })
    }
  }
  released(run: Run): void {
    this.#ofKey(run)?.running?.delete(run)
  }
  #ofKey({ record }: Run): Listener | undefined {
    const { key } = record.extras ?? {}
    return key === undefined ? undefined : this.listeners.get(key)
  }
}
