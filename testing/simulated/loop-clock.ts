/** The clock of a simulated loop. */
import type { Clock, Timer } from '../../lib/clock.ts'
import { Chance } from './chance.ts'
import type { Loop } from './loop.ts'
import type { Machine } from './machine.ts'

/** The clock of one loop, which started with it. */
export class LoopClock implements Clock {
  readonly origin: { readonly boot: string; readonly offsetMs: number }
  readonly #machine: Machine
  readonly #loop: Loop
  readonly #chance: Chance

  constructor(machine: Machine, loop: Loop) {
    this.#machine = machine
    this.#loop = loop
    this.#chance = new Chance(machine.chance.below(2 ** 31))
    this.origin = { boot: machine.boot, offsetMs: machine.steady }
  }
  now(): number {
    return this.#machine.steady - this.origin.offsetMs
  }
  wall(): number {
    return this.#machine.wall
  }
  random(): number {
    return this.#chance.real()
  }
  at(instant: number, callback: () => void): Timer {
    return this.#loop.at(this.#machine.instantOf(instant + this.origin.offsetMs), callback)
  }
  soon(callback: () => void): Timer {
    return this.#loop.soon(callback)
  }
}
