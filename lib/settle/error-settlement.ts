/** Decides what an error that a handler threw means for its job: another attempt, a wait, a held rate, or a failure. */
import type { SettleKind } from '../backlog.ts'
import { RuleUnknownError } from '../errors.ts'
import type { RetryPolicy } from '../job.ts'
import { meantBy } from '../parse/option-names.ts'
import { backoffMs, defaultWaitMs } from './backoff.ts'
import { controlOf } from './control-errors.ts'

/** How the job settles: the kind, the error, how long it waits, and the key and the named rule that are held. */
export interface ErrorSettlement {
  readonly kind: SettleKind
  readonly error: unknown
  readonly waitMs: number
  readonly heldKey: string | undefined
  readonly heldRule: string | undefined
}

/** Facts that decide besides the error. */
export interface ErrorFacts {
  /** How many runs of the job there have been, this one included. */
  readonly attempt: number
  readonly retry: RetryPolicy
  readonly maxHoldMs: number
  /** A random number from 0 to 1. */
  readonly chance: number
  /** The present instant of the wall clock. */
  readonly wall: number
  /** The key of the job. */
  readonly key: string | undefined
  /** The names of the queue's rules. */
  ruleNames(): readonly string[]
}

/**
 * The settlement of a job whose handler threw `error`. An invalid control error (a foreign one: ours are refused when
 * they are created) fails the job with the OptionError that says so, because the handler is at fault and another attempt
 * would not help. For the same reason one that names an unknown rule fails it with RuleUnknownError.
 */
export function settlementOfError(error: unknown, facts: ErrorFacts): ErrorSettlement {
  const { attempt, retry, maxHoldMs, chance, wall } = facts
  const settlement = (kind: SettleKind, waitMs = 0, heldKey?: string, heldRule?: string): ErrorSettlement => ({
    ...{ kind, error, waitMs, heldKey, heldRule },
  })
  try {
    const control = controlOf(error, wall)
    if (control?.kind === 'later') return settlement('snooze', control.afterMs ?? defaultWaitMs(retry))
    if (control?.kind === 'throttled') {
      const { key, rule, afterMs = defaultWaitMs(retry) } = control
      if (rule !== undefined) refuseUnknownRule(rule, facts.ruleNames())
      return settlement('throttled', Math.min(afterMs, maxHoldMs), key === true ? facts.key : key, rule)
    }
    if (control?.kind === 'never') return settlement('failed')
  } catch (problem) {
    return { ...settlement('failed'), error: problem }
  }
  return attempt >= retry.attempts ? settlement('failed') : settlement('retry', backoffMs(attempt, retry, chance))
}

function refuseUnknownRule(name: string, names: readonly string[]): void {
  if (!names.includes(name)) throw new RuleUnknownError(name, names, meantBy(name, names))
}
