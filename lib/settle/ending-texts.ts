/** Turns the value or error of a run into text when the run ends, so that later changes to either have no effect. */
import type { SettleKind } from '../backlog.ts'
import { errorToJson } from '../text/error-to-json.ts'
import { textOf } from '../text/json.ts'

export interface EndingTextsParts {
  /** Whether the backlog stores text. */
  readonly durable: boolean
  /** Whether results are kept. A kept result must survive JSON unchanged. */
  readonly keepsResults: boolean
  /** Called when a result cannot be kept. */
  failed(error: unknown): void
}

export class EndingTexts {
  readonly #parts: EndingTextsParts
  /**
   * Only the first result that cannot be kept is reported, because the next ones will most likely fail for the same
   * reason.
   */
  #reported = false

  constructor(parts: EndingTextsParts) {
    this.#parts = parts
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
    if (kind === 'finished') return this.#parts.keepsResults ? this.#ofResult(value) : undefined
    const recorded = kind === 'failed' || kind === 'cancelled' || kind === 'retry'
    return recorded && this.#parts.durable ? errorToJson(error) : undefined
  }
  #ofResult(value: unknown): string | undefined {
    try {
      return textOf(value, 'result')
    } catch (error) {
      if (!this.#reported) this.#parts.failed(error)
      this.#reported = true
      return undefined
    }
  }
}
