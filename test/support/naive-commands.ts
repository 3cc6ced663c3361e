/** What puts, commands and queries do to one queue of the naive store. */
import { JobUnknownError } from '../../lib/errors.ts'
import { Rate } from '../../lib/rate/rate.ts'
import { cancelEffect, isWaiting, knownJob, refuseByState } from '../../lib/rules/commands.ts'
import { dueOf, dueOfCommand } from '../../lib/rules/due.ts'
import { explainWait } from '../../lib/rules/explain.ts'
import { inOrderOfStart as inOrder } from '../../lib/rules/order.ts'
import { refuseCost, refuseOtherPayload, refuseOverfull } from '../../lib/rules/puts.ts'
import { declaredAfterCommand } from '../../lib/rules/rate-settings.ts'
import { resetByRetry } from '../../lib/rules/transitions.ts'
import type * as wire from '../../persistence/durable/store.ts'
import {
  changeRate,
  countsOf,
  end,
  find,
  type Job,
  jobsOf,
  newJob,
  note,
  type Queue,
  rowOf,
  wait,
} from './naive-database.ts'

type Change = Omit<wire.CommandReply, 'counts' | 'rules'>
const unchanged: Change = { changed: [], found: undefined, count: 0, cancelRequested: false }

/** Takes in all of a put, or throws and takes nothing. `first` is the seq of the first new job. Answers with the last one, too. */
export function put(queue: Queue, request: wire.PutRequest, first: number): wire.PutReply & { readonly last: number } {
  const { pending, delayed } = countsOf(queue)
  const more = new Map(request.more)
  const rate = Rate.from(queue.rate)
  const byId = new Map(jobsOf(queue).map(job => [job.id, job]))
  const existed: [number, Job][] = []
  const fresh: Job[] = []
  for (const [index, id] of request.ids.entries()) {
    const facts = more.get(index) ?? {}
    const job = newJob(first + fresh.length, request, index, facts)
    const gone = queue.ids.find(gone => gone.id === id && gone.until > request.now)
    const known = byId.get(id) ?? (gone && Object.assign(job, { seq: 0, state: gone.state }))
    const { fingerprint } = byId.get(id)?.more ?? gone ?? {}
    if (facts.fingerprint !== undefined) refuseOtherPayload(id, facts.fingerprint, fingerprint)
    if (known) existed.push([index, known])
    else {
      refuseCost(facts.cost, rate)
      fresh.push(job)
      byId.set(id, job)
    }
    if (!known) wait(queue, job, request.now, dueOf(facts, request.now, request.wall))
  }
  refuseOverfull(fresh.length, request.size, pending + delayed)
  for (const job of fresh) queue.jobs.set(job.seq, job)
  const rows = existed.map(([index, job]): [number, wire.JobRow] => [index, rowOf(job)])
  return { first, last: first + fresh.length - 1, existed: rows, counts: countsOf(queue) }
}

/** `bodyGoesOn`: whether a body of the job still runs somewhere, though the job has ended. */
export function change(
  queue: Queue,
  { command, now, wall }: wire.CommandRequest,
  bodyGoesOn: (job: Job) => boolean,
): Change {
  const cancel = (job: Job, error: string | undefined): wire.JobRow =>
    end(queue, job, 'cancelled', now, { error, stoppedAt: wall })
  switch (command.kind) {
    case 'rate':
      changeRate(queue, command.rules, now)
      queue.declared = declaredAfterCommand(command.rules, queue.declared)
      return unchanged
    case 'pause':
      queue.held = command.paused
      return unchanged
    case 'clear': {
      const waiting = jobsOf(queue, ({ state }) => isWaiting(state)).sort(inOrder)
      const changed = waiting.map(job => cancel(job, command.reason))
      return { ...unchanged, changed, count: changed.length }
    }
  }
  const job = find(queue, command.target)
  if (!job) {
    if (command.kind === 'cancel') return unchanged
    if (command.kind !== 'remove') return knownJob(undefined, command.target)
    const gone = queue.ids.find(({ id, until }) => id === command.id && until > now)
    if (gone) queue.forgotten[gone.state]--
    queue.ids = queue.ids.filter(id => id !== gone)
    return { ...unchanged, count: gone ? 1 : 0 }
  }
  const found: Change = { ...unchanged, found: rowOf(job) }
  if (command.kind !== 'cancel') refuseByState(command.kind, job.id, job.state)
  switch (command.kind) {
    case 'cancel': {
      const effect = cancelEffect(job.state)
      if (job.claim) job.claim.cancel = { reason: command.reason, notified: false }
      if (effect !== 'ends') return { ...found, cancelRequested: effect === 'requests' }
      cancel(job, command.reason)
      break
    }
    case 'reprioritize':
      job.priority = command.priority
      break
    case 'reschedule':
    case 'promote': {
      const due = dueOfCommand(command, now, wall)
      if (job.state === 'pending' && !due) return found
      wait(queue, job, now, due)
      break
    }
    case 'retry': {
      if (bodyGoesOn(job)) return { ...found, cancelRequested: true }
      const { attempt, crashes, error } = resetByRetry
      Object.assign(job, { attempt, crashes, unsure: false, startedAt: null, stoppedAt: null })
      note(job, { error })
      wait(queue, job, now)
      break
    }
    case 'remove':
      queue.jobs.delete(job.seq)
      break
    default:
      command satisfies never
  }
  const row = rowOf(job)
  return { changed: [row], found: row, count: 1, cancelRequested: false }
}

export function list(queue: Queue, { state, key, limit, after }: wire.ListRequest): wire.ListReply {
  const start = typeof after === 'string' ? find(queue, after) : after
  if (typeof after === 'string' && !start) throw new JobUnknownError(after)
  const isPlaced = state !== undefined && isWaiting(state)
  const order = isPlaced ? inOrder : (a: wire.ListCursor, b: wire.ListCursor): number => b.seq - a.seq
  const fits = (job: Job): boolean =>
    (state ?? job.state) === job.state && (key ?? job.more.key) === job.more.key && (!start || order(start, job) < 0)
  const rows = jobsOf(queue, fits).sort(order).slice(0, limit)
  return { rows: rows.map(rowOf), next: rows.length === limit ? rows.at(-1) : undefined }
}

/** `runsAlone`: whether a suspect of this process runs alone, so that nothing else starts here. */
export function explain(
  queue: Queue,
  job: Job,
  { now, wall }: wire.ExplainRequest,
  runsAlone: boolean,
): wire.ExplainReply {
  const { key = '', cost } = job.more
  const blocking = Rate.from(queue.rate).blocking(cost, now)
  const due = job.state === 'delayed' ? dueOf(job.more, now, wall) : undefined
  const { why, ...bounds } = explainWait({ due, keyHeldUntil: queue.heldKeys.get(key), blocking }, now, wall)
  const isBefore = (other: Job): boolean =>
    other.state === 'pending' && !other.aside && other.crashes > 0 === job.crashes > 0 && order(other) < 0
  const order = (other: Job): number => other.crashes - job.crashes || inOrder(other, job)
  const isPending = job.state === 'pending'
  const isSuspect = isPending && (job.crashes > 0 || runsAlone)
  const position = isPending ? jobsOf(queue, isBefore).length : undefined
  return { row: rowOf(job), position, why: why ?? (isSuspect ? 'suspect' : undefined), ...bounds }
}
