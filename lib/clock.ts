/**
 * Time, timers, turns of the event loop and randomness. The rest of rdq uses them only through this module.
 *
 * No other module calls `Date.now`, `performance.now`, `setTimeout`, `setImmediate` or `Math.random` (test/tidy.test.ts
 * enforces it), so a test that passes another clock controls time completely.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { performance } from 'node:perf_hooks'
import { describe, hasMethods, OptionError } from './errors.ts'

export interface Clock {
  /** Steady milliseconds, with fractions. Never goes back; independent of the wall clock. */
  now(): number
  /** Milliseconds since the epoch, for `runAt` and for people. May jump either way. */
  wall(): number
  /** A number from 0 up to, but not including, 1. */
  random(): number
  /**
   * Calls `callback` once, in a turn of its own, when `now()` has reached `instant`: never early, however far away it
   * is. `precise` gains the last millisecond by polling each turn of the loop instead of sleeping.
   */
  at(instant: number, callback: () => void, precise?: boolean): Timer
  /** Calls `callback` once in a later turn of the event loop, after timers and I/O. */
  soon(callback: () => void): Timer
  /**
   * Relates `now()` to the clocks of other processes. If absent, no other process can read it, and each process counts
   * as a boot of its own.
   */
  readonly origin?: Origin
  /** Work continues outside of this thread until `work` has settled. A clock that a test turns waits for it. */
  outside?(work: Promise<unknown>): void
}

/** The position of this thread's steady clock relative to that of the host, which all processes of one boot share. */
export interface Origin {
  /** Differs from boot to boot. Instants of another boot cannot be translated. */
  readonly boot: string
  /** The host's steady milliseconds at instant 0 of `now()`. */
  readonly offsetMs: number
}

const methods = ['now', 'wall', 'random', 'at', 'soon'] as const

/**
 * Refuses a value that is no clock, or lacks a method, because a missing method would show only in the middle of a job.
 */
export function checkClock(option: string, value: unknown): Clock {
  if (hasMethods(value, methods)) return value as Clock
  throw new OptionError(option, value, `must be a Clock, with ${methods.join(', ')}; got ${describe(value)}`)
}

/** A scheduled call. It keeps the process alive until it has happened, unless unreferenced. */
export interface Timer {
  cancel(): void
  ref(): void
  unref(): void
}

/** Node turns a longer `setTimeout` into one of 1 ms, so a longer wait is made of several. */
const longestTimeoutMs = 2 ** 31 - 1

/** `setTimeout` is late by up to this much. A precise timer sleeps that much less and polls for the rest. */
const timeoutSlackMs = 1.5

class SystemClock implements Clock {
  #origin: Origin | undefined
  /** Computed on first use, because most queues never need it. */
  get origin(): Origin {
    this.#origin ??= { boot: bootOfHost(), offsetMs: offsetBetween(hostMs, () => performance.now()) }
    return this.#origin
  }
  now(): number {
    return performance.now()
  }
  wall(): number {
    return Date.now()
  }
  random(): number {
    return Math.random()
  }
  at(instant: number, callback: () => void, precise = false): Timer {
    return new SystemTimer(instant, callback, precise)
  }
  soon(callback: () => void): Timer {
    const immediate = setImmediate(callback)
    return {
      cancel: () => clearImmediate(immediate),
      ref: () => void immediate.ref(),
      unref: () => void immediate.unref(),
    }
  }
}

/** Sleeps, reads the clock on waking, and sleeps again if it was woken early. */
class SystemTimer implements Timer {
  readonly #instant: number
  readonly #callback: () => void
  readonly #slackMs: number
  #timeout: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  #isReferenced = true

  constructor(instant: number, callback: () => void, precise: boolean) {
    this.#instant = instant
    this.#callback = callback
    this.#slackMs = precise ? timeoutSlackMs : 0
    this.#arm()
  }
  cancel(): void {
    clearTimeout(this.#timeout)
    clearImmediate(this.#immediate)
  }
  ref(): void {
    this.#isReferenced = true
    this.#timeout?.ref()
    this.#immediate?.ref()
  }
  unref(): void {
    this.#isReferenced = false
    this.#timeout?.unref()
    this.#immediate?.unref()
  }
  readonly #wake = (): void => {
    if (performance.now() < this.#instant) this.#arm()
    else this.#callback()
  }
  #arm(): void {
    const remainingMs = this.#instant - performance.now()
    this.#timeout = this.#immediate = undefined
    if (remainingMs <= this.#slackMs) this.#immediate = setImmediate(this.#wake)
    else this.#timeout = setTimeout(this.#wake, Math.min(Math.ceil(remainingMs - this.#slackMs), longestTimeoutMs))
    if (!this.#isReferenced) this.unref()
  }
}

/** The clock of this machine. */
export const systemClock: Clock = new SystemClock()

/** `process.hrtime` reads one clock for all threads and processes; `performance.now` has a zero of its own in each. */
function hostMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Two readings this close together are exact enough. Of at most this many pairs the closest is used. */
const closeMs = 0.005
const maxPairs = 64

/**
 * How much the `host` clock is ahead of the `own` clock. A busy machine may halt the process between two readings, long
 * enough to shift every translated instant by a part of its window. So each reading of `host` is taken between two of
 * `own`, and the one with the smallest gap counts.
 */
export function offsetBetween(host: () => number, own: () => number): number {
  let offsetMs = 0
  let closestMs = Infinity
  for (let pairs = maxPairs; pairs > 0 && closestMs > closeMs; pairs--) {
    const before = own()
    const at = host()
    const apartMs = own() - before
    if (apartMs >= closestMs) continue
    closestMs = apartMs
    offsetMs = at - before - apartMs / 2
  }
  return offsetMs
}

/**
 * Identifies the host and its boot. If the kernel does not say, the minute of the boot stands in. A jump of the wall
 * clock then looks like another boot, which is the safe error: instants are translated and clamped to their bounds.
 */
function bootOfHost(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return `${hostname()}:${Math.round((Date.now() - hostMs()) / 60_000)}`
  }
}
