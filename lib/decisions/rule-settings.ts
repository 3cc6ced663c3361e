/**
 * Which rules are in force if queues declare some and commands set others.
 *
 * A command overrides the declaration, and its rules stay in force until a queue declares something new or the override
 * is cleared. An override without rules lasts until the next declaration, even one that repeats the last.
 *
 * A rule with a name has one setting for the whole backlog: the last declaration of it by any queue, and what a command
 * has set for it. A queue whose rules contain the name goes by that setting, whatever it has declared itself.
 */
import { type RateRule, rulesFromText, withoutLearned } from '../rate/rules.ts'

type Rules = readonly RateRule[]

/** The last declaration that took effect, as a store keeps it. Null and undefined mean none. */
export type Declared = string | null | undefined

/** The rules of a queue as a backlog keeps them. Of a named rule only the name counts. */
export interface RuleState {
  rules: Rules
  declared: Declared
}

/** The declaration of a named rule, and its override. */
export interface NamedSettings {
  readonly declared: RateRule | undefined
  readonly set: RateRule | undefined
}
/** The settings of the named rules of a backlog. */
export interface NamedRuleBook {
  settings(name: string): NamedSettings | undefined
  /** The rule in force, with what it has learned. */
  rule(name: string): RateRule | undefined
  /** Changes the rule in force, for the starts that it remembers too. */
  change(name: string, settings: NamedSettings): void
}

/**
 * A queue declares these rules. Undefined declares none.
 *
 * @returns The rules that its names stood for until now, if the declaration has changed one of them.
 */
export function declareRules(state: RuleState, book: NamedRuleBook, rules: Rules | undefined): Rules | undefined {
  if (rules === undefined) return undefined
  const text = textOf(rules)
  const before = rulesInForce(rules, book)
  let replaces = false
  for (const rule of named(rules)) {
    const now = book.settings(rule.name)
    if (isSame(rule, now?.declared)) continue
    replaces ||= now !== undefined
    const repeats = rulesOf(state.declared).some(other => isSame(other, rule))
    // The last declaration counts, but a queue that only repeats its own takes back nothing that was set.
    book.change(rule.name, { declared: rule, set: repeats ? now?.set : undefined })
  }
  if (text !== state.declared || (state.rules.length === 0 && rules.length > 0)) {
    state.rules = rules
    state.declared = text
  }
  return replaces ? before : undefined
}
/** A command sets these rules. */
export function setRules(state: RuleState, book: NamedRuleBook, rules: Rules): void {
  for (const rule of named(rules)) {
    const { declared, set } = book.settings(rule.name) ?? none
    const next = isSame(rule, declared) ? undefined : rule
    if (!isSame(next, set)) book.change(rule.name, { declared, set: next })
  }
  state.rules = rules
}
/** Removes the override: the declaration is in force again. */
export function clearRules(state: RuleState, book: NamedRuleBook): void {
  const declared = rulesOf(state.declared)
  for (const { name } of named([...state.rules, ...declared])) {
    const now = book.settings(name) ?? none
    if (now.set) book.change(name, { declared: now.declared, set: undefined })
  }
  state.rules = declared
}

/** The rules of a queue that it shares with no other. */
export function unnamed(rules: Rules): Rules {
  return rules.every(({ name }) => name === undefined) ? rules : rules.filter(({ name }) => name === undefined)
}
export function named(rules: Rules): readonly (RateRule & { readonly name: string })[] {
  return rules.filter((rule): rule is RateRule & { readonly name: string } => rule.name !== undefined)
}
/** The names of these rules, each once. */
export function namesOf(rules: Rules): readonly string[] {
  return [...new Set(named(rules).map(({ name }) => name))]
}
/** The rule in force under that name; undefined if none is. */
export function namedInForce(settings: NamedSettings | undefined): RateRule | undefined {
  return settings?.set ?? settings?.declared
}
/** The rules in force for a queue with these rules. */
export function rulesInForce(rules: Rules, book: NamedRuleBook): Rules {
  if (unnamed(rules) === rules) return rules
  return resolved(rules, name => namedInForce(book.settings(name)))
}
/** Whether the rules in force differ from what was declared. */
export function isRateSet({ rules, declared }: Readonly<RuleState>, book: NamedRuleBook): boolean {
  const now = rulesInForce(rules, book)
  const text = declared ?? '[]'
  // Most queues have no rules, or none with a name, and then comparing the texts is enough.
  if (now.length === 0 && text === '[]') return false
  if (now === rules && !text.includes('"name"')) return textOf(now) !== text
  return textOf(now) !== textOf(resolved(rulesOf(declared), name => book.settings(name)?.declared))
}
/** The rules in force for a queue, with what they have learned. `own` are those without a name. */
export function rulesAsLearned(rules: Rules, own: Rules, book: NamedRuleBook): Rules {
  if (unnamed(rules) === rules) return own
  let next = 0
  return Object.freeze(rules.flatMap(rule => (rule.name === undefined ? own[next++] : book.rule(rule.name)) ?? []))
}
/** The learned jitter of a rule is no part of its declaration. */
function textOf(rules: Rules): string {
  return JSON.stringify(withoutLearned(rules))
}
function rulesOf(declared: Declared): Rules {
  return rulesFromText(declared ?? '[]')
}
function resolved(rules: Rules, ruleOf: (name: string) => RateRule | undefined): Rules {
  return Object.freeze(rules.flatMap(rule => (rule.name === undefined ? rule : (ruleOf(rule.name) ?? []))))
}
function isSame(a: RateRule | undefined, b: RateRule | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && textOf([a]) === textOf([b]))
}

const none: NamedSettings = { declared: undefined, set: undefined }
