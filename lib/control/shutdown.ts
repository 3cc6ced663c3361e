/**
 * Stopping a queue: no job starts after the call. Three phases follow, each with an end.
 *
 * 1. Bodies may finish, for `grace`. A later, harsher call shortens this phase.
 * 2. Their signals abort and generators are closed; bodies have `abandonAfterMs` to end, or longer where isolates are
 *    replaced.
 * 3. Bodies that still run are abandoned, and everything that this process holds is announced. Jobs that did not run to
 *    their end are returned to the caller by a memory backlog, unless the queue has no handler and another one has the
 *    jobs too. In a durable backlog they stay.
 */

import type { Announcer } from '../announce/announcer.ts'
import type { Results } from '../announce/results.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Dispatch } from '../dispatch/dispatch.ts'
import { QueueStoppedError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { stopRefusal } from '../put/entries.ts'
import type { Intake } from '../put/intake.ts'
import type { Run } from '../run/run.ts'
import type { Commands } from './commands.ts'
import type { Opening } from './opening.ts'
import type { Waiters } from './waiters.ts'

/** How long bodies have to end after their signals have aborted. */
export const abandonAfterMs = 5_000
/** How long an isolate that is replaced takes to end. */
const replacedMs = 2_000

export interface ShutdownParts {
  readonly clock: Clock
  readonly lifecycle: Lifecycle
  readonly dispatch: Dispatch
  readonly intake: Intake
  readonly opening: Opening
  readonly results: Results
  readonly announcer: Announcer
  readonly commands: Commands
  readonly waiters: Waiters
  /** Whether jobs that did not run stay in the backlog. */
  readonly durable: boolean
  /** Where bodies run, if not here: ended once no body runs, and given time to end the bodies that do not end. */
  readonly isolates: { readonly graceMs: number; close(): Promise<void> } | undefined
}

/** The jobs that remain after a stop. */
export interface Remains {
  readonly returned: readonly JobRecord[]
  readonly left: number
  readonly abandoned: readonly JobRecord[]
}

export class Shutdown {
  /** Runs whose body did not end in time. */
  readonly abandoned: Run[] = []
  /** Runs that were interrupted, in the order of their launch. */
  interrupted: Run[] = []
  readonly #parts: ShutdownParts
  readonly #dispatch: Dispatch
  readonly #lifecycle: Lifecycle
  readonly #clock: Clock
  #timer: Timer | undefined
  #interruptAt = Infinity
  #ended: (() => void) | undefined

  constructor(parts: ShutdownParts) {
    this.#parts = parts
    this.#dispatch = parts.dispatch
    this.#lifecycle = parts.lifecycle
    this.#clock = parts.clock
  }
  /** Resolves when the phases are over, everything is stored and announced, and the backlog is released. */
  async end(): Promise<Remains> {
    const { intake, opening, results, announcer, commands, waiters, durable } = this.#parts
    const refused = this.#refuseWaiting(intake)
    const session = await opening.opened.catch(() => undefined)
    let returned: readonly JobRecord[] = []
    let left = 0
    if (session) {
      await intake.drained()
      // Puts that were on their way and found no space.
      await refused
      await this.#refuseWaiting(intake)
      // This exchange returns jobs that were claimed but not launched.
      await this.#dispatch.flush().catch(ignore)
      await this.whenBodiesEnded()
      await this.#dispatch.flush().catch(ignore)
      await commands.whenAnnounced()
      // Puts that a clear had taken, and that it put back because it failed.
      await this.#refuseWaiting(intake)
      const { pending, delayed, underway } = session.counts
      waiters.stop(pending + delayed + underway > 0)
      const out = (await session.command({ kind: 'return' }, this.#clock.now(), this.#clock.wall())).changed
      left = session.counts.pending + session.counts.delayed
      results.willRunLater ||= left > 0
      for (const record of out) {
        results.fail(record, results.stopError('the job did not run'))
        if (this.#dispatch.yieldPoint.shouldYield()) await this.#dispatch.yieldPoint.nextTurn()
      }
      if (!durable) returned = this.#interruptedFirst(out)
      for (const { record } of this.abandoned) {
        results.fail(record, new QueueStoppedError('the job was abandoned'))
        announcer.emit('abandoned', record)
      }
    } else waiters.stop(true)
    this.#lifecycle.end()
    this.#timer?.cancel()
    await this.#parts.isolates?.close()
    this.#dispatch.close()
    await session?.close()
    return { returned, left, abandoned: this.abandoned.map(run => run.record) }
  }
  /** Refuses the puts that wait for space, a slice at a time, because there may be very many. */
  async #refuseWaiting(intake: Intake): Promise<void> {
    this.#dispatch.yieldPoint.open()
    for (const entry of intake.takeWaiting()) {
      intake.refuse(entry, stopRefusal(entry))
      if (this.#dispatch.yieldPoint.shouldYield()) await this.#dispatch.yieldPoint.nextTurn()
    }
  }
  #interruptedFirst(out: readonly JobRecord[]): readonly JobRecord[] {
    const back = new Set(out)
    const interrupted = this.interrupted
      .filter(run => run.kind === 'interrupted' && back.has(run.record))
      .map(run => run.record)
    for (const record of interrupted) back.delete(record)
    return [...interrupted, ...back]
  }
  /** Ends the first phase in `graceMs` from now, unless it ends sooner. */
  interruptAfter(graceMs: number): void {
    const at = this.#clock.now() + graceMs
    if (this.#lifecycle.phase !== 'stopping' || at >= this.#interruptAt) return
    this.#interruptAt = at
    this.#timer?.cancel()
    if (graceMs === 0) void this.#interrupt()
    else this.#timer = this.#clock.at(at, () => void this.#interrupt())
  }
  /** Resolves when no body is left, or when the remaining ones are abandoned. */
  async whenBodiesEnded(): Promise<void> {
    if (this.#dispatch.launcher.slotsTaken === 0) return this.#timer?.cancel()
    await new Promise<void>(resolve => {
      this.#ended = resolve
    })
    this.#timer?.cancel()
  }
  /** Called after each exchange, which may have freed the last slot. */
  check(): void {
    if (this.#dispatch.launcher.slotsTaken === 0) this.#ended?.()
  }
  /** Aborts the bodies, a slice at a time, because there may be very many and each abort calls its listeners. */
  async #interrupt(): Promise<void> {
    this.#lifecycle.interrupt()
    const error = new QueueStoppedError('the run was cut short')
    this.interrupted = [...this.#dispatch.launcher.runs].filter(run => run.launched)
    for (const run of this.interrupted) run.interrupt()
    this.#dispatch.yieldPoint.open()
    for (const run of this.interrupted) {
      run.abort(error)
      if (this.#dispatch.yieldPoint.shouldYield()) await this.#dispatch.yieldPoint.nextTurn()
    }
    if (this.#lifecycle.stopped) return
    const { isolates } = this.#parts
    const waitMs = isolates ? Math.max(abandonAfterMs, isolates.graceMs + replacedMs) : abandonAfterMs
    this.#timer = this.#clock.at(this.#clock.now() + waitMs, () => {
      for (const run of this.#dispatch.launcher.runs) {
        this.abandoned.push(run)
        this.#dispatch.launcher.abandon(run)
      }
      this.#ended?.()
    })
    this.check()
  }
}

/** A backlog that cannot store the last exchange has reported it as `error`; the stop continues. */
function ignore(): void {}
