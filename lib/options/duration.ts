/**
 * Durations and instants as users write them, and the difference between the two.
 *
 * A duration is how long: milliseconds as a number, or one number with one unit. An instant is when: milliseconds since the
 * epoch, or a Date. Both are numbers, so one is easily given for the other, and the job would then wait until 2083 or not at
 * all. The bounds below lie where no honest value of either kind does, and a refusal names the option that was meant.
 */
import { types } from 'node:util'
import { describe, msOf, OptionError } from '../errors.ts'

/**
 * Milliseconds, or a number with a unit: `'250ms'`, `'10s'`, `'5m'` or `'5min'`, `'2h'`, `'14d'`. The unit is required.
 * Any string compiles, as configuration holds strings; it is checked where it is handed over.
 */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'min' | 'h' | 'd'}` | (string & {})

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

const form = /^(\d+(?:\.\d+)?)(ms|s|m|min|h|d)$/

/** The longest duration with a unit: 100 years. */
const maxMs = 36_525 * 86_400_000

/**
 * A number of so many milliseconds or more is an instant and no duration: as a duration it is 31 years, and as an instant
 * it is in September 2001, so every instant that a program takes from its clock is above it. An instant in seconds cannot be
 * told from a duration: it is 20 days, for which a job may well wait.
 */
const minInstantMs = 1e12

/**
 * Instants are from March 1973 up to the year 33,658, in milliseconds since the epoch. Below that range are the present
 * instants in seconds (up to the year 5138) and all durations of less than 3 years. Above it are the present instants in
 * microseconds and nanoseconds. The 31st of December 9999, which databases hold for never, is within it. 0 is accepted: as
 * an instant and as a duration it means at once.
 */
const earliestMs = 1e11
const latestMs = 1e15

/**
 * The milliseconds that `value` means. Throws an {@link OptionError} that names `option` when it means none, when it is
 * negative, too long or an instant, or when it is 0 where `least` says that a duration must be more. `instant` is the option
 * that takes an instant instead, where there is one.
 */
export function durationMs(option: string, value: unknown, least: 'zero' | 'more' = 'zero', instant?: string): number {
  const match = typeof value === 'string' ? form.exec(value) : undefined
  const ms = match ? Number(match[1]) * (unitMs[match[2] as string] as number) : value
  const longest = match ? maxMs : minInstantMs
  if (typeof ms === 'number' && ms >= 0 && (match ? ms <= longest : ms < longest) && (ms > 0 || least === 'zero')) {
    return ms
  }
  const bound = least === 'more' ? 'more than 0' : '0 or more'
  const hint = isInstant(value) ? `, which is an instant${instant ? `; did you mean ${instant}?` : ''}` : hintOf(value)
  throw new OptionError(
    option,
    value,
    `must be milliseconds (${bound}) or a number with a unit such as '250ms', '10s', '5m', '2h' or '14d', got ${describe(value)}${hint}`,
  )
}

function hintOf(value: unknown): string {
  if (typeof value === 'number' && value > 0) return ', which is too long; at most 100 years, written with a unit'
  if (typeof value !== 'string') return ''
  if (form.test(value)) return ', which is longer than 100 years'
  return Number(value) > 0 && /^\d+(\.\d+)?$/.test(value) ? `; did you mean '${value}ms' or '${value}s'?` : ''
}

/** Whether a value that was given for a duration is an instant: a Date, its text, or milliseconds since the epoch. */
function isInstant(value: unknown): boolean {
  if (typeof value === 'number') return value >= minInstantMs && value < latestMs
  return types.isDate(value) || (typeof value === 'string' && isoDate.test(value))
}

const isoDate = /^\d{4}-\d\d-\d\d/

/**
 * The milliseconds since the epoch that `value` means: a number, or a Date, also of another realm. Throws an
 * {@link OptionError} when it means none, or is a duration, or is in seconds or microseconds. `duration` is the option that
 * takes a duration instead.
 */
export function instantMs(option: string, value: unknown, duration: string): number {
  const ms = types.isDate(value) ? msOf(value) : value
  if (ms === 0 || (typeof ms === 'number' && ms >= earliestMs && ms < latestMs)) return ms
  throw new OptionError(
    option,
    value,
    `must be milliseconds since the epoch or a valid Date, got ${describe(value)}${instantHint(value, ms, duration)}`,
  )
}

function instantHint(value: unknown, ms: unknown, duration: string): string {
  if (typeof value === 'string' && form.test(value)) return `, which is a duration; did you mean ${duration}?`
  if (typeof value === 'string' && isoDate.test(value)) return `; did you mean new Date('${value}')?`
  if (typeof ms !== 'number' || Number.isNaN(ms)) return ''
  if (ms >= latestMs) return ', which is too late; is it in microseconds?'
  // Instants in seconds from 1990 on; what is less was meant as a duration.
  const seconds = ms >= 631_152_000 && ms < earliestMs ? ', or is it in seconds?' : ''
  return `, which is before March 1973; did you mean ${duration}?${seconds}`
}
