/** Turns the value or error of a run into text when the run ends, so that later changes to either have no effect. */
import type { SettleKind } from '../backlog.ts'
import type { SafeEmitter } from '../events/events.ts'
import { errorToJson } from '../text/error-to-json.ts'
import { textOf } from '../text/json.ts'

export class EndingTexts {
  readonly #emitter: Pick<SafeEmitter<unknown, unknown>, 'report'>
  readonly #durable: boolean
  readonly #keepsResults: boolean
  /**
   * Only the first result that cannot be kept is reported, because the next ones will most likely fail for the same
   * reason.
   */
  #reported = false

  /**
   * @param emitter Reports a result that cannot be kept.
   * @param durable Whether the backlog stores text.
   * @param keepsResults Whether results are kept. A kept result must survive JSON unchanged.
   */
  constructor(emitter: Pick<SafeEmitter<unknown, unknown>, 'report'>, durable: boolean, keepsResults: boolean) {
    this.#emitter = emitter
    this.#durable = durable
    this.#keepsResults = keepsResults
  }
  /**
   * Returns undefined if there is nothing to store. Never throws: a result that cannot be stored must not fail its job.
   */
  of({
    kind,
    value,
    error,
  }: {
    readonly kind: SettleKind
    readonly value: unknown
    readonly error: unknown
  }): string | undefined {
    if (kind === 'finished') return this.#keepsResults ? this.#ofResult(value) : undefined
    const recorded = kind === 'failed' || kind === 'cancelled' || kind === 'retry'
    return recorded && this.#durable ? errorToJson(error) : undefined
  }
  #ofResult(value: unknown): string | undefined {
    try {
      return textOf(value, 'result')
    } catch (error) {
      if (!this.#reported) this.#emitter.report(error, {})
      this.#reported = true
      return undefined
    }
  }
}
