/**
 * The settings of a queue that may change while it runs: its width, and what holds for its name in all processes: the
 * rules of its rate, and the global width.
 *
 * An override of the name is shown at once and stored in the backlog, which applies it. What another process has set is
 * shown once a reply has reported it.
 */
import type { Overridable } from '../backlog.ts'
import type { Dispatch, SettingsListener } from '../dispatch/dispatch.ts'
import { QueueStoppedError } from '../errors.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { KeyOverride } from '../limits/keys.ts'
import { withoutHandler } from '../options/no-handler.ts'
import { parseWidth } from '../options/options.ts'
import { oneOf } from '../parse/option-names.ts'
import { parseRate, type RateRule, sameRules, withLearned } from '../rate/rules.ts'
import type { Commands } from './commands.ts'
import type { Opening } from './opening.ts'

/** The overrides, as far as they are stored. */
export interface Overrides {
  /** The rules in force; undefined if they are those that were declared last. */
  readonly rate: readonly RateRule[] | undefined
  /** The global width in force; undefined if it is the one that was declared last. */
  readonly globalWidth: number | undefined
  /** The overrides of single keys, by key. */
  readonly keys: ReadonlyMap<string, KeyOverride>
}

export interface SettingsParts {
  readonly lifecycle: Lifecycle
  readonly dispatch: Dispatch
  readonly commands: Commands
  readonly opening: Opening
  readonly emitter: SafeEmitter<unknown, unknown>
  /** Whether the queue has a handler. */
  readonly works: boolean
  /** As the constructor declares them. They are in force until the backlog is open, which may know others. */
  readonly declared: { readonly rules: readonly RateRule[]; readonly globalWidth: number }
}

/** A value that was set and that the backlog has not confirmed yet. */
interface Requested<T> {
  readonly value: T
}

const overridable: readonly Overridable[] = ['rate', 'globalWidth', 'keys']

export class Settings implements SettingsListener {
  readonly #parts: SettingsParts
  #requestedRules: Requested<readonly RateRule[]> | undefined
  #requestedGlobalWidth: Requested<number> | undefined
  /** The values that the last events have shown. */
  #shownRules: readonly RateRule[]
  #shownGlobalWidth: number
  /** The declaration of this queue has changed a named rule for all, and that was shown. */
  #hasReplaced = false

  constructor(parts: SettingsParts) {
    this.#parts = parts
    this.#shownRules = parts.declared.rules
    this.#shownGlobalWidth = parts.declared.globalWidth
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
    if (now < before) dispatch.launcher.isolatedBodies?.withdraw()
    emitter.announce('width', now, before, ...reason)
    dispatch.wake()
  }

  // Settings of the name: the value in force, or the one that is about to be.

  get rules(): readonly RateRule[] {
    const { opening, declared } = this.#parts
    return this.#requestedRules?.value ?? opening.session?.rules ?? declared.rules
  }
  get globalWidth(): number {
    const { opening, declared } = this.#parts
    return this.#requestedGlobalWidth?.value ?? opening.session?.globalWidth ?? declared.globalWidth
  }
  setRate(rate: unknown): void {
    this.#refuseStopped('set rate')
    const requested = { value: withLearned(parseRate('rate', rate), this.rules) }
    this.#requestedRules = requested
    // Also if they are those in force.
    this.#showRules(requested.value)
    this.#soon({ kind: 'rate', rules: requested.value }, () => {
      if (this.#requestedRules === requested) this.#requestedRules = undefined
    })
  }
  setGlobalWidth(width: unknown): void {
    this.#refuseStopped('set globalWidth')
    const requested = { value: parseWidth(width, 'globalWidth') }
    this.#requestedGlobalWidth = requested
    this.settingsReported()
    this.#soon({ kind: 'globalWidth', width: requested.value }, () => {
      if (this.#requestedGlobalWidth === requested) this.#requestedGlobalWidth = undefined
    })
  }
  /** A reply has arrived, which may report a change. Emits what reads otherwise than before. */
  settingsReported(): void {
    const { rules, globalWidth } = this
    const replaced = this.#parts.opening.session?.replaced
    if (replaced && !this.#hasReplaced) this.#shownRules = replaced
    this.#hasReplaced ||= replaced !== undefined
    if (rules !== this.#shownRules) {
      if (sameRules(rules, this.#shownRules)) this.#shownRules = rules
      else this.#showRules(rules)
    }
    if (globalWidth === this.#shownGlobalWidth) return
    const before = this.#shownGlobalWidth
    this.#shownGlobalWidth = globalWidth
    this.#parts.emitter.announce('globalWidth', globalWidth, before)
  }
  #showRules(rules: readonly RateRule[]): void {
    const before = this.#shownRules
    this.#shownRules = rules
    this.#parts.emitter.announce('rate', rules, before)
  }

  get overrides(): Overrides {
    const { session } = this.#parts.opening
    const { rate = false, globalWidth = false } = session?.overridden ?? {}
    return {
      rate: rate ? session?.rules : undefined,
      globalWidth: globalWidth ? session?.globalWidth : undefined,
      keys: new Map(session?.keys.overrides),
    }
  }
  /** Removes overrides: the declaration is in force again. */
  async clearOverrides(of: Overridable | undefined): Promise<void> {
    oneOf('clearOverrides', of, overridable)
    this.#refuseStopped('clear overrides')
    await this.#store({ kind: 'clearOverrides', of: of === undefined ? overridable : [of] }, () => {})
  }

  #refuseStopped(verb: string): void {
    if (this.#parts.lifecycle.stopping) throw new QueueStoppedError(`cannot ${verb}`)
  }
  /** Emits a failure as `error`, because nobody awaits the change. */
  #soon(command: SettingCommand, stored: () => void): void {
    this.#store(command, stored).catch(error => this.#parts.emitter.report(error, {}))
  }
  /**
   * No job starts by the old settings after this call, nor any job until the backlog goes by the new ones. `stored` is
   * called once the backlog uses them or has refused them.
   */
  #store(command: SettingCommand, stored: () => void): Promise<void> {
    const { dispatch, commands } = this.#parts
    const suspension = dispatch.suspendLaunches()
    let isOver = false
    /** A fault in what follows the backlog's reply must not end this twice. */
    const over = (): void => {
      if (isOver) return
      isOver = true
      stored()
      suspension.over()
      this.settingsReported()
    }
    return commands.send(command, over).catch(error => {
      over()
      throw error
    })
  }
}

type SettingCommand = Parameters<Commands['send']>[0]
