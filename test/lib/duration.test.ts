import test from 'ava'
import { durationMs } from '../../lib/duration.ts'
import { OptionError } from '../../lib/errors.ts'

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
  [36_525 * 86_400_000, 36_525 * 86_400_000],
]

const bad: readonly unknown[] = [
  ...[-1, -0.001, Number.NaN, Infinity, -Infinity, 36_525 * 86_400_000 + 1, '36526d', `${'9'.repeat(400)}d`],
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

test('duration: milliseconds, or a number with a unit, mean what they say', t => {
  for (const [value, ms] of good) t.is(durationMs('delay', value), ms, String(value))
})

test('duration: all else is refused with the name of the option, the value and examples of what is meant', t => {
  for (const value of bad) {
    const error = t.throws(() => durationMs('retry.delay', value), { instanceOf: OptionError }, String(value))

    t.is(error?.option, 'retry.delay')
    t.is(error?.value, value)
    t.regex(error?.message ?? '', /^retry\.delay must be milliseconds \(0 or more\) .* such as '250ms', .*, got /)
  }
})

test('duration: nothing at all is a duration only where nothing is allowed', t => {
  for (const value of [0, -0, '0ms', '0s', '0d', '0.0h']) {
    t.is(Math.abs(durationMs('delay', value)), 0)
    t.throws(() => durationMs('rate.per', value, 'more'), {
      message: /^rate\.per must be milliseconds \(more than 0\)/,
    })
  }
  t.is(durationMs('rate.per', 0.001, 'more'), 0.001)
})
