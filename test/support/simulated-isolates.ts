/**
 * Isolates in simulated time: each is a host in this thread, and its messages take a while. One that dies stops at once:
 * its timers do not fire, and what it sends does not arrive.
 */
import type { Clock, Timer } from '../../lib/clock.ts'
import { Host } from '../../lib/isolate/host.ts'
import { spawnWith } from '../../lib/isolate/isolates-of-queue.ts'
import type { FromIsolateBatch, IsolateOpening, ToIsolate } from '../../lib/isolate/protocol.ts'
import type { IsolateEvents, Spawned } from '../../lib/isolate/spawn.ts'
import type { Task } from '../../lib/run/task.ts'
import type { VirtualClock } from '../../testing/index.ts'
import type { Chance } from '../../testing/simulated/chance.ts'

export type Body = (payload: never, task: Task, isolate: SimulatedIsolate) => unknown

const never: Timer = { cancel: () => {}, ref: () => {}, unref: () => {} }

export class SimulatedIsolate {
  readonly id: number
  readonly clock: Clock
  isDead = false
  /** The ids of the jobs whose bodies run, and how many jobs there have been. */
  readonly running: Set<string> = new Set()
  jobs = 0
  readonly #events: IsolateEvents
  readonly #deliver: (deliver: () => void) => void
  readonly #died: (isolate: SimulatedIsolate) => void

  /** @param deliver Delivers what it reports. Its end comes after all that it had sent. */
  constructor(
    opening: IsolateOpening,
    events: IsolateEvents,
    clock: Clock,
    deliver: (deliver: () => void) => void,
    died: (isolate: SimulatedIsolate) => void = () => {},
  ) {
    this.id = opening.id
    this.#events = events
    this.#deliver = deliver
    this.#died = died
    const live =
      (callback: () => void): (() => void) =>
      () => {
        if (!this.isDead) callback()
      }
    this.clock = {
      now: () => clock.now(),
      wall: () => clock.wall(),
      random: () => clock.random(),
      at: (instant, callback) => (this.isDead ? never : clock.at(instant, live(callback))),
      soon: callback => (this.isDead ? never : clock.soon(live(callback))),
      ...(clock.origin && { origin: clock.origin }),
    }
  }
  /** It ends by itself, or is killed. */
  die(exitCode = 1): void {
    if (this.isDead) return
    this.disappear()
    this.#deliver(() => this.#events.ended({ exitCode, signal: undefined, error: undefined }))
  }
  /** It ends together with the process of its queue, to which nothing is reported. */
  disappear(): void {
    if (this.isDead) return
    this.isDead = true
    this.running.clear()
    this.#died(this)
  }
  sleep(ms: number): Promise<void> {
    return new Promise(go => void this.clock.at(this.clock.now() + ms, go))
  }
}

export class SimulatedIsolates {
  /** The handler of a queue whose isolates these are. */
  readonly handler: URL = new URL('file:///simulated-handler.js')
  readonly all: SimulatedIsolate[] = []
  /** How many loads of the module fail, from the next one on. */
  refusals = 0
  /** For how long an isolate is halted right before a first line, in milliseconds; it has reported the start by then. */
  haltMs: () => number = () => 0

  /** @param loops Without them all isolates share the loop of their queue. */
  constructor(clock: Clock, chance: Chance, body: Body, loops?: IsolateLoops, maxDelayMs = 3) {
    const delay = (): number => chance.real() * maxDelayMs
    spawnWith(this.handler, async (opening: IsolateOpening, events: IsolateEvents): Promise<Spawned> => {
      const own = loops?.start(opening.id) ?? clock
      const deliverTo = lineOf(own, delay)
      const deliverFrom = lineOf(clock, delay)
      const isolate = new SimulatedIsolate(opening, events, own, deliverFrom, isolate => loops?.died(isolate))
      this.all.push(isolate)
      const host = new Host(opening, {
        clock: isolate.clock,
        post: batch => {
          const copy = structuredClone(batch) as FromIsolateBatch
          if (!isolate.isDead) deliverFrom(() => events.message(copy))
        },
        memory: () => 1_000_000,
        load: async () => {
          await isolate.sleep(delay() * 5)
          if (this.refusals-- > 0) throw new Error('the module is not there yet')
          const call = (payload: never, task: Task): unknown => {
            // One that has died calls nothing more in the same step.
            if (isolate.isDead) return new Promise(() => {})
            const haltMs = this.haltMs()
            if (haltMs === 0) return body(payload, task, isolate)
            deliverFrom.hold(haltMs)
            return isolate.sleep(haltMs).then(() => body(payload, task, isolate))
          }
          return { default: call }
        },
        exit: () => isolate.die(0),
      })
      void host.start()
      return {
        pid: 0,
        post: batch => {
          const copy = structuredClone(batch) as readonly ToIsolate[]
          deliverTo(() => {
            if (!isolate.isDead) host.take(copy)
          })
        },
        kill: () => isolate.die(),
        ref: () => {},
        unref: () => {},
      }
    })
  }
  get living(): SimulatedIsolate[] {
    return this.all.filter(({ isDead }) => !isDead)
  }
  /** The bodies that run, in all isolates. */
  get bodies(): number {
    return this.living.reduce((sum, { running }) => sum + running.size, 0)
  }
}

/** Loops of their own for isolates. */
export interface IsolateLoops {
  /** The clock of an isolate that starts. */
  start(id: number): Clock
  /** It runs nothing any more. */
  died(isolate: SimulatedIsolate): void
}

/** Messages of one direction, which arrive late and in order. */
interface Line {
  (deliver: () => void): void
  /** Those that follow are sent after that time. */
  hold(ms: number): void
}

function lineOf(clock: Clock, delay: () => number): Line {
  let last = 0
  let heldUntil = 0
  const line = (deliver: () => void): void => {
    last = Math.max(last, Math.max(clock.now(), heldUntil) + delay())
    clock.at(last, deliver)
  }
  const hold = (ms: number): void => {
    heldUntil = clock.now() + ms
  }
  return Object.assign(line, { hold })
}

/** The clock of an isolate whose loop a test blocks: whatever arrives meanwhile is delivered when that is over, in order. */
export class BlockableClock implements Clock {
  readonly origin: VirtualClock['origin']
  readonly #clock: VirtualClock
  #held: (() => void)[] | undefined

  constructor(clock: VirtualClock) {
    this.#clock = clock
    this.origin = clock.origin
  }
  now(): number {
    return this.#clock.now()
  }
  wall(): number {
    return this.#clock.wall()
  }
  random(): number {
    return this.#clock.random()
  }
  at(instant: number, callback: () => void): Timer {
    return this.#clock.at(instant, () => this.#deliver(callback))
  }
  soon(callback: () => void): Timer {
    return this.#clock.soon(() => this.#deliver(callback))
  }
  block(): void {
    this.#held ??= []
  }
  unblock(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const callback of held) callback()
  }
  #deliver(callback: () => void): void {
    this.#held ? this.#held.push(callback) : callback()
  }
}
