/** The settings of a queue that may change while it runs: its width, and the rules of its rate. */

import type { Dispatch } from '../dispatch/dispatch.ts'
import { QueueStoppedError } from '../errors.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { withoutHandler } from '../options/no-handler.ts'
import { parseWidth } from '../options/options.ts'
import { parseRate, type RateRule } from '../rate/rules.ts'
import type { Commands } from './commands.ts'
import type { Opening } from './opening.ts'

export interface SettingsParts {
  readonly lifecycle: Lifecycle
  readonly dispatch: Dispatch
  readonly commands: Commands
  readonly opening: Opening
  readonly emitter: SafeEmitter<unknown, unknown>
  /** Whether the queue has a handler. */
  readonly works: boolean
  /** The rules of the constructor. They are in force until the backlog is open, which may know others. */
  readonly declaredRules: readonly RateRule[]
}

export class Settings {
  readonly #parts: SettingsParts
  /** The rules that were set and that the backlog has not confirmed yet. */
  #requestedRules: readonly RateRule[] | undefined

  constructor(parts: SettingsParts) {
    this.#parts = parts
  }
  get width(): number {
    return this.#parts.dispatch.launcher.width
  }
  /** A change takes effect at once, and interrupts no job. `reason` is that of a controller. */
  setWidth(width: number, ...reason: [] | [string]): void {
    const { lifecycle, dispatch, emitter, works } = this.#parts
    if (lifecycle.stopping) throw new QueueStoppedError('cannot set width')
    if (!works) throw withoutHandler('width', width)
    const before = this.width
    const now = parseWidth(width)
    if (now === before) return
    dispatch.launcher.width = now
    emitter.announce('width', now, before, ...reason)
    dispatch.wake()
  }
  /** The rules in force, or those that are about to be. */
  get rules(): readonly RateRule[] {
    return this.#requestedRules ?? this.#parts.opening.session?.rules ?? this.#parts.declaredRules
  }
  /** No job starts by the old rules after this call, nor any job until the backlog goes by the new ones. */
  setRate(rate: unknown): void {
    const { lifecycle, dispatch, commands, emitter } = this.#parts
    if (lifecycle.stopping) throw new QueueStoppedError('cannot set rate')
    const before = this.rules
    const rules = parseRate('rate', rate)
    this.#requestedRules = rules
    emitter.announce('rate', rules, before)
    const suspension = dispatch.suspendLaunches()
    let isOver = false
    /** The backlog uses the rules or has refused them. A fault in what follows its reply must not end this twice. */
    const over = (): void => {
      if (isOver) return
      isOver = true
      if (this.#requestedRules === rules) this.#requestedRules = undefined
      suspension.over()
    }
    commands.control({ kind: 'rate', rules }, over).catch(error => {
      over()
      emitter.report(error, {})
    })
  }
}
