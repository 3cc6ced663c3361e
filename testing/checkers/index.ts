/**
 * The checkers, one for each invariant, and the two functions that run them on a history: `check` reports,
 * `assertHolds` throws.
 */
import { AssertionError } from 'node:assert'
import type { Entry } from '../entry.ts'
import { blame } from './blame.ts'
import { endsOnce, eventsInOrder, promisesHold } from './endings.ts'
import { keysShare } from './fairness.ts'
import { nothingStartsPaused } from './gates.ts'
import { globalWidth } from './global-width.ts'
import { type Bounds, type Checker, type Invariant, invariants, type Violation } from './judge.ts'
import { conservation, nothingFromNowhere, nothingLost, oneForEachId } from './kept.ts'
import { keyHeld, keyRate, keyWidth } from './keys.ts'
import { rate, rateUsed, width } from './limits.ts'
import { filesAreWhole, resourcesReturn, sameInRerun } from './measures.ts'
import { namedRule, ruleTurns } from './named-rules.ts'
import { firstInFirstOut, mostImportantFirst } from './order.ts'
import { oldFencesChangeNothing, oneOwner } from './owners.ts'
import { attemptsCount, checkpointsStay, crashBound, notEarly } from './runs.ts'

export type { Invariant, Violation } from './judge.ts'
export { invariants } from './judge.ts'

/** Checkers of one queue, from the entries about it and about its processes. */
const ofQueue: Readonly<Partial<Record<Invariant, Checker>>> = {
  ...{ I1: nothingLost, I2: nothingFromNowhere, I3: endsOnce, I4: width, I5: rate, I6: rateUsed },
  ...{ I7: firstInFirstOut, I8: mostImportantFirst, I9: attemptsCount, I10: nothingStartsPaused, I11: eventsInOrder },
  ...{ I12: oldFencesChangeNothing, I13: oneOwner, I14: notEarly, I15: conservation, I16: promisesHold },
  ...{ I17: crashBound, I18: checkpointsStay, I19: oneForEachId, I23: blame },
  ...{ I24: keyWidth, I25: keyRate, I26: keyHeld, I27: keysShare, I28: globalWidth },
}
/** Checkers of a whole run. */
const ofRun: Readonly<Partial<Record<Invariant, Checker>>> = {
  I20: resourcesReturn,
  I21: filesAreWhole,
  I22: sameInRerun,
  I29: namedRule,
  I30: ruleTurns,
}

/** A history, or its entries. */
export type Histories = readonly Entry[] | { readonly entries: readonly Entry[] }

export interface CheckOptions {
  /** Invariants that are not judged. None by default. */
  readonly except?: readonly Invariant[] | undefined
  /** For I6: how many milliseconds later than possible a job may start; 1, for a virtual clock. */
  readonly lateMs?: number | undefined
  /**
   * How many milliseconds may pass between the claim of a job and its first line, or between a change and its effect.
   * Differences within it are not judged by I5 to I8. 0, for a virtual clock.
   */
  readonly slackMs?: number | undefined
  /** Another run with the same seed, for I22. */
  readonly rerun?: Histories | undefined
}

export interface Report {
  readonly violations: readonly Violation[]
  /** How often each invariant was judged. If one was never judged, nothing is known about it. */
  readonly judged: Readonly<Record<Invariant, number>>
  /** How many entries were read. */
  readonly entries: number
}

/**
 * Checks a history against all invariants. It must begin with an empty queue, or with an inventory. Two queues in it
 * need two names, and two queue objects of one name count as two processes.
 */
export function check(history: Histories, options: CheckOptions = {}): Report {
  const { except = [], lateMs = 1, slackMs = 0 } = options
  const all = entriesOf(history)
  const bounds: Bounds = { lateMs, slackMs, rerun: options.rerun && entriesOf(options.rerun) }
  const judged = Object.fromEntries(invariants.map(invariant => [invariant, 0])) as Record<Invariant, number>
  const violations: Violation[] = []
  const run = (invariant: Invariant, checker: Checker | undefined, entries: readonly Entry[]): void => {
    if (except.includes(invariant)) return
    checker?.(
      entries,
      (holds, message, ...shown) => {
        judged[invariant]++
        if (!holds) violations.push({ invariant, message: message(), entries: shown })
      },
      bounds,
    )
  }
  for (const queue of new Set(all.map(entry => entry.queue))) {
    if (queue === '') continue
    const entries = all.filter(entry => entry.queue === queue || entry.queue === '')
    for (const invariant of invariants) run(invariant, ofQueue[invariant], entries)
  }
  for (const invariant of invariants) run(invariant, ofRun[invariant], all)
  return { violations, judged, entries: all.length }
}

/**
 * Throws an AssertionError with the first violations and their entries, if there are any; otherwise returns the result
 * of `check`.
 */
export function assertHolds(history: Histories, options: CheckOptions = {}): Report {
  const report = check(history, options)
  if (report.violations.length > 0)
    throw new AssertionError({ message: shown(report.violations), stackStartFn: assertHolds })
  return report
}

const shownMost = 5

/** Violations as text: each with the first few of its entries as JSON lines. */
export function shown(violations: readonly Violation[]): string {
  const parts = violations.slice(0, shownMost).map(({ invariant, message, entries }) => {
    const lines = entries.slice(-2 * shownMost).map(entry => `  ${JSON.stringify(entry)}`)
    return [`${invariant}: ${message}`, ...lines].join('\n')
  })
  const more = violations.length - shownMost
  return [...parts, ...(more > 0 ? [`and ${more} more`] : [])].join('\n')
}

function entriesOf(history: Histories): readonly Entry[] {
  return Array.isArray(history) ? history : (history as { readonly entries: readonly Entry[] }).entries
}
