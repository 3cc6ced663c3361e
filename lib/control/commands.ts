/** Changing: what may be done to jobs that were put. Each command goes to the backlog; runs of this process are asked too. */
import { types } from 'node:util'
import type { BacklogSession, Command, CommandResult, DueTime, MaybePromise } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import type { Dispatch } from '../dispatch/dispatch.ts'
import { CancelledError, codeOf, QueueStoppedError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { durationMs, instantMs } from '../options/duration.ts'
import { checkPriority } from '../options/options.ts'
import type { Intake } from '../put/intake.ts'
import { sizeOf } from '../put/requests.ts'
import type { Run } from '../run/run.ts'
import { thrownText } from '../settle/thrown.ts'
import { whenAnswered } from '../support/answers.ts'

export interface CommandsParts {
  readonly clock: Clock
  readonly dispatch: Dispatch
  readonly intake: Intake
  readonly durable: boolean
  readonly lifecycle: Lifecycle
  /** The jobs of these records have ended, and that is stored. */
  ended(record: JobRecord): void
  /** The job waits again. */
  waits(record: JobRecord): void
  /** The job is gone from the backlog, and did not end. */
  removed(record: JobRecord): void
  turned(): void
}

type JobRef = JobRecord | string

/** How often a retry looks whether a body of the job has ended that goes on elsewhere. */
const bodyPollMs = 100

/** A duration from now on, or a Date. Throws OptionError. */
export function parseWhen(when: unknown): DueTime {
  if (types.isDate(when)) return { runAt: instantMs('when', when, 'a duration') }
  return { waitMs: durationMs('when', when, 'zero', 'a Date') }
}

export class Commands {
  readonly #parts: CommandsParts
  /** Changes that are stored perhaps, and not told yet. */
  readonly #unreported = new Set<Promise<unknown>>()

  constructor(parts: CommandsParts) {
    this.#parts = parts
  }
  cancel(target: JobRef, reason: unknown): Promise<boolean> {
    return this.#untilReported(this.#cancel(target, reason))
  }
  async #cancel(target: JobRef, reason: unknown): Promise<boolean> {
    const { lifecycle, durable } = this.#parts
    const error = new CancelledError(reason)
    const text = durable ? thrownText(error) : undefined
    // While a stop waits for bodies, they can still be cancelled one by one; what waits is about to be given back.
    if (lifecycle.stopping) return this.#cancelRun(target, error)
    const command = { kind: 'cancel', target, reason: error, text } as const
    const { changed, found, cancelRequested } = await this.#cancelPut(command, target, error)
    if (found?.state !== 'underway') return changed.length > 0 || cancelRequested
    return (await this.#cancelRun(found, error)) || cancelRequested
  }
  /** Cancels in the backlog; and where that knows no job of the id, the puts of it that wait for room. */
  #cancelPut(command: Command, target: JobRef, error: CancelledError): Promise<CommandResult> {
    const { ended, intake } = this.#parts
    let waits = false
    // None of those puts may set out before the backlog has answered.
    const alone = (): boolean => {
      waits = typeof target === 'string' && intake.waitsFor(target)
      return waits
    }
    const act = (done: CommandResult): CommandResult => {
      for (const record of done.changed) ended(record)
      if (done.changed.length > 0) this.#moved()
      if (done.found || !waits || !intake.waitsFor(target as string)) return done
      intake.withdrawWaiting(target as string, error)
      // No job was changed, and yet the cancel reached what it was meant for.
      return { ...done, cancelRequested: true }
    }
    return this.control(command, act, alone)
  }
  /** Cancels jobs that were accepted here, by the signal that they have in common: with one question, and telling them in slices. */
  cancelAll(records: readonly JobRecord[], error: CancelledError): Promise<void> {
    return this.#untilReported(this.#cancelAll(records, error))
  }
  async #cancelAll(records: readonly JobRecord[], error: CancelledError): Promise<void> {
    const { clock, dispatch, intake, lifecycle } = this.#parts
    let running = records
    if (!lifecycle.stopping) {
      const answers = await intake.command(session => {
        const [now, wall] = [clock.now(), clock.wall()]
        const cancel = async (target: JobRecord): Promise<CommandResult | undefined> =>
          session.control({ kind: 'cancel', target, reason: error }, now, wall)
        return Promise.all(records.map(record => cancel(record).catch(() => undefined)))
      })
      intake.roomAgain()
      await this.#reportEnded(answers.flatMap(answer => answer?.changed ?? []))
      running = records.filter((_, i) => answers[i]?.found?.state === 'underway')
      if (running.length < records.length) this.#moved()
    }
    if (running.length === 0) return
    for (const record of running) {
      dispatch.launcher.runs.of(record)?.cancel(error)
      if (dispatch.yieldPoint.step()) await dispatch.yieldPoint.take()
    }
    await dispatch.flush().catch(() => {})
  }
  /** Tells of endings that are stored, a slice at a time. */
  async #reportEnded(records: readonly JobRecord[]): Promise<void> {
    const { dispatch, ended } = this.#parts
    for (const record of records) {
      ended(record)
      if (dispatch.yieldPoint.step()) await dispatch.yieldPoint.take()
    }
  }
  async #cancelRun(target: JobRef, error: CancelledError): Promise<boolean> {
    if (!this.#runOf(target)?.cancel(error)) return false
    await this.#parts.dispatch.flush()
    return true
  }
  #runOf(target: JobRef): Run | undefined {
    const { runs } = this.#parts.dispatch.launcher
    return typeof target === 'string' ? runs.byId(target) : runs.of(target)
  }
  async retry(target: JobRef): Promise<JobRecord> {
    // Put anew, a job shows nothing of how it ended, so that is told first.
    if (this.#unreported.size > 0) await Promise.allSettled(this.#unreported)
    // A cancelled body may go on: the job must not run beside itself.
    const { clock, dispatch, lifecycle, waits } = this.#parts
    const run = this.#runOf(target)
    if (run?.settled) {
      await run.whenBodyEnded()
      // Where nothing can be stored, what comes next says so.
      if (!lifecycle.stopping) await dispatch.flush().catch(() => {})
    }
    const announce = (done: CommandResult): CommandResult => {
      if (!done.cancelRequested) waits(done.found as JobRecord)
      return done
    }
    let done = await this.control({ kind: 'retry', target }, announce)
    // One of another process, of whose end nobody tells.
    while (done.cancelRequested) {
      await new Promise<void>(resolve => clock.at(clock.now() + bodyPollMs, resolve))
      done = await this.control({ kind: 'retry', target }, announce)
    }
    return done.found as JobRecord
  }
  async remove(target: JobRef): Promise<boolean> {
    return this.control({ kind: 'remove', target }, ({ changed, count }) => {
      for (const record of changed) this.#parts.removed(record)
      this.#moved()
      return count > 0
    })
  }
  async reprioritize(target: JobRef, priority: number): Promise<void> {
    const command = { kind: 'reprioritize', target, priority: checkPriority(priority) } as const
    await this.control(command, () => this.#parts.dispatch.wake())
  }
  /** Announced as a put is: the job is delayed, or it is due and pending. */
  async reschedule(target: JobRef, kind: 'reschedule' | 'promote', when: DueTime): Promise<void> {
    await this.control({ kind, target, ...when }, ({ changed }) => {
      for (const record of changed) this.#parts.waits(record)
      this.#moved()
    })
  }
  clear(): Promise<number> {
    return this.#untilReported(this.#clear())
  }
  async #clear(): Promise<number> {
    const { clock, dispatch, intake } = this.#parts
    if (this.#parts.lifecycle.stopping) throw new QueueStoppedError('cannot clear')
    let waiting: ReturnType<Intake['takeWaiting']> = []
    const cleared: JobRecord[] = []
    let count = 0
    const clear = async (session: BacklogSession): Promise<void> => {
      // Puts that wait for room were asked before it, too.
      waiting = intake.takeWaiting()
      dispatch.yieldPoint.open()
      for (let more = true; more; ) {
        const step = await session.control({ kind: 'clear' }, clock.now(), clock.wall())
        for (const record of step.changed) cleared.push(record)
        count += step.count
        more = step.more === true
        if (more && dispatch.yieldPoint.step()) await dispatch.yieldPoint.take()
      }
    }
    try {
      await intake.command(clear, () => true)
    } catch (error) {
      intake.waitAgain(waiting)
      await this.#reportCleared(cleared)
      throw error
    }
    intake.roomAgain()
    const error = new CancelledError('cleared')
    for (const entry of waiting) {
      count += sizeOf(entry)
      intake.refuse(entry, error)
      if (dispatch.yieldPoint.step()) await dispatch.yieldPoint.take()
    }
    await this.#reportCleared(cleared, error)
    return count
  }
  async #reportCleared(cleared: JobRecord[], error = new CancelledError('cleared')): Promise<void> {
    for (const record of cleared) record.ensureExtras().error = error
    // Most often they are in order already, and to see that is soon done.
    cleared.sort((a, b) => a.priority - b.priority || a.seq - b.seq)
    await this.#reportEnded(cleared)
    this.#moved()
  }
  /** What is told by now has made way: where the rate kept it waiting, something else comes first, and may start. */
  #moved(): void {
    this.#parts.turned()
    this.#parts.dispatch.wake()
  }
  /** Changes are stored whose endings are not all told. */
  get reporting(): boolean {
    return this.#unreported.size > 0
  }
  /** Resolves when all that is changed by now is told. */
  async whenReported(): Promise<void> {
    while (this.#unreported.size > 0) await Promise.allSettled(this.#unreported)
  }
  async #untilReported<T>(change: Promise<T>): Promise<T> {
    this.#unreported.add(change)
    try {
      return await change
    } finally {
      this.#unreported.delete(change)
      // The queue may be idle by it, but not before all of it is told.
      if (!this.reporting) this.#parts.turned()
    }
  }
  /**
   * Hands the command to the backlog at its place among the puts: behind those that were made before it.
   * @param act What the answer means here. Called in the step in which the answer comes: the next turn may launch the job.
   */
  async control<T>(command: Command, act: (done: CommandResult) => T, alone?: () => boolean): Promise<T> {
    const { clock, intake, lifecycle } = this.#parts
    if (lifecycle.stopping) throw new QueueStoppedError(`cannot ${command.kind}`)
    const answered = (done: CommandResult): T => {
      intake.roomAgain()
      return act(done)
    }
    const make = (session: BacklogSession): MaybePromise<T> =>
      whenAnswered(session.control(command, clock.now(), clock.wall()), answered)
    try {
      return await intake.command(make, alone)
    } catch (error) {
      // A job may wait that nobody is told of.
      if (codeOf(error) === 'OUTCOME_UNKNOWN') this.#parts.dispatch.wake()
      throw error
    }
  }
}
