/**
 * The `after` of RetryLater and Throttled: how long a job waits, in the form in which servers state it.
 *
 * It is a duration, a Date, or the unchanged value of a `Retry-After` header (RFC 9110, 10.2.3): seconds as text, several
 * of them if the header came several times, or a date in one of its three forms. A missing header (null, undefined or
 * empty) is legal, because servers may omit it: the result is then undefined, and the caller has a default.
 */
import { types } from 'node:util'
import { describe, msOf, OptionError } from '../errors.ts'
import { durationMs } from '../parse/duration.ts'

/** The values that `RetryLater` and `Throttled` accept. */
export type After = number | string | Date | null | undefined

const secondsForm = /^\d+(?:\.\d+)?$/
/** A header that came several times arrives as a list. */
const listOfSeconds = /^\d+(?:\.\d+)?(?:\s*,\s*\d+(?:\.\d+)?)*$/
/** Somebody may have meant a fraction. */
const decimalComma = /^\d+,\d+$/
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const weekday = '(?:mon|tue|wed|thu|fri|sat|sun)'
const month = `(?<month>${months.join('|')})`
const time = '(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)'
const dateForms: readonly RegExp[] = [
  // Sun, 06 Nov 1994 08:49:37 GMT
  new RegExp(`^${weekday}, (?<day>\\d\\d) ${month} (?<year>\\d{4}) ${time} GMT$`, 'i'),
  // Sunday, 06-Nov-94 08:49:37 GMT
  new RegExp(`^${weekday}[a-z]*, (?<day>\\d\\d)-${month}-(?<year>\\d\\d) ${time} GMT$`, 'i'),
  // Sun Nov  6 08:49:37 1994
  new RegExp(`^${weekday} ${month} (?<day>[ \\d]\\d) ${time} (?<year>\\d{4})$`, 'i'),
]

/**
 * The longest accepted wait is 100 years. The bound also applies to dates, because a later date would hold a job for
 * ever.
 */
export const longestMs: number = 36_525 * 86_400_000

/**
 * The milliseconds from `wall` that `after` means; undefined if there was no value. An instant in the past is 0. Throws
 * an {@link OptionError} that names `of`, the error to which the value was given.
 */
export function afterMs(of: string, after: unknown, wall: number): number | undefined {
  const value = typeof after === 'string' ? after.trim() : after
  if (value === undefined || value === null || value === '') return undefined
  const at = types.isDate(value) ? msOf(value) : typeof value === 'string' ? httpDateMs(value, wall) : undefined
  if (at !== undefined && at - wall <= longestMs) return Math.max(at - wall, 0)
  try {
    const isHeader = typeof value === 'string' && !decimalComma.test(value)
    const seconds = isHeader ? longestSeconds(value) : undefined
    if (seconds !== undefined) return durationMs('after', seconds * 1_000)
    if (at === undefined) return durationMs('after', value)
  } catch {}
  throw new OptionError(
    'after',
    after,
    `must be milliseconds, a duration such as '10s', a Date, or a Retry-After header (seconds as text, or an HTTP date), got ${describe(after)}${hintOf(value)}`,
    of,
  )
}

/**
 * The seconds of a `Retry-After` header; undefined if it does not consist of seconds. Of a list it is the longest wait,
 * which satisfies all.
 */
export function longestSeconds(header: string): number | undefined {
  if (!listOfSeconds.test(header)) return undefined
  return header.split(',').reduce((longest, one) => Math.max(longest, Number(one)), 0)
}

function hintOf(value: unknown): string {
  const seconds = typeof value === 'string' && secondsForm.test(value)
  const number = seconds || typeof value === 'number' ? Number(value) : 0
  if (seconds && number >= 1e9 && number < 1e11) return `; did you mean new Date(${number} * 1000)?`
  return number >= 1e12 && number < 1e15 ? `; did you mean new Date(${number})?` : ''
}

/** The instant of an HTTP date, in milliseconds since the epoch; undefined if the text is not an HTTP date. */
export function httpDateMs(text: string, wall: number): number | undefined {
  for (const form of dateForms) {
    const parts = form.exec(text)?.groups
    if (!parts) continue
    const { day, hour, minute, second } = parts
    const monthIndex = months.indexOf((parts.month as string).toLowerCase())
    const year = yearOf(parts.year as string, wall)
    const at = Date.UTC(year, monthIndex, Number(day), Number(hour), Number(minute), Number(second))
    // Date.UTC turns the 30th of February into the 2nd of March. A leap second, 60, is the first second of the next
    // minute.
    const date = new Date(at - Number(second) * 1_000)
    const exists =
      date.getUTCDate() === Number(day) &&
      date.getUTCHours() === Number(hour) &&
      date.getUTCMinutes() === Number(minute)
    return exists && Number(second) <= 60 ? at : undefined
  }
  return undefined
}

/** A two-digit year that seems to be more than 50 years ahead is in the past (RFC 9110, 5.6.7). */
function yearOf(digits: string, wall: number): number {
  const year = Number(digits)
  if (digits.length === 4) return year
  const now = new Date(wall).getUTCFullYear()
  const inThisCentury = now - (now % 100) + year
  return inThisCentury > now + 50 ? inThisCentury - 100 : inThisCentury
}
