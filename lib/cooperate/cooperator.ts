/**
 * Cooperative scheduling: tasks take turns step by step within time slices, so that the event loop is never blocked for
 * long.
 *
 * A tick steps the members of a ring round robin, one step each, until the slice is over; then the event loop gets a
 * turn. The design follows Twisted's Cooperator. In a dispatch queue the generators and the launcher of plain handlers
 * are members of one ring.
 */
import { type Clock, checkClock, systemClock, type Timer } from '../clock.ts'
import { describe, hasMethods, OptionError } from '../errors.ts'
import { type Duration, durationMs } from '../parse/duration.ts'
import { optionsOf } from '../parse/option-names.ts'
import { Deferred } from '../support/deferred.ts'
import { toNativePromise } from '../support/native-promise.ts'
import { NotPaused, SchedulerStopped, TaskDone, TaskFailed, TaskStopped } from './errors.ts'

/** Anything that a cooperator can step. A member whose step returns false leaves the ring. */
export interface RingMember {
  step(): boolean
}

/** A member's seat in the ring, for as long as it has work. */
export class Seat {
  readonly member: RingMember
  next: Seat | undefined = undefined
  previous: Seat | undefined = undefined
  constructor(member: RingMember) {
    this.member = member
  }
}

/** How long tasks may be stepped before the event loop gets a turn. */
export const defaultSliceMs = 5
/** The most steps between two readings of the clock; after a slow step the clock is read after each. */
const maxGroup = 8
/** The most steps in a slice. With a clock that stands still a slice would otherwise never end. */
const maxSteps = 1_000_000

/** An iterable that a cooperator can run. A yielded promise is awaited, and its value is sent back in. */
export type CooperativeIterator<T> =
  | Iterator<unknown, T, unknown>
  | AsyncIterator<unknown, T, unknown>
  | Iterable<unknown, T, unknown>

export interface CooperatorOptions {
  /**
   * How many milliseconds of steps may pass before the event loop gets a turn; 5. A number of more than 0, or `'5ms'`.
   */
  slice?: Duration | undefined
  /** Schedules a tick for a later turn of the loop; returns a function that cancels it. Default: the clock's `soon`. */
  schedule?: ((tick: () => void) => () => void) | undefined
  /** Whether it starts at once; if false, no task is stepped before `start()`. True by default. */
  started?: boolean | undefined
  /** The clock; the system's by default. */
  clock?: Clock | undefined
}

export class Cooperator {
  readonly #clock: Clock
  readonly #sliceMs: number
  readonly #schedule: ((tick: () => void) => () => void) | undefined
  /** The seat whose turn it is; undefined when the ring is empty. */
  #current: Seat | undefined
  #running: boolean
  #stopped = false
  #cancelTick: (() => void) | undefined
  #timer: Timer | undefined
  /** The open slice ends at this instant or after this number of steps. */
  #sliceEnds = -Infinity
  #remainingSteps = 0
  #ticking = false
  readonly #tasks = new Set<CooperativeTask<unknown>>()

  constructor(options: CooperatorOptions = {}) {
    const read: CooperatorOptions = optionsOf('', options, ['slice', 'schedule', 'started', 'clock'])
    const { slice = defaultSliceMs, schedule, started = true, clock = systemClock } = read
    if (schedule !== undefined && typeof schedule !== 'function') {
      throw new OptionError(
        'schedule',
        schedule,
        `must be a function that calls its argument later, got ${describe(schedule)}`,
      )
    }
    if (typeof started !== 'boolean')
      throw new OptionError('started', started, `must be true or false, got ${describe(started)}`)
    this.#sliceMs = durationMs('slice', slice, 'more')
    this.#schedule = schedule
    this.#clock = checkClock('clock', clock)
    this.#running = started
  }

  /** Whether it steps its tasks. */
  get running(): boolean {
    return this.#running
  }
  /**
   * Adds a task. Its first step is taken in a later turn of the loop. On a stopped cooperator it fails with
   * SchedulerStopped.
   */
  cooperate<T>(iterator: CooperativeIterator<T>): CooperativeTask<T> {
    const task = this.adopt(iterator)
    task.enter()
    return task
  }
  /** @internal Adds a task that takes no step until its `begin()` or `enter()`. */
  adopt<T>(iterator: CooperativeIterator<T>): CooperativeTask<T> {
    const task = new CooperativeTask<T>(this, iteratorOf(iterator))
    if (this.#stopped) void task.abandon(new SchedulerStopped())
    else this.#tasks.add(task as CooperativeTask<unknown>)
    return task
  }
  /** Same as `cooperate(iterator).whenDone()`. */
  coiterate<T>(iterator: CooperativeIterator<T>): Promise<T> {
    return this.cooperate(iterator).whenDone()
  }
  /** Steps tasks from the next turn of the loop on. Has no effect if it runs already. */
  start(): void {
    this.#stopped = false
    this.#running = true
    if (this.#current) this.#arm()
  }
  /** Ends all tasks, parked or not, with SchedulerStopped and runs their `finally`. New tasks fail until `start()`. */
  stop(): void {
    this.#stopped = true
    this.#running = false
    const tasks = [...this.#tasks]
    this.#tasks.clear()
    for (const task of tasks) void task.abandon(new SchedulerStopped())
    this.#disarm()
  }

  /** @internal Adds a seat at the end of the ring, just before the one whose turn it is, and schedules a tick. */
  enter(seat: Seat): void {
    this.enterWithoutTick(seat)
    this.#arm()
  }
  /** @internal Same as `enter` without a tick, for a caller that calls `pump` next. */
  enterWithoutTick(seat: Seat): void {
    if (seat.next) return
    const current = this.#current
    if (current) {
      const last = current.previous as Seat
      seat.next = current
      seat.previous = last
      last.next = current.previous = seat
    } else this.#current = seat.next = seat.previous = seat
  }
  /** @internal */
  leave(seat: Seat): void {
    const { next, previous } = seat
    if (!next || !previous) return
    if (this.#current === seat) this.#current = next === seat ? undefined : next
    previous.next = next
    next.previous = previous
    seat.next = seat.previous = undefined
    if (!this.#current) this.#disarm()
  }
  /** @internal Steps the rest of a stopped task. Uses another ring if this one is not running. */
  finish(rest: CooperativeIterator<unknown>): Promise<unknown> {
    const walker = this.#running ? this : new Cooperator({ slice: this.#sliceMs, clock: this.#clock })
    return walker.coiterate(rest)
  }
  /** @internal Drops a task that has ended, so that `stop()` skips it. */
  forget(task: CooperativeTask<unknown>): void {
    this.#tasks.delete(task)
  }
  /** @internal Whether the open slice has time left. */
  get open(): boolean {
    return this.#remainingSteps > 0 && this.#clock.now() < this.#sliceEnds
  }
  /** @internal How much of the open slice is left at `now`. */
  remainingMs(now: number): number {
    return this.#sliceEnds - now
  }
  /** @internal Whether a tick is scheduled. It will open the slice of its turn of the loop. */
  get armed(): boolean {
    return this.#timer !== undefined || this.#cancelTick !== undefined
  }
  /** @internal Opens the slice of a new turn of the loop. */
  openSlice(): void {
    this.#sliceEnds = this.#clock.now() + this.#sliceMs
    this.#remainingSteps = maxSteps
  }
  /** @internal Takes steps at once, called by the queue's own code at `now`, as long as the open slice lasts. */
  pump(now: number): void {
    if (this.#ticking || !this.#running || !this.#current) return
    if (this.#remainingSteps > 0 && now < this.#sliceEnds) this.#steps(now)
    else this.#arm()
  }

  #arm(): void {
    if (!this.#running || this.#timer || this.#cancelTick || this.#ticking) return
    if (this.#schedule) this.#cancelTick = this.#schedule(this.#tick)
    else this.#timer = this.#clock.soon(this.#tick)
  }
  #disarm(): void {
    this.#timer?.cancel()
    this.#cancelTick?.()
    this.#timer = this.#cancelTick = undefined
  }
  readonly #tick = (): void => {
    this.#timer = this.#cancelTick = undefined
    this.openSlice()
    this.#steps(this.#clock.now())
  }
  #steps(from: number): void {
    this.#ticking = true
    let group = 1
    let now = from
    while (this.#current && this.#running) {
      for (let steps = group; steps > 0 && this.#current; steps--) {
        const seat: Seat = this.#current
        this.#current = seat.next
        if (!seat.member.step()) this.leave(seat)
      }
      const then = now
      now = this.#clock.now()
      this.#remainingSteps -= group
      if (now >= this.#sliceEnds || this.#remainingSteps <= 0) break
      group = (now - then) * 64 < this.#sliceMs ? Math.min(group * 2, maxGroup) : 1
    }
    this.#ticking = false
    if (this.#current) this.#arm()
    else this.#disarm()
  }
}

type TaskState = 'running' | 'done' | 'failed' | 'stopped'

/** An iterator that takes turns with others. */
export class CooperativeTask<T = unknown> implements RingMember {
  readonly #cooperator: Cooperator
  readonly #iterator: Iterator<unknown, T, unknown> | AsyncIterator<unknown, T, unknown>
  readonly #seat: Seat
  readonly #watchers: Deferred<T>[] = []
  #state: TaskState = 'running'
  #pauses = 0
  /** The iterator yielded a promise that has not settled. Counted apart from pauses, so that neither ends the other. */
  #waiting = false
  /**
   * The iterator is on the stack and cannot be closed: the task, or the cooperator, is being stopped from within its
   * own step.
   */
  #stepping = false
  /** The value that the next step sends or throws into the iterator. */
  #sent: unknown = undefined
  #thrown = false
  #value: T | undefined
  #failure: unknown

  constructor(cooperator: Cooperator, iterator: Iterator<unknown, T, unknown> | AsyncIterator<unknown, T, unknown>) {
    this.#cooperator = cooperator
    this.#iterator = iterator
    this.#seat = new Seat(this)
  }
  /**
   * Takes no further step until `resume()` was called as often as `pause()`. Throws TaskFinished if the task has ended.
   */
  pause(): void {
    this.#refuseEnded()
    this.#pauses++
    this.#cooperator.leave(this.#seat)
  }
  /** Undoes one pause. Throws NotPaused if there is none. Has no effect on a stopped task that was paused. */
  resume(): void {
    if (this.#pauses === 0) throw new NotPaused()
    this.#pauses--
    this.enter()
  }
  /** Ends the task with TaskStopped and runs its `finally`. Throws TaskFinished if the task has ended. */
  stop(): void {
    this.#refuseEnded()
    void this.abandon(new TaskStopped())
  }
  /**
   * A new promise for each call. Resolves with the iterator's return value; rejects with its error, TaskStopped or
   * SchedulerStopped.
   */
  whenDone(): Promise<T> {
    const watcher = new Deferred<T>()
    if (this.#state === 'running') this.#watchers.push(watcher)
    else if (this.#state === 'done') watcher.resolve(this.#value as T)
    else watcher.fail(this.#failure)
    return watcher.promise
  }

  /**
   * @internal Whether the task has not ended. A task that is being closed has ended, though its `finally` may still
   * run.
   */
  get running(): boolean {
    return this.#state === 'running'
  }
  /** @internal Whether the task is paused. */
  get paused(): boolean {
    return this.#pauses > 0
  }
  /** @internal The same: a task of this loop takes no further step once it is paused. */
  get parked(): boolean {
    return this.#pauses > 0
  }
  /** @internal */
  enter(): void {
    if (this.#state === 'running' && this.#pauses === 0 && !this.#waiting) this.#cooperator.enter(this.#seat)
  }
  /** @internal Takes the first step now, in the caller's turn of the loop, and the others in the ring. */
  begin(): void {
    if (this.step()) this.enter()
  }
  /** @internal Ends the task with `error`, closes its iterator, and resolves when its `finally` has run. */
  async abandon(error: unknown): Promise<void> {
    if (this.#state !== 'running') return
    this.#end('stopped', undefined, error)
    if (this.#stepping) await undefined
    try {
      const closed = await this.#iterator.return?.(undefined as T)
      // A `finally` may yield. Its remaining steps take turns like those of any task.
      if (closed && !closed.done) await this.#cooperator.finish(restOf(this.#iterator as Iterator<unknown>, closed))
    } catch {
      // Nobody can handle an error of a `finally`: the task had ended before.
    }
  }
  step(): boolean {
    if (this.#state !== 'running' || this.#pauses > 0 || this.#waiting) return false
    const sent = this.#sent
    const thrown = this.#thrown
    this.#sent = undefined
    this.#thrown = false
    try {
      this.#stepping = true
      const stepped = this.#next(thrown, sent)
      if (isThenable(stepped)) return this.#wait(stepped, true)
      return this.#take(stepped as IteratorResult<unknown, T>)
    } catch (error) {
      this.#end('failed', undefined, error)
      return false
    } finally {
      this.#stepping = false
    }
  }
  #next(thrown: boolean, sent: unknown): unknown {
    if (!thrown) return this.#iterator.next(sent)
    if (this.#iterator.throw) return this.#iterator.throw(sent)
    throw sent
  }
  #take(result: IteratorResult<unknown, T>): boolean {
    refuseNoStep(result)
    if (result.done) {
      this.#end('done', result.value, undefined)
      return false
    }
    const { value } = result
    if (isThenable(value)) return this.#wait(value, false)
    return this.#state === 'running' && this.#pauses === 0
  }
  /** Leaves the ring until the promise settles. `stepping`: the promise is the step of an async iterator. */
  #wait(promise: PromiseLike<unknown>, stepping: boolean): false {
    this.#waiting = true
    toNativePromise(promise).then(
      value =>
        this.#woken(() => (stepping ? this.#takeLate(value as IteratorResult<unknown, T>) : this.#send(value, false))),
      error => this.#woken(() => (stepping ? this.#end('failed', undefined, error) : this.#send(error, true))),
    )
    return false
  }
  #woken(go: () => void): void {
    this.#waiting = false
    if (this.#state !== 'running') return
    try {
      go()
    } catch (error) {
      this.#end('failed', undefined, error)
    }
    this.enter()
  }
  #takeLate(result: IteratorResult<unknown, T>): void {
    refuseNoStep(result)
    if (result.done) this.#end('done', result.value, undefined)
    else if (isThenable(result.value)) this.#wait(result.value, false)
    else this.#sent = result.value
  }
  #send(value: unknown, thrown: boolean): void {
    this.#sent = value
    this.#thrown = thrown
  }
  /** Sets the state first and settles the watchers after, because one of them may stop the whole cooperator. */
  #end(state: TaskState, value: T | undefined, failure: unknown): void {
    if (this.#state !== 'running') return
    this.#state = state
    this.#value = value
    this.#failure = failure
    this.#cooperator.leave(this.#seat)
    this.#cooperator.forget(this as CooperativeTask<unknown>)
    for (const watcher of this.#watchers.splice(0)) {
      if (state === 'done') watcher.resolve(value as T)
      else watcher.fail(failure)
    }
  }
  #refuseEnded(): void {
    if (this.#state === 'done') throw new TaskDone()
    if (this.#state === 'failed') throw new TaskFailed(this.#failure)
    if (this.#state === 'stopped') throw new TaskStopped()
  }
}

/** An iterator that continues from a step that was already taken. */
function restOf(
  iterator: Iterator<unknown, unknown, unknown>,
  taken: IteratorResult<unknown>,
): Iterator<unknown, unknown, unknown> {
  let first: IteratorResult<unknown> | undefined = taken
  return {
    next(sent?: unknown) {
      const step = first ?? iterator.next(sent)
      first = undefined
      return step
    },
    throw(error: unknown) {
      if (iterator.throw) return iterator.throw(error)
      throw error
    },
    return: value => iterator.return?.(value) ?? { done: true, value },
  }
}

/** Refuses a step that is no object, as a `for` loop does: it would never be `done`, and the task would never end. */
function refuseNoStep(result: unknown): void {
  if (typeof result === 'object' && result !== null) return
  throw new TypeError(`next() must return an object such as { value, done }, got ${describe(result)}`)
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function'
}

function iteratorOf<T>(
  value: CooperativeIterator<T>,
): Iterator<unknown, T, unknown> | AsyncIterator<unknown, T, unknown> {
  if (hasMethods(value, ['next'])) return value as Iterator<unknown, T, unknown>
  if (hasMethods(value, [Symbol.iterator])) return (value as Iterable<unknown, T, unknown>)[Symbol.iterator]()
  throw new OptionError('iterator', value, `must be an iterator or an iterable, got ${describe(value)}`)
}
