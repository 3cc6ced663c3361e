/**
 * Durations and instants as users write them, and how the two are distinguished.
 *
 * A duration says how long: milliseconds as a number, or one number with one unit. An instant says when: milliseconds
 * since the epoch, or a Date. Both are numbers, so one is easily passed for the other, and the job would then wait
 * until 2083 or not at all. The bounds below lie where no plausible value of either kind lies, and a refusal names the
 * option that was meant.
 */
import { types } from 'node:util'
import { describe, msOf, OptionError } from '../errors.ts'

/**
 * Milliseconds, or a number with a unit: `'250ms'`, `'10s'`, `'5m'` or `'5min'`, `'2h'`, `'14d'`. The unit is required.
 * The type accepts any string, because configuration holds strings; the value is checked where it is passed.
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
 * A number from here on is an instant, not a duration: as a duration it would be 31 years, and as an instant it is in
 * September 2001, so every instant that a program takes from its clock is above it. An instant in seconds cannot be
 * distinguished from a duration: it looks like 20 days, which a job may well wait.
 */
const minInstantMs = 1e12

/**
 * Instants lie between March 1973 and the year 33,658, in milliseconds since the epoch. Below that range lie present
 * instants in seconds (up to the year 5138) and all durations of less than 3 years. Above it lie present instants in
 * microseconds and nanoseconds. The 31st of December 9999, which databases use for "never", is within it. 0 is
 * accepted: as an instant and as a duration it means at once.
 */
const earliestMs = 1e11
const latestMs = 1e15

/**
 * Parses a duration into milliseconds. Throws an {@link OptionError} that names `option` if the value is no duration,
 * is negative, too long or an instant, or is 0 where `least` requires more. `instant` is the option that takes an
 * instant instead, if there is one.
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

/** Whether a value given for a duration is an instant: a Date, its text, or milliseconds since the epoch. */
function isInstant(value: unknown): boolean {
  if (typeof value === 'number') return value >= minInstantMs && value < latestMs
  return types.isDate(value) || (typeof value === 'string' && isoDate.test(value))
}

const isoDate = /^\d{4}-\d\d-\d\d/

/**
 * Parses an instant, a number or a Date (also of another realm), into milliseconds since the epoch. Throws an
 * {@link OptionError} if it is no instant, is a duration, or is in seconds or microseconds. `duration` is the option
 * that takes a duration instead.
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
  // From 1990 on the number may be an instant in seconds. A smaller one was meant as a duration.
  const seconds = ms >= 631_152_000 && ms < earliestMs ? ', or is it in seconds?' : ''
  return `, which is before March 1973; did you mean ${duration}?${seconds}`
}
