/** The rules of a rate: how users write them, their parsed form, and which units of cost they count. */
import { describe, numberHint, OptionError } from '../errors.ts'
import { type Duration, durationMs } from '../parse/duration.ts'
import { isLabel, labelForm } from '../parse/label.ts'
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
  /**
   * By how much requests may differ in how long they take to arrive, from 0 to `per`. The window is longer by it, so
   * that the far end counts at most `limit` arrivals in any window of `per`. With `'learn'` it starts at 0 and is found
   * from the refusals of the far end (`Throttled`). 0 by default.
   */
  jitter?: Duration | 'learn' | undefined
  /**
   * Shares the rule, under this name, with all queues of the same backlog that have a rule of that name. A string of 1
   * to 200 characters. Default: the rule is the queue's own.
   */
  name?: string | undefined
}

/** A parsed rule. */
export interface RateRule {
  readonly limit: number
  readonly perMs: number
  /** The unit of cost that is counted; undefined counts starts. */
  readonly unit: string | undefined
  /** How much may come at once. For a spread rule it is 1, or 0 with a unit: only the one start, whatever its cost. */
  readonly burst: number | undefined
  /** By how much the window is longer than `perMs`, as stated or as learned so far. Absent: 0. */
  readonly jitterMs?: number
  /** `jitterMs` is learned. Absent: it is fixed. */
  readonly jitter?: 'learn'
  /** The name under which queues of a backlog share the rule. Absent: it is not shared. */
  readonly name?: string
}

/** The length of the window, as starts are counted here. */
export function windowMs({ perMs, jitterMs = 0 }: Pick<RateRule, 'perMs' | 'jitterMs'>): number {
  return perMs + jitterMs
}

/** A rule that was stored as JSON, which drops undefined fields. */
export function ruleFromJson(rule: RateRule): RateRule {
  return Object.freeze({ ...rule, unit: rule.unit, burst: rule.burst })
}

/** These rules, each with the jitter that a rule of `former` has learned for the same window and unit. */
export function withLearned(rules: readonly RateRule[], former: readonly RateRule[]): readonly RateRule[] {
  if (!rules.some(learns)) return rules
  const next = rules.map(rule => {
    const known = learns(rule) && former.find(other => learns(other) && isSameWindow(rule, other))
    return known ? Object.freeze({ ...rule, jitterMs: known.jitterMs as number }) : rule
  })
  return Object.freeze(next)
}

/** These rules as if nothing had been learned. */
export function withoutLearned(rules: readonly RateRule[]): readonly RateRule[] {
  return rules.some(learns) ? rules.map(rule => (learns(rule) ? { ...rule, jitterMs: 0 } : rule)) : rules
}

export function learns({ jitter }: RateRule): boolean {
  return jitter === 'learn'
}

function isSameWindow(a: RateRule, b: RateRule): boolean {
  return a.perMs === b.perMs && a.unit === b.unit && a.name === b.name
}

/** The cost of a start, by unit. A unit that is not named costs 0. */
export type Cost = Readonly<Record<string, number>>

const ruleKeys: readonly string[] = ['limit', 'per', 'of', 'spread', 'burst', 'jitter', 'name']

/** Parses one rule, several or none (undefined). Throws an {@link OptionError} with the path. */
export function parseRate(option: string, value: unknown): readonly RateRule[] {
  if (value === undefined) return Object.freeze([])
  try {
    if (!Array.isArray(value)) return Object.freeze([parseRule(option, value)])
    const rules = Array.from(value, (rule, index) => parseRule(`${option}[${index}]`, rule))
    for (const [index, { name }] of rules.entries()) {
      const first = name === undefined ? index : rules.findIndex(rule => rule.name === name)
      if (first === index) continue
      const problem = `is the name of ${option}[${first}] too; a name stands for one rule, so give each its own`
      throw new OptionError(`${option}[${index}].name`, name, problem)
    }
    return Object.freeze(rules)
  } catch (error) {
    throw error instanceof OptionError ? error : unreadable(option, error)
  }
}

/** The same for the rules of keys, which belong to each key alone. */
export function parseKeyRate(option: string, value: unknown): readonly RateRule[] {
  const rules = parseRate(option, value)
  const index = rules.findIndex(({ name }) => name !== undefined)
  if (index < 0) return rules
  const at = Array.isArray(value) ? `${option}[${index}].name` : `${option}.name`
  const problem = 'cannot be given to a rule of a key, which each key has for itself; give it to a rule of rate'
  throw new OptionError(at, rules[index]?.name, problem)
}

function parseRule(option: string, value: unknown): RateRule {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OptionError(option, value, `must be a rule such as { limit: 60, per: '1m' }, got ${describe(value)}`)
  }
  const rule = optionsOf(`${option}.`, 'perMs' in value ? ruleOf(value as Partial<RateRule>) : value, ruleKeys)
  const { name, limit, per, of: unit, spread, burst, jitter } = rule
  const check = (key: string, fits: boolean, allowed: string): void => {
    const hint = key === 'limit' || key === 'burst' ? numberHint(rule[key]) : ''
    const problem = `must be ${allowed}, got ${describe(rule[key])}${hint}`
    if (!fits) throw new OptionError(`${option}.${key}`, rule[key], problem)
  }
  const units = unit !== undefined
  check('name', name === undefined || isLabel(name), labelForm)
  check('of', !units || (typeof unit === 'string' && unit !== ''), `the name of a unit of cost such as 'tokens'`)
  const most = typeof limit === 'number' && limit > 0 && (units ? limit < Infinity : Number.isSafeInteger(limit))
  check('limit', most, units ? 'a finite number more than 0' : 'a whole number of 1 or more')
  const perMs = durationMs(`${option}.per`, per, 'more')
  check('spread', spread === undefined || typeof spread === 'boolean', 'true or false')
  if (burst !== undefined) {
    const most = limit as number
    check('burst', typeof burst === 'number' && burst >= 1 && burst <= most, `from 1 to the limit, ${limit}`)
    check('burst', spread !== true, 'left out where spread is true, which is a burst of one start')
  }
  const alone = units ? 0 : 1
  const parsed = { limit, perMs, unit, burst: spread ? alone : burst } as RateRule
  const shared = name === undefined ? {} : { name: name as string }
  return Object.freeze({ ...parsed, ...parseJitter(`${option}.jitter`, jitter, perMs), ...shared })
}

/** The fields of a rule that its jitter adds. */
function parseJitter(option: string, jitter: unknown, perMs: number): Pick<RateRule, 'jitterMs' | 'jitter'> {
  if (jitter === undefined) return {}
  if (jitter === 'learn') return { jitterMs: 0, jitter }
  if (typeof jitter !== 'number' && (typeof jitter !== 'string' || /^\D/.test(jitter))) {
    throw new OptionError(option, jitter, `must be a duration from 0 to per, or 'learn', got ${describe(jitter)}`)
  }
  const jitterMs = durationMs(option, jitter)
  if (jitterMs > perMs) {
    const problem = `must be at most per, ${perMs} ms, got ${describe(jitter)}; for more, lengthen per`
    throw new OptionError(option, jitter, problem)
  }
  return jitterMs === 0 ? {} : { jitterMs }
}

type LooseRule = Omit<Partial<RateRule>, 'jitter'> & { readonly jitter?: unknown }

/** Turns a parsed rule back into the form that users write, because `queue.rate = queue.rate` must be legal. */
function ruleOf({ limit, perMs, unit, burst, jitterMs, jitter = jitterMs, ...rest }: LooseRule): object {
  const spread = burst === (unit === undefined ? 1 : 0)
  return { limit, per: perMs, of: unit, ...(spread ? { spread } : { burst }), jitter, ...rest }
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

/** Parsed rules from JSON text. */
export function rulesFromText(text: string): readonly RateRule[] {
  return rulesFromJson(JSON.parse(text) as RateRule[])
}
/** The same for rules that are part of a larger text. */
export function rulesFromJson(rules: readonly RateRule[]): readonly RateRule[] {
  return Object.freeze(rules.map(ruleFromJson))
}
export function sameRules(a: readonly RateRule[], b: readonly RateRule[]): boolean {
  return a === b || (a.length === b.length && JSON.stringify(a) === JSON.stringify(b))
}
