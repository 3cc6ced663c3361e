/** Whole numbers as options. */
import { describe, numberHint, OptionError } from '../errors.ts'

/** Throws OptionError unless `value` is a whole number of `least` or more, or Infinity. */
export function checkWhole(option: string, value: unknown, least: number): number {
  if (value === Infinity || (Number.isSafeInteger(value) && (value as number) >= least)) return value as number
  const large = typeof value === 'number' && value > Number.MAX_SAFE_INTEGER
  const hint = large ? ', which is too large; did you mean Infinity?' : numberHint(value)
  throw new OptionError(
    option,
    value,
    `must be a whole number of ${least} or more, or Infinity, got ${describe(value)}${hint}`,
  )
}
