/** The texts of what runs end with, made when they end: nobody who holds the value or the error can change them any more. */
import type { SettleKind } from '../backlog.ts'
import { textOf } from '../put/payload.ts'
import { thrownText } from './thrown.ts'

export interface EndingTextsParts {
  /** Whether the backlog stores text. */
  readonly durable: boolean
  /** Whether results are kept that must be what JSON gives back unchanged. */
  readonly keepsResults: boolean
  /** A result cannot be kept. */
  failed(error: unknown): void
}

export class EndingTexts {
  readonly #parts: EndingTextsParts
  /** One result that cannot be kept is told of: the next will most likely be like it. */
  #reported = false

  constructor(parts: EndingTextsParts) {
    this.#parts = parts
  }
  /** Undefined where there is nothing to store. Never throws: a result that cannot be stored never fails its job. */
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
    return recorded && this.#parts.durable ? thrownText(error) : undefined
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
