/** Holds what was recorded of a run against all invariants that can be judged there. */
import { check, type Entry, type Invariant } from '../../testing/index.ts'
import type { World } from './world.ts'

/** What cannot be judged of the time after commits were lost, for it depends on what was before. */
const unknownAfterLoss: readonly Invariant[] = [
  ...(['I1', 'I2', 'I6', 'I7', 'I8', 'I9', 'I11', 'I12', 'I15', 'I16', 'I18', 'I19'] as const),
]

/** Faults after which nobody can say any more how late a start may be. */
const disturbs =
  /^(?:(?:busy|full|disk|disk after all|slow|thread dies) at |the death of a thread|a power cut|a process that is frozen|a loop that is held up|a body that holds up)/

/** How long the commit of another process may go unnoticed. */
const lookMs = 210

export function judge(world: World): string[] {
  const { entries } = world.history
  const except: Invariant[] = []
  const disturbed = [...world.faults.counts.keys()].some(kind => disturbs.test(kind))
  if (disturbed) except.push('I6')
  const alone = world.config.backlog === 'memory'
  const lateMs = alone ? 1 : lookMs
  const cut = world.lossy ? entries.findIndex(entry => entry.kind === 'fault' && entry.what === 'power cut') : -1
  if (cut < 0) return lines(entries, except, lateMs)
  return [...lines(entries.slice(0, cut), except, lateMs), ...lines(entries.slice(cut), unknownAfterLoss, lateMs)]
}

function lines(entries: readonly Entry[], except: readonly Invariant[], lateMs: number): string[] {
  const { violations } = check(entries, { except, lateMs })
  return violations.map(({ invariant, message }) => `${invariant}: ${message}`)
}
