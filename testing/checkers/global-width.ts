/** I28: over all processes together, never more bodies than the global width. */
import type { Entry } from '../entry.ts'
import { at, type Checker } from './judge.ts'
import { Bodies } from './keys.ts'
import { Requested } from './requested.ts'

/** The global width of a queue, as far as a history shows it. */
export class GlobalWidth {
  readonly #requested = new Requested(Infinity)
  #declared = Infinity

  take(entry: Entry): void {
    // A repeated declaration leaves in force what was set since.
    if (entry.kind === 'opened' && entry.globalWidth !== undefined && entry.globalWidth !== this.#declared) {
      this.#declared = entry.globalWidth
      this.#requested.note(entry, entry.globalWidth, undefined)
    }
    if (entry.kind === 'globalWidth') this.#requested.note(entry, entry.width, Number.NaN)
    if (entry.kind === 'clearOverrides' && (entry.only ?? 'globalWidth') === 'globalWidth') {
      this.#requested.note(entry, this.#declared, entry.call)
    }
    this.#requested.take(entry)
    // Setting it has no reply. Another process that reads it shows that it is stored.
    if (entry.kind === 'emitted' && entry.width !== undefined) this.#requested.shown(entry, entry.width)
  }
  possible(at: Entry, slackMs: number): number[] {
    return this.#requested.possible(at, slackMs)
  }
  /** Whether one more than so many bodies may certainly run. */
  hasFreeSlot(bodies: number): boolean {
    return this.#requested.all.every(width => width === Infinity || bodies < width)
  }
}

/**
 * I28. Global width: just before each start, fewer bodies ran in all processes together than the global width. A body
 * counts until it has really ended or its process is dead. While the width is being changed, each of the widths that may
 * be in force is allowed.
 */
export const globalWidth: Checker = (history, sure, { slackMs }) => {
  const width = new GlobalWidth()
  const bodies = new Bodies()
  for (const entry of history) {
    width.take(entry)
    if (entry.kind === 'launch') {
      const most = Math.max(...width.possible(entry, slackMs))
      const running = bodies.all
      const message = (): string =>
        `job ${entry.job} started while ${running.length} ran in all processes, at a global width of ${most}: ${at(entry)}`
      if (most < Infinity) sure(running.length < most, message, ...running, entry)
    }
    bodies.take(entry)
  }
}
