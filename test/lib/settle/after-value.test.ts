import { runInNewContext } from 'node:vm'
import test from 'ava'
import { OptionError } from '../../../lib/errors.ts'
import { afterMs } from '../../../lib/settle/after-value.ts'
import { retryAfter } from '../../../lib/settle/response-headers.ts'

const wall = Date.UTC(2026, 4, 28, 12)

test('after: a number is milliseconds, a text has a unit, and digits alone are the seconds of a header', t => {
  const right: readonly [unknown, number][] = [
    [0, 0],
    [120, 120],
    ['250ms', 250],
    ['10s', 10_000],
    ['2', 2_000],
    ['120', 120_000],
    [' 120 ', 120_000],
    ['0.65', 650],
    ['0', 0],
  ]
  for (const [after, ms] of right) t.is(afterMs('Throttled', after, wall), ms, String(after))
})

test('after: of a header that came several times the longest wait counts, as in retryAfter', t => {
  for (const header of ['5, 10, 7', '5,10,7', '10 , 2.5', ' 10 ']) {
    t.is(afterMs('Throttled', header, 0), 10_000)
    t.is(retryAfter({ 'retry-after': header })?.afterMs, 10_000)
  }
  const long = `10${', 1'.repeat(200_000)}`
  t.is(afterMs('Throttled', long, 0), 10_000)
  t.notThrows(() => retryAfter({ 'retry-after': long }))
  for (const header of ['5,', '5, soon', '5 10']) {
    t.throws(() => afterMs('Throttled', header, 0), { code: 'OPTION' })
    t.is(retryAfter({ 'retry-after': header })?.afterMs, undefined)
  }
})

test('after: a number with a comma may be meant as a fraction, and is a list only as the header of a response', t => {
  t.throws(() => afterMs('Throttled', '1,5', wall), { code: 'OPTION' })
  t.is(retryAfter({ 'retry-after': '1,5' })?.afterMs, 5_000)
})

test('after: the three forms of an HTTP date, and a Date of any realm, count from now', t => {
  const forms: readonly unknown[] = [
    'Thu, 28 May 2026 12:00:30 GMT',
    'Thursday, 28-May-26 12:00:30 GMT',
    'Thu May 28 12:00:30 2026',
    'thu, 28 may 2026 12:00:30 gmt',
    new Date(wall + 30_000),
    runInNewContext(`new Date(${wall + 30_000})`),
  ]
  for (const after of forms) t.is(afterMs('Throttled', after, wall), 30_000, String(after))
  t.is(afterMs('Throttled', 'Mon Jun  1 12:00:00 2026', wall), 4 * 86_400_000)
  t.is(afterMs('Throttled', 'Thu, 28 May 2026 12:00:60 GMT', wall), 60_000)
})

test('after: a date that has passed is now, and two digits of a year are at most 50 years ahead', t => {
  t.is(afterMs('Throttled', 'Sun, 06 Nov 1994 08:49:37 GMT', wall), 0)
  t.is(afterMs('Throttled', 'Sunday, 06-Nov-94 08:49:37 GMT', wall), 0)
  t.is(afterMs('Throttled', 'Sun Nov  6 08:49:37 1994', wall), 0)
  t.true((afterMs('Throttled', 'Thursday, 28-May-76 12:00:30 GMT', wall) ?? 0) > 49 * 365 * 86_400_000)
  t.is(afterMs('Throttled', 'Friday, 28-May-77 12:00:30 GMT', wall), 0)
})

test('after: a header that is missing or empty is no value', t => {
  for (const missing of [null, undefined, '', '  ']) t.is(afterMs('Throttled', missing, wall), undefined)
})

test('after: any other value is refused, with the name of the error that got it', t => {
  const wrong: readonly unknown[] = [
    ...['soon', '-1', '1e3', '10 s', '1,5', 'Thu, 30 Feb 2026 12:00:00 GMT', 'Thu, 28 May 2026 25:00:00 GMT'],
    ...['Thu, 28 May 2026 12:00:61 GMT', 'Thu, 28 Foo 2026 12:00:00 GMT', '2026-05-28T12:00:00Z', '1780000000000'],
    ...[-1, Number.NaN, Infinity, 1e12, new Date(Number.NaN), new Date('9999-01-01'), {}, [], true, 10n, Symbol('x')],
    ...[() => 5, ['120'], new Proxy({}, { get: () => t.fail('it was looked into') })],
  ]
  for (const after of wrong) {
    const error = t.throws(() => afterMs('Throttled', after, wall), { instanceOf: OptionError })
    t.is(error?.option, 'after')
    t.regex(error?.message ?? '', /^Throttled: after must be milliseconds, .*, got /)
  }
  t.throws(() => afterMs('RetryLater', 'soon', wall), { message: /^RetryLater: after must be .*, got 'soon'$/ })
})

test('after: an instant that was given as a number is refused with the Date that was meant', t => {
  t.throws(() => afterMs('Throttled', wall, wall), { message: new RegExp(`did you mean new Date\\(${wall}\\)\\?`) })
  const seconds = wall / 1_000
  t.throws(() => afterMs('Throttled', String(seconds), wall), { message: /did you mean new Date\(\d+ \* 1000\)\?/ })
})
