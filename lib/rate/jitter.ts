/**
 * `jitter: 'learn'`: how a rule finds out by how much requests differ in how long they take to arrive.
 *
 * The jitter starts at 0. It is lengthened by a refusal that a longer one would have prevented, and shortened slowly
 * while the limit is reached and nothing is refused. If refusals go on at the longest, they have another cause, and the
 * rule goes back to what it had before. docs/design/rate.md explains the choice.
 */

/** The jitter that a rule has learned, as data for JSON. */
export interface Learned {
  readonly jitterMs: number
  /** The last jitter with which nothing was refused for long. */
  readonly provenMs: number
  /** How many full windows have passed without a refusal since the jitter changed. Below 0: it is not lengthened. */
  readonly quiet: number
  /** When the last of these windows was counted, or the jitter changed; null means never. */
  readonly quietAt: number | null
}

/** By this share of `per` the jitter is lengthened at least; by half of itself if that is more. */
const stepShare = 1 / 100
/** A refusal counts if a jitter that is longer by this share of `per` would have prevented it. */
const nearShare = 1 / 10
/** After so many full windows without a refusal the jitter is shortened by a tenth. */
const quietWindows = 100
const shortening = 0.9
/** A shorter jitter, as a share of `per`, counts as none. */
const leastShare = 1 / 1_000
/** For so many full windows nothing is learned from refusals, once they have turned out to have another cause. */
const ignoredWindows = 1_000

export function unlearned(jitterMs: number): Learned {
  return { jitterMs, provenMs: jitterMs, quiet: 0, quietAt: null }
}

/**
 * The jitter learned from a refusal; undefined: nothing. `differMs`: two requests have differed by more than that,
 * which is at least the present jitter, unless the refusal has another cause.
 */
export function afterRefusal(learned: Learned, differMs: number, perMs: number, now: number): Learned | undefined {
  const { jitterMs, provenMs, quiet } = learned
  if (quiet < 0 || differMs >= jitterMs + perMs * nearShare) return undefined
  if (jitterMs === perMs) return { jitterMs: provenMs, provenMs, quiet: -ignoredWindows, quietAt: now }
  // Never more than `per`, so at least half of the rate remains.
  const longerMs = Math.min(differMs + Math.max(perMs * stepShare, jitterMs / 2), perMs)
  return { jitterMs: longerMs, provenMs, quiet: 0, quietAt: now }
}

/** The jitter learned from another full window without a refusal; undefined: nothing. */
export function afterQuietWindow(learned: Learned, perMs: number, now: number): Learned | undefined {
  const { jitterMs, quiet } = learned
  if (jitterMs === 0 && quiet >= 0) return undefined
  if (quiet + 1 < quietWindows) return { ...learned, quiet: quiet + 1, quietAt: now }
  const shorterMs = jitterMs * shortening
  return { jitterMs: shorterMs < perMs * leastShare ? 0 : shorterMs, provenMs: jitterMs, quiet: 0, quietAt: now }
}

/** How long a start is remembered, so that a late reply can still be compared with the starts before it. */
export function rememberedMs(perMs: number): number {
  return 3 * perMs + Math.min(7 * perMs, 5_000)
}
