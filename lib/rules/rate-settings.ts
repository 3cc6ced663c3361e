/**
 * Which rules are in force if queues declare some and commands set others.
 *
 * A command overrides the declaration, and its rules stay in force until a queue declares something new. A command
 * without rules clears the override: then any declaration counts as new, even one that repeats the last.
 */
import type { RateRule } from '../rate/rules.ts'

/** The last declaration that took effect, as a store keeps it. Null and undefined mean none. */
export type Declared = string | null | undefined

/** The new declaration, if these rules replace those in force. Undefined: those in force stay. */
export function newDeclaration(rules: readonly RateRule[] | undefined, declared: Declared): string | undefined {
  if (rules === undefined) return undefined
  const text = JSON.stringify(rules)
  return text === declared ? undefined : text
}

/** The declaration to record after a command that has set these rules. */
export function declaredAfterCommand(rules: readonly RateRule[], declared: Declared): string | undefined {
  return rules.length === 0 ? undefined : (declared ?? undefined)
}
