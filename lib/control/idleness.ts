/**
 * Whether a queue is idle: nothing is pending, delayed or underway under its name, no put is on its way, and everything
 * that has happened is announced.
 */
import type { Dispatch } from '../dispatch/dispatch.ts'
import type { Intake } from '../put/intake.ts'
import type { Commands } from './commands.ts'
import type { Opening } from './opening.ts'

export interface IdlenessParts {
  readonly opening: Opening
  readonly intake: Intake
  readonly dispatch: Dispatch
  readonly commands: Commands
}

export class Idleness {
  readonly #parts: IdlenessParts

  constructor(parts: IdlenessParts) {
    this.#parts = parts
  }
  get isIdle(): boolean {
    const { opening, intake, dispatch, commands } = this.#parts
    const counts = opening.session?.counts
    if (!counts || !intake.empty || !dispatch.noneInFlight || commands.announcing) return false
    return counts.pending + counts.delayed + counts.underway === 0
  }
}
