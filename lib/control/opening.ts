/**
 * Opens the queue's name in its backlog: declares the queue, gives the session to the parts that use it, and reports a
 * failure once.
 *
 * Callers that await the session get the failure as a rejection. It is a warning only if nobody got it.
 */
import { forgetSignal } from '../announce/announcer.ts'
import type { Results } from '../announce/results.ts'
import type { Backlog, BacklogSession } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import type { Dispatch } from '../dispatch/dispatch.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { ParsedOptions } from '../options/options.ts'
import type { Intake } from '../put/intake.ts'
import { withCallSite } from '../support/call-site.ts'
import { inCleanContext } from '../support/clean-context.ts'

/** A part of the queue that begins its work when the backlog is open. */
export interface SessionUser {
  open(session: BacklogSession): void
}

export interface OpeningParts {
  readonly options: ParsedOptions
  readonly name: string
  /** Whether the queue has a handler. */
  readonly works: boolean
  readonly clock: Clock
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly intake: Intake
  readonly dispatch: Dispatch
  readonly results: Results
}

export class Opening {
  readonly #parts: OpeningParts
  #opened: Promise<BacklogSession> | undefined
  #session: BacklogSession | undefined
  /** A caller awaits the session, and so gets the failure. */
  #isAwaited = false

  constructor(parts: OpeningParts) {
    this.#parts = parts
  }
  /** Attaches to the backlog. Must be called once, when all parts of the queue exist. */
  begin(backlog: Backlog, users: readonly SessionUser[]): void {
    // This may create a thread and timers, which must not keep the async context of a request.
    this.#opened = inCleanContext(this.#open, this, backlog, users)
    this.#opened.catch(() => {})
  }
  /** Undefined until the backlog is open. */
  get session(): BacklogSession | undefined {
    return this.#session
  }
  /** For parts of the queue: they do not report a failure. */
  get opened(): Promise<BacklogSession> {
    return this.#opened as Promise<BacklogSession>
  }
  /** For callers to whom the rejection reports a failure. */
  whenOpen(): Promise<BacklogSession> {
    this.#isAwaited = true
    return withCallSite(this.opened)
  }
  async #open(backlog: Backlog, users: readonly SessionUser[]): Promise<BacklogSession> {
    try {
      const session = await this.#attach(backlog)
      this.#session = session
      for (const user of users) user.open(session)
      return session
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }
  #attach(backlog: Backlog): Promise<BacklogSession> {
    const { options, name, works, clock, emitter, dispatch, results } = this.#parts
    const { rate, keys, globalWidth, size, keep, afterCrash, crashLimit } = options
    return backlog.attach({
      name,
      works,
      clock,
      rate,
      keys,
      globalWidth,
      size,
      keep,
      afterCrash: typeof afterCrash === 'function' ? 'ask' : afterCrash,
      crashLimit,
      wake: () => dispatch.wake(),
      endedElsewhere: record => {
        results.settle(record)
        forgetSignal(record)
      },
      stalled: () => emitter.announce('stalled'),
      failed: error => emitter.report(error, {}),
      runningBodies: () => dispatch.launcher.running,
    })
  }
  #failed(error: unknown): void {
    const { clock, emitter, intake } = this.#parts
    intake.fail(error)
    if (emitter.hasListener('error')) emitter.report(error, {})
    else {
      clock.soon(() => {
        if (!this.#isAwaited && !intake.failureReported) emitter.report(error, {})
      })
    }
  }
}
