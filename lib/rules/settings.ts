/**
 * Which settings of a name are in force if queues declare some and commands set others.
 *
 * A command overrides the declaration, and stays in force until a queue declares something new. A command without rules
 * clears the override of the rate: then any declaration counts as new, even one that repeats the last.
 */
import type { Overridden } from '../backlog.ts'
import { type RateRule, rulesFromText, withoutLearned } from '../rate/rules.ts'

/** The last declaration of rules that took effect, as a store keeps it. Null and undefined mean none. */
export type Declared = string | null | undefined

/** The new declaration, if these rules replace those in force. Undefined: those in force stay. */
export function newDeclaration(rules: readonly RateRule[] | undefined, declared: Declared): string | undefined {
  if (rules === undefined) return undefined
  const text = textOf(rules)
  return text === declared ? undefined : text
}

/** The declaration to record after a command that has set these rules. */
export function declaredAfterCommand(rules: readonly RateRule[], declared: Declared): string | undefined {
  return rules.length === 0 ? undefined : (declared ?? undefined)
}

/** The rules that were declared last. */
export function declaredRules(declared: Declared): readonly RateRule[] {
  return rulesFromText(declared ?? noRules)
}

/** Settings of a name, as a backlog keeps them. */
export interface NameSettings {
  readonly rules: readonly RateRule[]
  readonly declared: Declared
  readonly globalWidth: number
  /** The last declaration that took effect; undefined: none. */
  readonly declaredGlobalWidth: number | undefined
}

/** Undefined if everything is as it was declared. */
export function overriddenOf(settings: NameSettings): Overridden | undefined {
  const { rules, declared, globalWidth, declaredGlobalWidth = Infinity } = settings
  // Most queues have no rules, and need no text.
  const hasRules = rules.length > 0 || (declared ?? noRules) !== noRules
  const rate = hasRules && textOf(rules) !== (declared ?? noRules)
  return rate || globalWidth !== declaredGlobalWidth
    ? { rate, globalWidth: globalWidth !== declaredGlobalWidth }
    : undefined
}

/** What a rule has learned is no part of its declaration. */
function textOf(rules: readonly RateRule[]): string {
  return JSON.stringify(withoutLearned(rules))
}

const noRules = '[]'
