/**
 * Which settings of a name are in force if queues declare some and commands set others.
 *
 * A command overrides the declaration, and stays in force until a queue declares something new or the override is
 * cleared. For rules rule-settings.ts decides.
 */
import type { Overridden } from '../backlog.ts'
import type { RateRule } from '../rate/rules.ts'
import type { Declared } from './rule-settings.ts'

/** Settings of a name, as a backlog keeps them. */
export interface NameSettings {
  readonly rules: readonly RateRule[]
  readonly declared: Declared
  readonly globalWidth: number
  /** The last declaration that took effect; undefined: none. */
  readonly declaredGlobalWidth: number | undefined
}

/**
 * Undefined if everything is as it was declared.
 *
 * @param rate Whether the rules are not (rule-settings.ts).
 */
export function overriddenOf(
  { globalWidth, declaredGlobalWidth = Infinity }: Pick<NameSettings, 'globalWidth' | 'declaredGlobalWidth'>,
  rate: boolean,
): Overridden | undefined {
  const isWidthSet = globalWidth !== declaredGlobalWidth
  return rate || isWidthSet ? { rate, globalWidth: isWidthSet } : undefined
}
