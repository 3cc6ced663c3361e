/**
 * The commands for jobs that were put. Each command goes to the backlog; runs of this process are cancelled as well.
 */
import { types } from 'node:util'
import type { Announcer } from '../announce/announcer.ts'
import type { Results } from '../announce/results.ts'
import type { BacklogSession, Command, CommandResult, DueTime, MaybePromise } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import { inOrderOfStart } from '../decisions/order.ts'
import type { Dispatch, WaitingCallers } from '../dispatch/dispatch.ts'
import { CancelledError, codeOf, QueueStoppedError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { checkPriority } from '../options/options.ts'
import { durationMs, instantMs } from '../parse/duration.ts'
import { sizeOf } from '../put/entries.ts'
import type { Intake } from '../put/intake.ts'
import type { Run } from '../run/run.ts'
import { whenReplied } from '../support/replies.ts'
import { errorToJson } from '../text/error-to-json.ts'

/** Receives the jobs that a command has made wait: retried ones, and those with another due time. */
export interface WaitListener {
  /** The job waits, and did not before or was due at another time. */
  waits(record: JobRecord): void
}

export interface CommandsParts {
  readonly clock: Clock
  readonly dispatch: Dispatch
  readonly intake: Intake
  readonly durable: boolean
  readonly lifecycle: Lifecycle
  readonly announcer: Announcer
  readonly results: Results
  readonly callers: WaitingCallers
}

type JobRef = JobRecord | string

/** How often a retry polls whether a body of the job that runs in another process has ended. */
const bodyPollMs = 100

/** Parses a duration from now, or a Date. Throws OptionError. */
export function parseWhen(when: unknown): DueTime {
  if (types.isDate(when)) return { runAt: instantMs('when', when, 'a duration') }
  return { waitMs: durationMs('when', when, 'zero', 'a Date') }
}

export class Commands {
  readonly #parts: CommandsParts
  #listener!: WaitListener
  /** Changes that may be stored but whose endings are not all announced. */
  readonly #unannounced = new Set<Promise<unknown>>()

  constructor(parts: CommandsParts) {
    this.#parts = parts
  }
  /** Must be called before any command. A separate call, because the listener needs the commands too. */
  listen(listener: WaitListener): void {
    this.#listener = listener
  }
  cancel(target: JobRef, reason: unknown): Promise<boolean> {
    return this.#untilReported(this.#cancel(target, reason))
  }
  async #cancel(target: JobRef, reason: unknown): Promise<boolean> {
    const { lifecycle, durable } = this.#parts
    const error = new CancelledError(reason)
    const text = durable ? errorToJson(error) : undefined
    // While a stop waits for bodies, single runs can still be cancelled. Waiting jobs are about to be returned.
    if (lifecycle.stopping) return this.#cancelRun(target, error)
    const command = { kind: 'cancel', target, reason: error, text } as const
    const { changed, found, unchangedBecause, withdrawn } = await this.#cancelInBacklog(command, target, error)
    // Of the queue that runs the job, which may be another process.
    const isRequested = unchangedBecause === 'cancelRequested'
    if (found?.state !== 'underway') return changed.length > 0 || withdrawn || isRequested
    return (await this.#cancelRun(found, error)) || isRequested
  }
  /**
   * Cancels the job in the backlog. If the backlog has no job of that id, cancels the puts of that id that wait for
   * space, and returns that they were withdrawn.
   */
  async #cancelInBacklog(
    command: Command,
    target: JobRef,
    error: CancelledError,
  ): Promise<CommandResult & { readonly withdrawn: boolean }> {
    const { announcer, dispatch, intake } = this.#parts
    let waits = false
    let withdrawn = false
    // None of those puts may be sent before the backlog has replied.
    const alone = (): boolean => {
      waits = typeof target === 'string' && intake.isWaiting(target)
      return waits
    }
    const announce = (done: CommandResult): CommandResult => {
      for (const record of done.changed) announcer.ended(record)
      this.#afterChange()
      return done
    }
    const act = (done: CommandResult): MaybePromise<CommandResult> => {
      if (done.changed.length === 0) {
        withdraw(done)
        return done
      }
      // Very many single cancels may be answered in one turn of the event loop.
      if (dispatch.yieldPoint.fits()) return announce(done)
      return dispatch.yieldPoint.nextTurn().then(() => announce(done))
    }
    const withdraw = (done: CommandResult): void => {
      if (done.found || !waits || !intake.isWaiting(target as string)) return
      intake.withdrawWaiting(target as string, error)
      withdrawn = true
    }
    const done = await this.send(command, act, alone)
    return { ...done, withdrawn }
  }
  /**
   * Cancels accepted jobs that share a signal: with one request for all, and announcing the endings a slice at a time.
   */
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
          session.command({ kind: 'cancel', target, reason: error }, now, wall)
        return Promise.all(records.map(record => cancel(record).catch(() => undefined)))
      })
      intake.spaceFreed()
      await this.#reportEnded(answers.flatMap(answer => answer?.changed ?? []))
      running = records.filter((_, i) => answers[i]?.found?.state === 'underway')
      if (running.length < records.length) this.#afterChange()
    }
    if (running.length === 0) return
    for (const record of running) {
      dispatch.launcher.runs.of(record)?.cancel(error)
      if (dispatch.yieldPoint.shouldYield()) await dispatch.yieldPoint.nextTurn()
    }
    await dispatch.flush().catch(() => {})
  }
  /** Announces stored endings, a slice at a time. */
  async #reportEnded(records: readonly JobRecord[]): Promise<void> {
    const { dispatch, announcer } = this.#parts
    for (const record of records) {
      announcer.ended(record)
      if (dispatch.yieldPoint.shouldYield()) await dispatch.yieldPoint.nextTurn()
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
    // A retried job no longer shows how it ended, so pending endings are announced first.
    if (this.#unannounced.size > 0) await Promise.allSettled(this.#unannounced)
    // The body of a cancelled job may still run, and the job must not run twice at the same time.
    const { clock, dispatch, lifecycle } = this.#parts
    const run = this.#runOf(target)
    if (run?.settled) {
      await run.whenBodyEnded()
      // If the backlog cannot store anything, the retry below reports it.
      if (!lifecycle.stopping) await dispatch.flush().catch(() => {})
    }
    const announce = (done: CommandResult): CommandResult => {
      if (done.unchangedBecause !== 'bodyContinues') this.#listener.waits(done.found as JobRecord)
      return done
    }
    let done = await this.send({ kind: 'retry', target }, announce)
    // The body runs in another process, which does not notify this one of its end.
    while (done.unchangedBecause === 'bodyContinues') {
      await new Promise<void>(resolve => clock.at(clock.now() + bodyPollMs, resolve))
      done = await this.send({ kind: 'retry', target }, announce)
    }
    return done.found as JobRecord
  }
  async remove(target: JobRef): Promise<boolean> {
    return this.send({ kind: 'remove', target }, ({ changed, count }) => {
      for (const record of changed) this.#parts.results.remove(record)
      this.#afterChange()
      return count > 0
    })
  }
  async reprioritize(target: JobRef, priority: number): Promise<void> {
    const command = { kind: 'reprioritize', target, priority: checkPriority(priority) } as const
    await this.send(command, () => this.#parts.dispatch.wake())
  }
  /** Emits the same event as a put: `delayed`, or `pending` if the job is due. */
  async reschedule(target: JobRef, kind: 'reschedule' | 'promote', when: DueTime): Promise<void> {
    await this.send({ kind, target, ...when }, ({ changed }) => {
      for (const record of changed) this.#listener.waits(record)
      this.#afterChange()
    })
  }
  /** With a key: only its jobs. */
  clear(key?: string): Promise<number> {
    return this.#untilReported(this.#clear(key))
  }
  async #clear(key: string | undefined): Promise<number> {
    const { clock, dispatch, intake } = this.#parts
    if (this.#parts.lifecycle.stopping) throw new QueueStoppedError('cannot clear')
    let waiting: ReturnType<Intake['takeWaiting']> = []
    const cleared: JobRecord[] = []
    let count = 0
    const clear = async (session: BacklogSession): Promise<void> => {
      // Puts that wait for space were made before the clear, too.
      waiting = key === undefined ? intake.takeWaiting() : []
      dispatch.yieldPoint.open()
      for (let hasMore = true; hasMore; ) {
        const command = key === undefined ? ({ kind: 'clear' } as const) : ({ kind: 'clear', key } as const)
        const step = await session.command(command, clock.now(), clock.wall())
        for (const record of step.changed) cleared.push(record)
        count += step.count
        hasMore = step.hasMore === true
        if (hasMore && dispatch.yieldPoint.shouldYield()) await dispatch.yieldPoint.nextTurn()
      }
    }
    try {
      await intake.command(clear, () => true)
    } catch (error) {
      intake.putBackWaiting(waiting)
      await this.#reportCleared(cleared)
      throw error
    }
    intake.spaceFreed()
    const error = new CancelledError('cleared')
    for (const entry of waiting) {
      count += sizeOf(entry)
      intake.refuse(entry, error)
      if (dispatch.yieldPoint.shouldYield()) await dispatch.yieldPoint.nextTurn()
    }
    await this.#reportCleared(cleared, error)
    return count
  }
  async #reportCleared(cleared: JobRecord[], error = new CancelledError('cleared')): Promise<void> {
    for (const record of cleared) record.ensureExtras().error = error
    // They are mostly in order already, which the sort detects quickly.
    cleared.sort(inOrderOfStart)
    await this.#reportEnded(cleared)
    this.#afterChange()
  }
  /** The changed job no longer heads the line, so a job behind it may be startable now: wake the loop. */
  #afterChange(): void {
    this.#parts.callers.check()
    this.#parts.dispatch.wake()
  }
  /** Whether there are stored changes whose endings are not all announced. */
  get announcing(): boolean {
    return this.#unannounced.size > 0
  }
  /** Resolves when the endings of all changes so far are announced. */
  async whenAnnounced(): Promise<void> {
    while (this.#unannounced.size > 0) await Promise.allSettled(this.#unannounced)
  }
  async #untilReported<T>(change: Promise<T>): Promise<T> {
    this.#unannounced.add(change)
    try {
      return await change
    } finally {
      this.#unannounced.delete(change)
      // The change may leave the queue idle, but `idle` must not come before all endings are announced.
      if (!this.announcing) this.#parts.callers.check()
    }
  }
  /**
   * Sends a command to the backlog in order with the puts: after those that were made before it.
   * @param act Handles the reply. Called in the step in which the reply arrives, because the next exchange may launch the
   * job.
   */
  async send<T>(command: Command, act: (done: CommandResult) => MaybePromise<T>, alone?: () => boolean): Promise<T> {
    const { clock, intake, lifecycle } = this.#parts
    if (lifecycle.stopping) throw new QueueStoppedError(`cannot ${command.kind}`)
    const answered = (done: CommandResult): MaybePromise<T> => {
      intake.spaceFreed()
      return act(done)
    }
    const make = (session: BacklogSession): MaybePromise<T> =>
      whenReplied(session.command(command, clock.now(), clock.wall()), answered)
    try {
      return await intake.command(make, alone)
    } catch (error) {
      // The command may have been stored, so a job may be waiting that nothing announced.
      if (codeOf(error) === 'OUTCOME_UNKNOWN') this.#parts.dispatch.wake()
      throw error
    }
  }
}
