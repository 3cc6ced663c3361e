/**
 * Since when each key certainly may start a job, by its own limits. Whatever is not certain counts as a limit, so that a
 * key is not said to be passed over by mistake.
 */
import type { Entry } from '../entry.ts'
import { KeySettings } from './key-settings.ts'
import { Bodies, KeyStarts } from './keys.ts'

export class FreeKeys {
  readonly settings: KeySettings = new KeySettings()
  readonly #starts: KeyStarts
  readonly #bodies = new Bodies()
  /** Since when fewer bodies of each key run than its width. */
  readonly #slotSince = new Map<string, number>()
  #hasCrashed = false

  constructor(slackMs: number) {
    this.#starts = new KeyStarts(this.settings, slackMs)
  }
  take(entry: Entry): void {
    this.settings.take(entry)
    this.#starts.take(entry)
    if (entry.kind === 'crash') this.#hasCrashed = true
    for (const { key } of this.#bodies.take(entry)) if (key !== undefined) this.#slotSince.set(key, entry.nowMs)
  }
  /** From when on the key may start a job of at most that cost; Infinity: that is not known. Asked at this entry. */
  freeAt(key: string | undefined, cost: Readonly<Record<string, number>>, at: Entry): number {
    if (key === undefined) return -Infinity
    const { settings } = this
    if (settings.wasNeverLimited(key)) return -Infinity
    // Bodies and grants of a dead process are counted until somebody has recovered its jobs.
    const settledAt = settings.settledAt(key)
    if (this.#hasCrashed || settledAt === Infinity) return Infinity
    const { width, paused } = settings.latest(key)
    if (paused || this.#bodies.of(key).length >= width) return Infinity
    const starts = this.#starts.of(key, at)
    return Math.max(this.#slotSince.get(key) ?? -Infinity, settledAt, starts.freeAt(cost))
  }
}
