/**
 * A simulated machine: one time for all its processes, whose event loops take their steps in an order that a seed
 * chooses. The same seed and the same commands give the same run.
 *
 * Time passes only while nothing is ready. Between two deliveries the real event loop takes one turn, so that every
 * promise that can settle does.
 */
import { loadSqlite, type SqliteLibrary } from '../../persistence/sqlite/file/library.ts'
import type { Chance } from './chance.ts'
import type { Letter, Loop } from './loop.ts'

/** More deliveries than this in one instant mean an endless loop. */
const deliveriesMost = 20_000

export class Machine {
  readonly chance: Chance
  /** Milliseconds since the run began. No process can read this clock; they read {@link steady} and {@link wall}. */
  now = 0
  wall = 1_700_000_000_000
  /** Identifies the boot, with its instant. */
  boot = 'boot 1'
  #bootedAt = 0
  #boots = 1
  readonly #loops = new Set<Loop>()
  /** Uncaught errors of loops. */
  readonly uncaught: unknown[] = []
  deliveries = 0
  /** The library with which its threads open files. */
  library: () => SqliteLibrary = loadSqlite
  /** The number of write transactions that were begun, on any file. */
  transactions = 0

  constructor(chance: Chance) {
    this.chance = chance
  }
  /** The host's steady clock: milliseconds since its boot. */
  get steady(): number {
    return this.now - this.#bootedAt
  }
  /** The instant of the machine at which the host's steady clock reads `steady`. */
  instantOf(steady: number): number {
    return steady + this.#bootedAt
  }
  add(loop: Loop): void {
    this.#loops.add(loop)
  }
  remove(loop: Loop): void {
    this.#loops.delete(loop)
    loop.end()
  }
  /** The host's steady clock starts again. */
  reboot(): void {
    this.#bootedAt = this.now
    this.boot = `boot ${++this.#boots}`
  }
  pass(ms: number): void {
    this.now += ms
    this.wall += ms
  }
  /** Makes one of the deliveries that are ready. Returns false if none is before time passes. */
  async step(): Promise<boolean> {
    const ready: Letter[] = []
    for (const loop of this.#loops) loop.ready(this.now, ready)
    if (ready.length === 0) return false
    const { deliver, promises, after } = ready[ready.length === 1 ? 0 : this.chance.below(ready.length)] as Letter
    this.deliveries++
    try {
      deliver()
    } catch (error) {
      this.uncaught.push(error)
    }
    if (promises) await turn()
    after?.()
    return true
  }
  /** Lets all promises settle that can, and delivers nothing. */
  turn(): Promise<void> {
    return turn()
  }
  /** Delivers everything that is ready, and what follows from it without time. */
  async #settle(until: () => boolean): Promise<void> {
    for (let left = deliveriesMost; !until(); left--) {
      if (left === 0) throw new Error(`${deliveriesMost} deliveries at the instant ${this.now}, and no end of it`)
      if (!(await this.step())) return
    }
  }
  /** Lets `ms` pass, with everything that happens meanwhile, or less if `until` returns true. */
  async run(ms: number, until: () => boolean = never): Promise<void> {
    const end = this.now + ms
    // Requests from outside come first.
    await turn()
    for (;;) {
      await this.#settle(until)
      if (until()) return
      if (this.next > end) {
        // Promises that `until` depends on settle before it is checked again.
        await turn()
        if (until()) return
      }
      const { next } = this
      if (next > end) break
      this.pass(Math.max(next - this.now, 0))
    }
    // A step may have taken longer than the remaining time.
    this.pass(Math.max(end - this.now, 0))
    await this.#settle(until)
  }
  /** The next instant at which something happens. */
  get next(): number {
    let first = Infinity
    for (const loop of this.#loops) first = Math.min(first, loop.next)
    return first
  }
}

const never = (): boolean => false

/** A turn of the real loop: all microtasks run before it. */
function turn(): Promise<void> {
  return new Promise(resolve => void setImmediate(resolve))
}
