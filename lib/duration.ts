/** Durations as users write them: milliseconds as a number, or one number with one unit. */
import { describe, OptionError } from './errors.ts'

/** Milliseconds, or a number with a unit: `'250ms'`, `'10s'`, `'5m'` or `'5min'`, `'2h'`, `'14d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'min' | 'h' | 'd'}`

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

const form = /^(\d+(?:\.\d+)?)(ms|s|m|min|h|d)$/

/** How long one may be at most: 100 years. Longer is a slip of the pen, or an instant given for a duration. */
const longestMs = 36_525 * 86_400_000

/**
 * The milliseconds that `value` means. Throws an {@link OptionError} that names `option` when it means none, when it
 * is negative, beyond a hundred years, or 0 where `least` says that a duration must be more.
 */
export function durationMs(option: string, value: unknown, least: 'zero' | 'more' = 'zero'): number {
  const match = typeof value === 'string' ? form.exec(value) : undefined
  const ms = match ? Number(match[1]) * (unitMs[match[2] as string] as number) : value
  if (typeof ms !== 'number' || !(ms >= 0) || ms > longestMs || (least === 'more' && ms === 0)) {
    const bound = least === 'more' ? 'more than 0' : '0 or more'
    throw new OptionError(
      option,
      value,
      `must be milliseconds (${bound}) or a number with a unit such as '250ms', '10s', '5m', '2h' or '14d', got ${describe(value)}`,
    )
  }
  return ms
}
