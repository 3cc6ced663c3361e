/** Executes a command: changes jobs or settings of a queue. */
import type { Overridable, StateCounts } from '../../../lib/backlog.ts'
import { cancelEffect, knownJob, refuseByState } from '../../../lib/decisions/command-states.ts'
import { type Due, dueOfCommand } from '../../../lib/decisions/due.ts'
import { clearRules, setRules } from '../../../lib/decisions/rule-settings.ts'
import type { JobState } from '../../../lib/job.ts'
import type { CommandReply, CommandRequest, JobRow, RowRef } from '../store.ts'
import { clearKeyOverrides, keyChange, keysNow, overrideKey } from './key-settings.ts'
import type { LimitStore } from './limit-store.ts'
import type { QueueState } from './queue-state.ts'
import { ruleBook, settingsNow, useRules } from './rules.ts'

export interface CommandStore<Queue, Job> {
  readonly limits: LimitStore<Queue>
  locate(queue: Queue, target: RowRef): Job | undefined
  /** The job as it is. */
  rowOf(queue: Queue, job: Job): JobRow
  // Each returns the job as it is afterwards.
  /** Ends a job that waits. */
  cancel(queue: Queue, job: Job, reason: string | undefined, now: number, wall: number): JobRow
  reprioritize(queue: Queue, job: Job, priority: number, now: number): JobRow
  reschedule(queue: Queue, job: Job, due: Due | undefined, now: number): JobRow
  /** An ended job waits as if it had just been put; it keeps its priority, fence and checkpoint. */
  retry(queue: Queue, job: Job, now: number): JobRow

  /** Removes a job that is not underway, and forgets its id. */
  remove(queue: Queue, job: Job, now: number): void
  /** Forgets a remembered id, and counts its job no more. Returns whether it was remembered. */
  forgetId(queue: Queue, id: string, now: number): boolean
  /** A cancel is requested from the worker of the job. */
  requestCancel(queue: Queue, job: Job, reason: string | undefined): void
  /** Whether a body of the job runs anywhere, although the job has ended. */
  isBodyRunning(seq: number): boolean
  /**
   * Cancels all jobs that wait, or those of a key. Names them if they are not too many. It may cancel only some jobs of
   * a key, and then there are more.
   */
  clear(
    queue: Queue,
    key: string | undefined,
    reason: string | undefined,
    now: number,
    wall: number,
  ): Pick<CommandReply, 'changed' | 'count' | 'hasMore'>
  counts(queue: Queue): StateCounts
}

export interface CommandedJob {
  readonly seq: number
  readonly id: string
  readonly state: JobState
}
type Change = Pick<CommandReply, 'changed' | 'found' | 'count' | 'unchangedBecause' | 'keys' | 'keyChange' | 'hasMore'>
type JobCommand = Extract<CommandRequest['command'], { target: RowRef }>

const nothing: Change = { changed: [], found: undefined, count: 0, unchangedBecause: undefined }

export function executeCommand<Queue extends QueueState, Job extends CommandedJob>(
  store: CommandStore<Queue, Job>,
  queue: Queue,
  request: CommandRequest,
): CommandReply {
  const change = applyCommand(store, queue, request)
  return { ...change, counts: store.counts(queue), ...settingsNow(store.limits, queue) }
}

function applyCommand<Queue extends QueueState, Job extends CommandedJob>(
  store: CommandStore<Queue, Job>,
  queue: Queue,
  { command, now, wall }: CommandRequest,
): Change {
  const { limits } = store
  const { rules } = queue
  switch (command.kind) {
    case 'rate':
      setRules(queue, ruleBook(limits, now), command.rules)
      useRules(limits, queue, rules, now)
      return nothing
    case 'globalWidth':
      queue.globalWidth = command.width
      limits.saveSettings(queue)
      return nothing
    case 'pause':
      queue.sharedPaused = command.paused
      limits.saveSettings(queue)
      return nothing
    case 'key':
      overrideKey(limits, queue, command.key, command.change, now)
      limits.saveSettings(queue)
      return { ...nothing, keyChange: keyChange(limits, queue, command.key) }
    case 'clearOverrides':
      return clearOverrides(limits, queue, command.of, now)
    case 'clear':
      return { ...nothing, ...store.clear(queue, command.key, command.reason, now, wall) }
    default:
      return changeJob(store, queue, command, now, wall)
  }
}

function clearOverrides<Queue extends QueueState>(
  limits: LimitStore<Queue>,
  queue: Queue,
  of: readonly Overridable[],
  now: number,
): Change {
  if (of.includes('rate')) {
    const { rules } = queue
    clearRules(queue, ruleBook(limits, now))
    useRules(limits, queue, rules, now)
  }
  if (of.includes('globalWidth')) queue.globalWidth = queue.declaredGlobalWidth ?? Infinity
  if (of.includes('keys')) clearKeyOverrides(limits, queue, now)
  limits.saveSettings(queue)
  return { ...nothing, ...(of.includes('keys') && { keys: keysNow(limits, queue) }) }
}

function changeJob<Queue, Job extends CommandedJob>(
  store: CommandStore<Queue, Job>,
  queue: Queue,
  command: JobCommand,
  now: number,
  wall: number,
): Change {
  const located = store.locate(queue, command.target)
  if (!located && command.kind === 'cancel') return nothing
  if (!located && command.kind === 'remove') {
    return { ...nothing, count: command.id !== undefined && store.forgetId(queue, command.id, now) ? 1 : 0 }
  }
  const job = knownJob(located, command.target)
  const found = (): Change => ({ ...nothing, found: store.rowOf(queue, job) })
  if (command.kind !== 'cancel') refuseByState(command.kind, job.id, job.state)
  switch (command.kind) {
    case 'cancel': {
      const effect = cancelEffect(job.state)
      if (effect === 'ends') return changed(store.cancel(queue, job, command.reason, now, wall))
      if (effect !== 'requests') return found()
      store.requestCancel(queue, job, command.reason)
      return { ...found(), unchangedBecause: 'cancelRequested' }
    }
    case 'reprioritize':
      return changed(store.reprioritize(queue, job, command.priority, now))
    case 'reschedule':
    case 'promote': {
      const due = dueOfCommand(command, now, wall)
      return job.state === 'pending' && !due ? found() : changed(store.reschedule(queue, job, due, now))
    }
    case 'retry':
      // The job must not run while a body of it still runs, in any process.
      if (store.isBodyRunning(job.seq)) return { ...found(), unchangedBecause: 'bodyContinues' }
      return changed(store.retry(queue, job, now))
    case 'remove': {
      const row = store.rowOf(queue, job)
      store.remove(queue, job, now)
      return changed(row)
    }
    default:
      return command satisfies never
  }
}

function changed(row: JobRow): Change {
  return { changed: [row], found: row, count: 1, unchangedBecause: undefined }
}
