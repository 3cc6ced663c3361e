/** The rules of a rate: how users write them, their parsed form, and which units of cost they count. */
import { describe, numberHint, OptionError } from '../errors.ts'
import { type Duration, durationMs } from '../parse/duration.ts'
import { meantBy, optionsOf, unreadable } from '../parse/option-names.ts'

/** A rule as users write it: `{ limit: 60, per: '1m' }` allows at most sixty starts in any minute. */
export interface Rule {
  /**
   * The most that any window may hold: a whole number of starts, or with `of` any finite number of units. More than 0.
   */
  limit: number
  /** The length of the window; more than 0. A start exactly `per` ago is outside the window. */
  per: Duration
  /**
   * The unit of cost that the rule counts, as in `put(payload, { cost: { tokens: 500 } })`. Default: the rule counts
   * starts.
   */
  of?: string | undefined
  /**
   * Keeps starts `per / limit` apart; with `of`, that interval times the cost of the earlier start. False by default.
   */
  spread?: boolean | undefined
  /**
   * How many starts, or units, may come at once; further ones follow evenly, `per / limit` apart. From 1 up to `limit`,
   * the default. A single cost above the burst waits until the whole burst is free. Not together with `spread`.
   */
  burst?: number | undefined
}

/** A parsed rule. */
export interface RateRule {
  readonly limit: number
  readonly perMs: number
  /** The unit of cost that is counted; undefined counts starts. */
  readonly unit: string | undefined
  /** How much may come at once. For a spread rule it is 1, or 0 with a unit: only the one start, whatever its cost. */
  readonly burst: number | undefined
}

/** The cost of a start, by unit. A unit that is not named costs 0. */
export type Cost = Readonly<Record<string, number>>

const ruleKeys: readonly string[] = ['limit', 'per', 'of', 'spread', 'burst']

/** Parses one rule, several or none (undefined). Throws an {@link OptionError} with the path. */
export function parseRate(option: string, value: unknown): readonly RateRule[] {
  if (value === undefined) return Object.freeze([])
  try {
    if (!Array.isArray(value)) return Object.freeze([parseRule(option, value)])
    return Object.freeze(Array.from(value, (rule, index) => parseRule(`${option}[${index}]`, rule)))
  } catch (error) {
    throw error instanceof OptionError ? error : unreadable(option, error)
  }
}

function parseRule(option: string, value: unknown): RateRule {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OptionError(option, value, `must be a rule such as { limit: 60, per: '1m' }, got ${describe(value)}`)
  }
  const rule = optionsOf(`${option}.`, 'perMs' in value ? ruleOf(value as Partial<RateRule>) : value, ruleKeys)
  const { limit, per, of: unit, spread, burst } = rule
  const check = (key: string, fits: boolean, allowed: string): void => {
    const hint = key === 'limit' || key === 'burst' ? numberHint(rule[key]) : ''
    const problem = `must be ${allowed}, got ${describe(rule[key])}${hint}`
    if (!fits) throw new OptionError(`${option}.${key}`, rule[key], problem)
  }
  const units = unit !== undefined
  check('of', !units || (typeof unit === 'string' && unit !== ''), `the name of a unit of cost such as 'tokens'`)
  const most = typeof limit === 'number' && limit > 0 && (units ? limit < Infinity : Number.isSafeInteger(limit))
  check('limit', most, units ? 'a finite number more than 0' : 'a whole number of 1 or more')
  const perMs = durationMs(`${option}.per`, per, 'more')
  check('spread', spread === undefined || typeof spread === 'boolean', 'true or false')
  if (burst === undefined) {
    const alone = units ? 0 : 1
    return Object.freeze({ limit: limit as number, perMs, unit: unit as string, burst: spread ? alone : undefined })
  }
  check('burst', typeof burst === 'number' && burst >= 1 && burst <= (limit as number), `from 1 to the limit, ${limit}`)
  check('burst', spread !== true, 'left out where spread is true, which is a burst of one start')
  return Object.freeze({ limit: limit as number, perMs, unit: unit as string, burst: burst as number })
}

/** Turns a parsed rule back into the form that users write, because `queue.rate = queue.rate` must be legal. */
function ruleOf({ limit, perMs, unit, burst, ...rest }: Partial<RateRule>): object {
  const spread = burst === (unit === undefined ? 1 : 0)
  return { limit, per: perMs, of: unit, ...(spread ? { spread } : { burst }), ...rest }
}

/** Refuses a cost in a unit that no rule counts, if any rule counts units. A misspelt unit would otherwise be free. */
export function refuseUnknownUnits(option: string, cost: Cost, rules: readonly RateRule[]): void {
  const problem = unknownUnit(option, cost, rules)
  if (problem) throw problem
}

/** The error for a unit in `cost` that no rule counts; undefined if there is none. */
export function unknownUnit(option: string, cost: Cost, rules: readonly RateRule[]): OptionError | undefined {
  const units = rules.flatMap(rule => rule.unit ?? [])
  if (units.length === 0) return undefined
  const unknown = Object.keys(cost).find(unit => !units.includes(unit))
  if (unknown === undefined) return undefined
  const meant = meantBy(unknown, units)
  const hint = meant === undefined ? '' : `; did you mean ${option}.${meant}?`
  const problem = `is not a unit that the rate counts, which are ${[...new Set(units)].join(', ')}${hint}`
  return new OptionError(`${option}.${unknown}`, cost[unknown], problem)
}
