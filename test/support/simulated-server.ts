/**
 * A service that obeys Little's law. It works on `capacity` requests at full speed. Further ones share that capacity, so
 * each takes longer, and all of them together lose a little to the crowd: the throughput has a knee, and falls beyond it.
 */
import type { Controller } from '../../lib/adaptive/controller.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import { randomOf } from './random.ts'

export interface ServiceOptions {
  readonly clock: Pick<Clock, 'now' | 'random' | 'at'>
  /** How many requests it works on at full speed, at an instant. */
  readonly capacity: (now: number) => number
  /** How long a request takes at full speed. */
  readonly workMs: (now: number) => number
  /** The part of the throughput that is lost when twice the capacity is underway. */
  readonly loss: number
  /** From so many times the capacity on, further requests are refused at once. */
  readonly refusesAt?: number | undefined
}

interface Request {
  /** The progress at which it is done. */
  readonly doneAt: number
  readonly done: (refused: boolean) => void
}

export class SimulatedServer {
  served = 0
  refused = 0
  readonly #options: ServiceOptions
  readonly #requests: Request[] = []
  /** The milliseconds of work that each request has had which was underway all the time. */
  #progress = 0
  #progressAt = 0
  #timer: Timer | undefined

  constructor(options: ServiceOptions) {
    this.#options = options
  }
  /** Calls `done` when the request is answered. The work varies by half of `workMs` either way. */
  request(done: (refused: boolean) => void): void {
    const { clock, workMs, refusesAt = Infinity, capacity } = this.#options
    const now = clock.now()
    if (this.#requests.length >= refusesAt * capacity(now)) {
      this.refused++
      clock.at(now + workMs(now) / 20, () => done(true))
      return
    }
    this.#goOn(now)
    this.#requests.push({ doneAt: this.#progress + workMs(now) * (0.5 + clock.random()), done })
    this.#arm(now)
  }
  #speed(now: number): number {
    const capacity = this.#options.capacity(now)
    const load = this.#requests.length / capacity
    return load <= 1 ? 1 : (1 / load) * Math.max(0.1, 1 - this.#options.loss * (load - 1))
  }
  #goOn(now: number): void {
    this.#progress += (now - this.#progressAt) * this.#speed(now)
    this.#progressAt = now
  }
  #arm(now: number): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#requests.length === 0) return
    const next = this.#requests.reduce((least, { doneAt }) => Math.min(least, doneAt), Infinity)
    // At least once a second, because the speed follows the capacity.
    const wait = Math.min((next - this.#progress) / this.#speed(now), 1_000)
    this.#timer = this.#options.clock.at(now + Math.max(wait, 0.001), () => this.#answer())
  }
  #answer(): void {
    const now = this.#options.clock.now()
    this.#goOn(now)
    for (let i = this.#requests.length - 1; i >= 0; i--) {
      const { doneAt, done } = this.#requests[i] as Request
      if (doneAt > this.#progress + 1e-6) continue
      this.#requests.splice(i, 1)
      this.served++
      done(false)
    }
    this.#arm(now)
  }
}

/** A clock for what needs no promises: `run` calls each alarm in turn, without a turn of the event loop between them. */
export class AlarmClock implements Pick<Clock, 'now' | 'random' | 'at'> {
  readonly random: () => number
  readonly #alarms = new Set<{ readonly instant: number; readonly callback: () => void }>()
  #now = 0

  constructor(seed: number) {
    this.random = randomOf(seed)
  }
  now(): number {
    return this.#now
  }
  at(instant: number, callback: () => void): Timer {
    const alarm = { instant, callback }
    this.#alarms.add(alarm)
    return { cancel: () => void this.#alarms.delete(alarm), ref: () => {}, unref: () => {} }
  }
  run(until: number): void {
    for (;;) {
      let next: { readonly instant: number; readonly callback: () => void } | undefined
      for (const alarm of this.#alarms) if (!next || alarm.instant < next.instant) next = alarm
      if (!next || next.instant > until) break
      this.#now = Math.max(this.#now, next.instant)
      this.#alarms.delete(next)
      next.callback()
    }
    this.#now = until
  }
}

/** Always has as many requests underway as the width, which `controller` may change. */
export class ClosedLoop {
  width: number
  underway = 0
  readonly #clock: AlarmClock
  readonly #server: SimulatedServer
  readonly #controller: Controller | undefined

  constructor(clock: AlarmClock, server: SimulatedServer, width: number, controller?: Controller) {
    this.#clock = clock
    this.#server = server
    this.width = width
    this.#controller = controller
    this.#fill()
  }
  #fill(): void {
    while (this.underway < this.width) this.#start()
  }
  #start(): void {
    const startedAt = this.#clock.now()
    this.underway++
    this.#server.request(refused => {
      const { underway, width } = this
      const outcome = refused ? 'overload' : 'ok'
      const decision = this.#controller?.observe({ startedAt, endedAt: this.#clock.now(), underway, outcome }, width)
      if (decision) this.width = decision.width
      this.underway--
      this.#fill()
    })
  }
}
