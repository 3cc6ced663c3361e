/** Holds what was recorded of a run against all invariants that can be judged there. */
import { check, type Entry, type Invariant } from '../../testing/index.ts'
import type { World } from './world.ts'

/** What cannot be judged of the time after commits were lost, for it depends on what was before. */
const unknownAfterLoss: readonly Invariant[] = [
  ...(['I1', 'I2', 'I6', 'I7', 'I8', 'I9', 'I11', 'I12', 'I15', 'I16', 'I18', 'I19'] as const),
]

/** Faults after which nobody can say any more how late a start may be. */
const disturbs =
  /^(?:(?:busy|full|disk|slow|thread dies) at |the death of a thread|a power cut|a process that is frozen|a loop that is held up|a (?:body|listener) that (?:holds up|blocks))/

/** What is kept so long is there at the end. */
const keptMs = 600_000

/** How long the commit of another process may go unnoticed. */
const lookMs = 210

export function judge(world: World): string[] {
  const { faults, config, lossy } = world
  const entries = certain(world.history.entries)
  const except: Invariant[] = []
  const fired = [...faults.counts.keys()]
  if (fired.some(kind => disturbs.test(kind))) except.push('I6')
  // A queue that only puts may find a dead process, and what it recovers and nobody keeps is told to nobody.
  if (config.keepMs < keptMs && entries.some(({ kind }) => kind === 'crash')) except.push('I1')
  const lateMs = config.backlog === 'memory' ? 1 : lookMs
  const cut = lossy ? entries.findIndex(entry => entry.kind === 'fault' && entry.what === 'power cut') : -1
  if (cut < 0) return lines(entries, except, lateMs)
  return [...lines(entries.slice(0, cut), except, lateMs), ...lines(entries.slice(cut), unknownAfterLoss, lateMs)]
}

/**
 * A put whose answer was lost with its thread is asked again, and may find itself: `existed` then says nothing of whether
 * it was this put.
 */
function certain(entries: readonly Entry[]): readonly Entry[] {
  const asked = new Map<number, string>()
  const doubtful = new Set<number>()
  return entries.filter(entry => {
    if (entry.kind === 'put') asked.set(entry.call, entry.process)
    if (entry.kind === 'fault') for (const [call, process] of asked) if (process === entry.process) doubtful.add(call)
    return !(entry.kind === 'accepted' && entry.existed && doubtful.has(entry.call))
  })
}

function lines(entries: readonly Entry[], except: readonly Invariant[], lateMs: number): string[] {
  const { violations } = check(entries, { except, lateMs })
  return violations.map(({ invariant, message }) => `${invariant}: ${message}`)
}
