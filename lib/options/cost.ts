/** The cost of a job, in units that rules count: given with a put, or by default for all jobs of a queue. */
import { types } from 'node:util'
import { describe, describeError, OptionError } from '../errors.ts'
import { isRecord, unreadable } from '../parse/option-names.ts'
import { type Cost, type RateRule, refuseUnknownUnits } from '../rate/rules.ts'

/** The default cost of a job, by its payload. Throws an {@link OptionError} that names `cost`. */
export type CostOf = (payload: unknown) => Cost

/** A copy of the cost in `value`, each unit read once. */
export function parseCost(option: string, value: unknown): Cost {
  return costIn(option, value, 'must be units by name such as { tokens: 500 }')
}

/**
 * Parses the `cost` of a queue: units by name, or a function of the payload.
 *
 * @param rules What the queue declares. A cost that these rules would refuse with every put is refused here.
 */
export function parseDefaultCost(value: unknown, rules: readonly RateRule[]): CostOf {
  if (typeof value !== 'function') {
    const allowed = 'must be units by name such as { tokens: 500 }, or a function of the payload that returns them'
    const cost = Object.freeze(costIn('cost', value, allowed))
    refuseUnknownUnits('cost', cost, rules)
    return () => cost
  }
  return payload => {
    let cost: unknown
    try {
      cost = value(payload)
    } catch (cause) {
      const error = new OptionError('cost', value, `could not be computed: the function threw: ${describeError(cause)}`)
      error.cause = cause
      throw error
    }
    // Nobody awaits what an async function returned, and it may reject.
    if (types.isPromise(cost)) Promise.prototype.then.call(cost, undefined, () => {})
    return costIn('cost', cost, 'must return units by name such as { tokens: 500 }, or {} for a job that costs nothing')
  }
}

function costIn(option: string, value: unknown, allowed: string): Cost {
  if (!isRecord(value)) throw new OptionError(option, value, `${allowed}, got ${describe(value)}`)
  const entries = entriesOf(option, value)
  for (const [unit, amount] of entries) {
    if (typeof amount === 'number' && amount >= 0 && amount < Infinity) continue
    throw new OptionError(`${option}.${unit}`, amount, `must be a finite number of 0 or more, got ${describe(amount)}`)
  }
  return Object.fromEntries(entries) as Cost
}

function entriesOf(option: string, value: object): readonly (readonly [string, unknown])[] {
  try {
    return Object.entries(value)
  } catch (error) {
    throw unreadable(option, error)
  }
}
