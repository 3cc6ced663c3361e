import { runInNewContext } from 'node:vm'
import test from 'ava'
import { OptionError } from '../../../lib/errors.ts'
import { durationMs, instantMs } from '../../../lib/parse/duration.ts'

const good: readonly [unknown, number][] = [
  [0, 0],
  [250, 250],
  [1.5, 1.5],
  ['0s', 0],
  ['250ms', 250],
  ['10s', 10_000],
  ['1.5s', 1_500],
  ['5m', 300_000],
  ['5min', 300_000],
  ['2h', 7_200_000],
  ['14d', 1_209_600_000],
  ['007s', 7_000],
  ['36525d', 36_525 * 86_400_000],
  [999_999_999_999, 999_999_999_999],
]

const bad: readonly unknown[] = [
  ...[-1, -0.001, Number.NaN, Infinity, -Infinity, 1e12, 36_525 * 86_400_000, '36526d', `${'9'.repeat(400)}d`],
  ...[
    '',
    ' ',
    '10',
    's',
    '10 s',
    ' 10s',
    '10s ',
    '10S',
    '10sec',
    '5mins',
    '1w',
    '1y',
    '-1s',
    '+1s',
    '.5s',
    '5.s',
    '1e3s',
  ],
  ...['1,5s', '1_000s', '0x10s', '1m30s', '1.5.5s', 'Infinitys', 'NaNs', '１s', '10s\n'],
  ...[null, undefined, true, {}, [], ['10s'], new Date(0), 10n, Symbol('10s'), () => 10, Number(10).toString],
]

test('duration: a number is milliseconds, and a text is a number with a unit', t => {
  for (const [value, ms] of good) t.is(durationMs('delay', value), ms, String(value))
})

test('duration: any other value is refused with the name of the option, the value and examples', t => {
  for (const value of bad) {
    const error = t.throws(() => durationMs('retry.delay', value), { instanceOf: OptionError }, String(value))

    t.is(error?.option, 'retry.delay')
    t.is(error?.value, value)
    t.regex(error?.message ?? '', /^retry\.delay must be milliseconds \(0 or more\) .* such as '250ms', .*, got /)
  }
})

test('duration: 0 is accepted only where it is allowed', t => {
  for (const value of [0, -0, '0ms', '0s', '0d', '0.0h']) {
    t.is(Math.abs(durationMs('delay', value)), 0)
    t.throws(() => durationMs('rate.per', value, 'more'), {
      message: /^rate\.per must be milliseconds \(more than 0\)/,
    })
  }
  t.is(durationMs('rate.per', 0.001, 'more'), 0.001)
})

test('duration: an instant that was given for a duration is refused, and the option that takes one is named', t => {
  const now = 1_780_000_000_000
  for (const instant of [
    now,
    now + 5_000,
    new Date(now),
    runInNewContext(`new Date(${now})`),
    '2026-05-28T00:00:00Z',
  ]) {
    t.throws(() => durationMs('delay', instant, 'zero', 'runAt'), {
      instanceOf: OptionError,
      message: /^delay must be .*, which is an instant; did you mean runAt\?$/,
    })
    t.throws(() => durationMs('timeout', instant, 'more'), { message: /^timeout must be .*, which is an instant$/ })
  }
})

test('duration: a text without a unit is refused with the two that may be meant', t => {
  t.throws(() => durationMs('delay', '10'), { message: /got '10'; did you mean '10ms' or '10s'\?$/ })
  t.throws(() => durationMs('timeout', '0', 'more'), { message: /got '0'$/ })
})

test('instant: milliseconds since the epoch and Dates, of another realm too, are accepted', t => {
  const now = 1_780_000_000_000
  for (const value of [now, new Date(now), runInNewContext(`new Date(${now})`)]) {
    t.is(instantMs('runAt', value, 'delay'), now)
  }
  t.is(instantMs('runAt', 0, 'delay'), 0)
  t.is(instantMs('runAt', new Date('1973-03-04'), 'delay'), Date.UTC(1973, 2, 4))
  t.is(instantMs('runAt', new Date('4000-01-01'), 'delay'), Date.UTC(4000, 0, 1))
  const replaced = Object.assign(new Date(now), { getTime: () => 5, valueOf: () => 5 })
  t.is(instantMs('runAt', replaced, 'delay'), now)
})

const notInstants: readonly [unknown, RegExp][] = [
  [5_000, /did you mean delay\?$/],
  [1_780_000_000, /did you mean delay\?, or is it in seconds\?$/],
  [new Date(1_780_000_000), /did you mean delay\?, or is it in seconds\?$/],
  [1_780_000_000_000_000, /is it in microseconds\?$/],
  [Number.MAX_SAFE_INTEGER, /is it in microseconds\?$/],
  ['10s', /which is a duration; did you mean delay\?$/],
  ['2026-05-28T00:00:00Z', /did you mean new Date\('2026-05-28T00:00:00Z'\)\?$/],
  [-1, /before March 1973/],
  [-Infinity, /before March 1973/],
  [Infinity, /microseconds/],
  [Number.NaN, /got NaN$/],
  [new Date(Number.NaN), /got an invalid Date$/],
  [null, /got null$/],
  [10n, /got 10n$/],
  [Symbol('now'), /got a symbol$/],
]

test('instant: a duration, seconds and microseconds are refused with what was probably meant', t => {
  for (const [value, hint] of notInstants) {
    const error = t.throws(() => instantMs('runAt', value, 'delay'), { instanceOf: OptionError, message: hint })
    t.is(error?.option, 'runAt')
    t.regex(error?.message ?? '', /^runAt must be milliseconds since the epoch or a valid Date, got /)
  }
})
