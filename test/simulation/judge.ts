/** Checks the history of a run against all invariants that can be judged in it. */
import { type CheckOptions, check, type Entry, type Invariant, invariants } from '../../testing/index.ts'
import { asHandedOver, asProcesses } from './isolates.ts'
import { stallMost } from './plan.ts'
import type { World } from './world.ts'

/** Invariants that cannot be judged after a loss of commits, because they depend on what was before. */
const unknownAfterLoss: readonly Invariant[] = [
  ...(['I1', 'I2', 'I6', 'I7', 'I8', 'I9', 'I11', 'I12', 'I14', 'I15', 'I16', 'I18', 'I19', 'I23'] as const),
  ...(['I24', 'I25', 'I26', 'I27', 'I28', 'I29', 'I30'] as const),
]

/** Invariants about bodies in all processes, whose jobs nobody else may have meanwhile. */
const bodiesOfAll: readonly Invariant[] = ['I24', 'I28']

/** Invariants of rules that all queues of one backlog share. */
const ofBacklog: readonly Invariant[] = ['I29', 'I30']

/** Faults after which there is no bound on how late a start may be. */
const disturbs =
  /^(?:(?:busy|full|disk|slow|refused|thread dies) at |the death of a thread|a power cut|a process that is frozen|a loop that is held up|a (?:body|listener) that (?:holds up|blocks))/

/** How long a reply may take if something is slow or dies. */
const slackMs = 600

/** Jobs that are kept this long are still there at the end. */
const keptMs = 600_000

/** How long a process may not notice the commit of another one. */
const lookMs = 210

export function judge(world: World): string[] {
  const { faults, config, lossy, unsure } = world
  const entries = certain(world.history.entries)
  const except: Invariant[] = []
  const disturbed = [...faults.counts.keys()].some(kind => disturbs.test(kind))
  const crashed = entries.some(({ kind }) => kind === 'crash')
  // A rate set by a process that died at once may or may not be in force.
  if (unsure) except.push('I5', 'I6', 'I29', 'I30')
  // An ending whose reply was lost is announced by no process, and then the job is forgotten.
  if (config.keepMs < keptMs && (disturbed || crashed)) except.push('I1')
  // A command with an unknown outcome may have ended jobs whose endings are not announced.
  const unknown = entries.some(({ kind, ...of }) => kind === 'refused' && 'code' in of && of.code === 'OUTCOME_UNKNOWN')
  if (unknown) except.push('I16')
  // A stop that cannot reach its file reports the last known number of jobs that stay.
  if (entries.some(entry => entry.kind === 'emitted' && entry.code === 'BACKLOG_THREAD')) except.push('I1')
  // Each process announces changes in its own order.
  const several = world.slots.filter(({ lives }) => lives.length > 0).length > 1
  if (disturbed || several) except.push('I6')
  // A suspect that runs alone holds up the other queue of its process, too.
  const suspected = entries.some(entry => entry.kind === 'launch' && (entry.crashes ?? 0) > 0)
  if (config.beside && suspected) except.push('I6')
  // The death of a process that has not created its lock file anew is noticed only after a while.
  if (crashed && faults.counts.has('lock files that are removed')) except.push('I6')
  // A dead thread loses its leases though its bodies live: another process may take the jobs and return them.
  const threads = [...faults.counts.keys()].some(kind => /thread/.test(kind))
  if (threads && (crashed || several)) except.push('I11', 'I13', ...bodiesOfAll)
  // A loop that stalls loses its jobs, and may die before it is notified.
  if (config.stallMs < stallMost && crashed) except.push('I13', ...bodiesOfAll)
  // A process that fails a job because an isolate died, and then dies itself, announces nothing, as with any ending.
  if (config.isolate && crashed) except.push('I16')
  // If an id was forgotten and is put anew with a late reply, the fences of its job start anew.
  if (several && config.idsMs < keptMs) except.push('I12')
  // The next queue with a handler announces an ending by a recovery. By then the id may be forgotten and put anew.
  if (config.idsMs < keptMs && entries.some(isEndedByRecovery)) except.push('I11', 'I19')
  // Jobs handed out to a loop that stands still start when it goes on, however late.
  const stoodStill = faults.counts.has('a loop that is held up') || faults.counts.has('a process that is frozen')
  const late = stoodStill && !lossy ? bodiesOfAll.filter(invariant => !except.includes(invariant)) : []
  if (stoodStill) except.push('I7', 'I8', 'I26', 'I27', 'I30', ...bodiesOfAll)
  const memory = config.backlog === 'memory'
  // A setting takes effect on a file with an exchange, which may be behind others at the same instant.
  const bounds = { lateMs: memory ? 1 : lookMs, slackMs: disturbed ? slackMs : memory ? 0 : 1 }
  // Such a job may start after a width was lowered, but never above the widest.
  const others = invariants.filter(invariant => !late.includes(invariant))
  const judged = config.isolate
    ? (part: readonly Entry[], options: CheckOptions) => judgeOfIsolates(world, part, options)
    : lines
  if (!lossy) {
    const own = memory ? ofBacklog : []
    if (config.isolate) return judged(entries, { ...bounds, except: [...except, ...own] })
    const each = new Set(memory ? entries.map(({ process }) => process) : [])
    return [
      ...lines(entries, { ...bounds, except: [...except, ...own] }),
      ...lines(entries, { slackMs: Infinity, except: others }),
      ...[...each].flatMap(process => judgeAlone(entries, process, { ...bounds, except })),
    ]
  }
  const after = { ...bounds, except: [...except, ...unknownAfterLoss] }
  return cutAtLosses(entries).flatMap((part, i) => judged(part, i === 0 ? { ...bounds, except } : after))
}

/** Those that compare a start with what its queue did meanwhile: it counts from when its job was handed over. */
const ofStarts: readonly Invariant[] = ['I3', 'I10', 'I11']

/** Jobs that were granted before a hold or a pause of a key may start after it, because they are on their way. */
const ofHolds: readonly Invariant[] = ['I5', 'I25', 'I26', 'I29']

/**
 * An isolate starts when it is needed, messages take a while, and isolates do not wait for one another: so a start may
 * be later than possible, and after that of a later job.
 */
const notOfIsolates: readonly Invariant[] = ['I6', 'I7', 'I8', 'I27', 'I30']

function judgeOfIsolates(world: World, entries: readonly Entry[], { except = [], ...bounds }: CheckOptions): string[] {
  const all = [...except, ...notOfIsolates]
  const others = (own: readonly Invariant[]): Invariant[] => [
    ...all,
    ...invariants.filter(invariant => !own.includes(invariant)),
  ]
  return [
    ...lines(entries, { ...bounds, except: [...all, ...ofStarts, ...ofHolds, 'I23'] }),
    ...lines(entries, { ...bounds, slackMs, except: others(ofHolds) }),
    ...lines(asHandedOver(entries), { ...bounds, except: others(ofStarts) }),
    ...lines(asProcesses(entries, world.isolateFacts), { ...bounds, except: others(['I23']) }),
  ]
}

/** The invariants of a backlog, which has the entries of one process if it is in memory. */
function judgeAlone(entries: readonly Entry[], process: string, options: CheckOptions): string[] {
  const others = invariants.filter(invariant => !ofBacklog.includes(invariant))
  const own = entries.filter(entry => entry.process === process)
  return lines(own, { ...options, except: [...(options.except ?? []), ...others] })
}

/** The history before the first power cut, and after each. */
function cutAtLosses(entries: readonly Entry[]): readonly (readonly Entry[])[] {
  const parts: Entry[][] = [[]]
  for (const entry of entries) {
    if (entry.kind === 'fault' && entry.what === 'power cut') parts.push([])
    parts.at(-1)?.push(entry)
  }
  return parts
}

function isEndedByRecovery(entry: Entry): boolean {
  const isRecovered = entry.kind === 'emitted' && entry.event === 'recovered'
  return isRecovered && (entry.state === 'finished' || entry.state === 'failed' || entry.state === 'cancelled')
}

/** The codes by which a put is refused. A `run` has no separate reply for its put. */
const refusals = /^(?:ID_CONFLICT|QUEUE_FULL|COST|OPTION|OUTCOME_UNKNOWN|STORE|DISK_FULL|BACKLOG_\w+)$/

/** The entries, corrected where they report more or less than the process could know. */
function certain(entries: readonly Entry[]): readonly Entry[] {
  /** For each job the codes with which it failed. A body may fail its job with a code that refuses a put, too. */
  const failures = new Map<string, Set<string | undefined>>()
  const calls = new Map<string, string>()
  return entries.flatMap((entry): Entry | Entry[] => {
    const { seq, nowMs, wallMs, process, queue } = entry
    const refused = (call: number, code: string): Entry => ({
      ...{ seq, nowMs, wallMs, process, queue, kind: 'refused', of: 'put', call, code },
    })
    if (entry.kind === 'put' && entry.job !== undefined) calls.set(`${process} ${entry.call}`, entry.job)
    if (entry.kind === 'emitted' && entry.event === 'failed' && entry.job !== undefined) {
      failures.set(entry.job, (failures.get(entry.job) ?? new Set()).add(entry.code))
    }
    if (entry.kind !== 'settled' || entry.of !== 'run' || !refusals.test(entry.code ?? '')) return entry
    const job = calls.get(`${process} ${entry.call}`)
    const isOfJob = job !== undefined && failures.get(job)?.has(entry.code) === true
    return isOfJob ? entry : [refused(entry.call, entry.code ?? ''), entry]
  })
}

function lines(entries: readonly Entry[], options: CheckOptions): string[] {
  return check(entries, options).violations.map(({ invariant, message }) => `${invariant}: ${message}`)
}
