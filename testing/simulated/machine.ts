/**
 * A simulated machine: one time for all its processes, whose event loops take their steps in an order that a seed chooses.
 * The same seed and the same commands give the same run.
 *
 * Time passes only while nothing is ready. Between two deliveries the real event loop takes one turn, so that every promise
 * that can settle does.
 */
import { loadSqlite, type SqliteLibrary } from '../../persistence/sqlite/file/library.ts'
import type { Chance } from './chance.ts'
import type { Letter, Loop } from './loop.ts'

/** So many deliveries in one instant are no work any more: something turns in a circle. */
const deliveriesMost = 20_000

export class Machine {
  readonly chance: Chance
  /** Milliseconds since the run began. Nobody in it can read this clock: processes read {@link steady} and {@link wall}. */
  now = 0
  wall = 1_700_000_000_000
  /** Which boot this is, and when it was. */
  boot = 'boot 1'
  #bootedAt = 0
  #boots = 1
  readonly #loops = new Set<Loop>()
  /** What a loop threw that nobody caught. */
  readonly uncaught: unknown[] = []
  deliveries = 0
  /** What its threads open files with. */
  library: () => SqliteLibrary = loadSqlite
  /** Write transactions that were begun, on any file. */
  exchanges = 0

  constructor(chance: Chance) {
    this.chance = chance
  }
  /** What the steady clock of the host reads: milliseconds since its boot. */
  get steady(): number {
    return this.now - this.#bootedAt
  }
  /** The instant of the machine at which the host's steady clock reads so much. */
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
  /** The host's steady clock begins anew. */
  reboot(): void {
    this.#bootedAt = this.now
    this.boot = `boot ${++this.#boots}`
  }
  pass(ms: number): void {
    this.now += ms
    this.wall += ms
  }
  /** One delivery, of those that are ready. False when none is before time passes. */
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
  /** Lets all promises go on that can, and delivers nothing. */
  turn(): Promise<void> {
    return turn()
  }
  /** Delivers all that is ready, and what that makes ready, without time. */
  async #settle(until: () => boolean): Promise<void> {
    for (let left = deliveriesMost; !until(); left--) {
      if (left === 0) throw new Error(`${deliveriesMost} deliveries at the instant ${this.now}, and no end of it`)
      if (!(await this.step())) return
    }
  }
  /** Lets `ms` pass, with all that happens meanwhile, or less when `until` says so. */
  async run(ms: number, until: () => boolean = never): Promise<void> {
    const end = this.now + ms
    // What was asked from outside goes on first.
    await turn()
    for (;;) {
      await this.#settle(until)
      if (until()) return
      if (this.next > end) {
        // What `until` has asked for goes on before that is said to be all.
        await turn()
        if (until()) return
      }
      const { next } = this
      if (next > end) break
      this.pass(Math.max(next - this.now, 0))
    }
    // A step may have taken longer than there was time.
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

/** A turn of the real loop: all microtasks that there are run before it comes. */
function turn(): Promise<void> {
  return new Promise(resolve => void setImmediate(resolve))
}
