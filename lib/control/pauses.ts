/**
 * Pausing and resuming: applies each change of the lifecycle to launches, to tasks, and to callers that await a pause.
 */
import type { Dispatch, SharedPauseListener } from '../dispatch/dispatch.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Commands } from './commands.ts'
import type { Opening } from './opening.ts'
import type { Waiters } from './waiters.ts'

export interface PausesParts {
  readonly lifecycle: Lifecycle
  readonly dispatch: Dispatch
  readonly commands: Commands
  readonly waiters: Waiters
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly opening: Opening
}

export class Pauses implements SharedPauseListener {
  readonly #parts: PausesParts
  /** Requests for a shared pause that have no reply yet. */
  #requests = 0
  /**
   * A shared pause was stored since a local pause stands in for it. The next exchange reports the shared pause as in
   * force.
   */
  #stored = false

  constructor(parts: PausesParts) {
    this.#parts = parts
  }
  /**
   * Resolves true when nothing is underway, or with `tasks` only parked tasks; false when a resume or a stop supersedes
   * the pause.
   */
  pause(tasks: boolean, shared: boolean): Promise<boolean> {
    const { lifecycle, dispatch, waiters, emitter, opening } = this.#parts
    const drained = waiters.drained(tasks)
    const { paused, pausedHere } = lifecycle
    if (shared && !pausedHere) this.#stored = false
    shared ? lifecycle.share() : lifecycle.pause()
    if (!pausedHere) dispatch.rearm()
    dispatch.launcher.isolatedBodies?.withdraw()
    if (!paused) emitter.announce('paused')
    // A listener of `paused` may have resumed the queue.
    if (tasks && lifecycle.paused && !lifecycle.stopping) this.#park()
    // A backlog that did not open gets no exchange, and nothing is underway.
    opening.opened.catch(() => waiters.check())
    const stored = shared ? this.#share() : Promise.resolve()
    dispatch.wake()
    return stored.then(() => drained)
  }
  /**
   * If the shared pause cannot be stored, the local pause that stands in for it ends, unless another request relies on
   * it.
   */
  async #share(): Promise<void> {
    const { lifecycle, commands } = this.#parts
    this.#requests++
    try {
      await commands.send({ kind: 'pause', paused: true }, () => {
        this.#stored = true
      })
    } catch (error) {
      if (lifecycle.isStandIn && this.#requests === 1 && !this.#stored && !lifecycle.stopping) this.resume()
      throw error
    } finally {
      this.#requests--
    }
  }
  /** Ends the pause of this queue object. */
  resume(): void {
    const { lifecycle, dispatch } = this.#parts
    if (!lifecycle.pausedHere) return
    lifecycle.resume()
    this.#unpark()
    dispatch.rearm()
    dispatch.wake()
    if (!lifecycle.paused) this.#goOn()
  }
  /** Ends the shared pause of the queue's name, in every process. */
  resumeShared(): void {
    const { dispatch, commands, emitter } = this.#parts
    commands.send({ kind: 'pause', paused: false }, () => dispatch.wake()).catch(error => emitter.report(error, {}))
  }
  /** The backlog reports that a shared pause is in force, or has ended. */
  sharedPauseChanged(isInForce: boolean): void {
    const { lifecycle, emitter, dispatch } = this.#parts
    const { paused } = lifecycle
    lifecycle.sharedPauseChanged(isInForce)
    if (isInForce) dispatch.launcher.isolatedBodies?.withdraw()
    if (!paused) emitter.announce('paused')
    else if (!lifecycle.paused) this.#goOn()
  }
  /** The queue stops: parked tasks continue to their end, and pauses no longer drain. */
  stop(): void {
    this.#parts.dispatch.launcher.isolatedBodies?.withdraw()
    this.#unpark()
    this.#parts.waiters.supersede()
  }
  #goOn(): void {
    this.#unpark()
    this.#parts.waiters.supersede()
    this.#parts.emitter.announce('resumed')
  }
  #park(): void {
    const { lifecycle, dispatch } = this.#parts
    if (lifecycle.tasksParked) return
    lifecycle.parkTasks()
    for (const run of dispatch.launcher.runs) if (run.task?.running) run.task.pause()
  }
  #unpark(): void {
    const { lifecycle, dispatch } = this.#parts
    if (!lifecycle.tasksParked) return
    for (const run of dispatch.launcher.runs) if (run.task?.paused && !run.bodyEnded) run.task.resume()
    lifecycle.unparkTasks()
  }
}
