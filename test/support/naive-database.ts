/** What the naive store stores: maps and arrays of plain data, so that a transaction is undone by putting back a copy. */

import type { Grant } from '../../lib/backlog.ts'
import type { JobState } from '../../lib/job.ts'
import type { SlotWait } from '../../lib/limits/global-width.ts'
import { Rate, type RateState } from '../../lib/rate/rate.ts'
import { cautionOf } from '../../lib/rules/crash-outcome.ts'
import type { LoggedReply } from '../../persistence/durable/execute/exchange.ts'
import type { QueueState } from '../../persistence/durable/execute/queue-state.ts'
import type * as wire from '../../persistence/durable/store.ts'
import { type Keys, newKeys } from './naive-keys.ts'
import type { StoredRule } from './naive-rules.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export interface Job extends Mutable<Omit<wire.JobRow, 'more'>> {
  readonly more: Mutable<wire.JobRowExtras>
  /** Since when it waits. */
  since: number
  /** A claim has passed it, because its key is held. */
  aside: boolean
  forgetAt: number
  launchUnreported: boolean
  // Of its last claim.
  worker: string
  exchange: number
  grant: Grant
  launched: boolean
  alone: boolean
  /** Its queue stopped without waiting for the body. */
  abandoned: boolean
  awaitingVerdict: boolean
  cancel: { readonly reason: string | undefined; notified: boolean } | undefined
}
/** A report to a worker, and the exchange whose reply carried it; 0: none so far. */
export interface Reported {
  worker: string
  exchange: number
}
export interface Queue extends QueueState {
  readonly name: string
  readonly jobs: Map<number, Job>
  /** Ended jobs that were forgotten, and the given ids among them. */
  readonly forgotten: Record<JobState, number>
  ids: { readonly id: string; readonly fingerprint: string; readonly state: JobState; readonly until: number }[]
  rate: RateState
  graceFactor: number
  readonly heldKeys: Map<string, number>
  readonly keys: Keys
  reports: (Reported & { readonly seq: number; readonly row: wire.JobRow | undefined })[]
  /** By worker. */
  readonly slotWaits: Map<SlotWait['worker'], SlotWait>
  replies: (Reported & { readonly reply: LoggedReply })[]
}
/** A process that has the database open. */
export interface Worker {
  /** The queues that have a handler here. */
  readonly works: Set<number>
  readonly lastExchanges: Map<number, number>
  /** Jobs that have ended while their bodies go on. */
  readonly bodies: Map<number, { readonly queueId: number; readonly key: string }>
}

/** The worker of jobs for which no queue can give a verdict yet. */
export const noWorker = ''

export interface NaiveData {
  lastSeq: number
  readonly queues: Map<number, Queue>
  readonly workers: Map<string, Worker>
  readonly putReplies: Map<string, wire.PutReplay>
  /** By name. */
  readonly rules: Map<string, StoredRule>
}

export class NaiveDatabase {
  data: NaiveData = { lastSeq: 0, queues: new Map(), workers: new Map(), putReplies: new Map(), rules: new Map() }
  /** Workers whose commits fail. */
  readonly broken: Set<string> = new Set()
  /** By worker: called when another one has changed something. */
  readonly listeners: Map<string, () => void> = new Map()
}

export function addQueue({ data: { queues } }: NaiveDatabase, request: wire.AttachRequest): Queue {
  const { name, keep, size, afterCrash, crashLimit } = request
  const queueId = queues.size + 1
  const queue: Queue = {
    ...{ queueId, name, keep, size, afterCrash, crashLimit, sharedPaused: false, rules: [], declared: undefined },
    ...{ globalWidth: Infinity, declaredGlobalWidth: undefined },
    ...{ keysVersion: 0, keys: newKeys(), slotWaits: new Map() },
    ...{ jobs: new Map(), forgotten: { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 } },
    ...{ ids: [], rate: new Rate([]).state(), graceFactor: 1, heldKeys: new Map(), reports: [], replies: [] },
  }
  queues.set(queueId, queue)
  return queue
}
export function newJob(seq: number, { ids, payloads, queuedAt, priorities }: wire.PutRequest, i: number): Job {
  return {
    ...{ seq, id: ids[i] as string, payload: payloads[i] as string, queuedAt: queuedAt[i] as number },
    ...{ priority: priorities?.[i] ?? 0, state: 'pending', attempt: 0, fence: 0, crashes: 0, more: {} },
    ...{ startedAt: null, stoppedAt: null, since: 0, aside: false, forgetAt: 0, launchUnreported: false },
    ...{ worker: noWorker, exchange: 0, grant: 0, launched: false, alone: false, abandoned: false },
    ...{ awaitingVerdict: false, cancel: undefined },
  }
}
export function rowOf(job: Job): wire.JobRow {
  const { seq, id, payload, priority, state, attempt, fence, crashes, queuedAt, startedAt, stoppedAt } = job
  const more = Object.keys(job.more).length > 0 ? { ...job.more } : undefined
  return { seq, id, payload, priority, state, attempt, fence, crashes, queuedAt, startedAt, stoppedAt, more }
}
/** Claimed jobs, as a reply has them. */
export function columnsOf(jobs: readonly Job[]): wire.ExchangeReply['claimed'] {
  const more = jobs.map(({ more, crashes, launchUnreported, alone }, i): [number, wire.JobRowExtras] => {
    const caution = cautionOf({ crashes, launchUnreported, alone })
    return [i, { ...more, ...(crashes > 0 && { crashes }), ...(caution && { caution }) }]
  })
  return {
    seqs: jobs.map(({ seq }) => seq),
    ids: jobs.map(({ id }) => id),
    payloads: jobs.map(({ payload }) => payload),
    priorities: jobs.map(({ priority }) => priority),
    attempts: jobs.map(({ attempt }) => attempt),
    fences: jobs.map(({ fence }) => fence),
    queuedAt: jobs.map(({ queuedAt }) => queuedAt),
    more: more.filter(([, facts]) => Object.keys(facts).length > 0),
  }
}
/** Notes facts of a job, or that it has them no longer. */
export function note(
  { more }: Job,
  facts: { [K in keyof wire.JobRowExtras]?: wire.JobRowExtras[K] | undefined },
): void {
  Object.assign(more, facts)
  for (const [name, value] of Object.entries(more)) {
    if (value === undefined) delete more[name as keyof wire.JobRowExtras]
  }
}
export function jobsOf({ jobs }: Queue, fits: (job: Job) => unknown = () => true): Job[] {
  return [...jobs.values()].filter(fits)
}
/** How many bodies of the queue's jobs run, in all workers. */
export function bodiesOf({ workers }: NaiveData, queue: Queue): number {
  const running = jobsOf(queue, ({ state, awaitingVerdict }) => state === 'underway' && !awaitingVerdict)
  const bodies = [...workers.values()].flatMap(worker => [...worker.bodies.values()])
  return running.length + bodies.filter(({ queueId }) => queueId === queue.queueId).length
}
export function isUnderwayOf({ state, worker }: Job, token: string): boolean {
  return state === 'underway' && worker === token
}
/** The jobs underway of a worker, in all queues. */
export function underwayOf({ data: { queues } }: NaiveDatabase, token: string): [Queue, Job][] {
  const ofQueue = (queue: Queue): Job[] => jobsOf(queue, job => isUnderwayOf(job, token))
  return [...queues.values()].flatMap(queue => ofQueue(queue).map((job): [Queue, Job] => [queue, job]))
}
/** The worker is gone. What it was to report, or did not acknowledge, is left to the next one. */
export function freeReports({ reports }: Queue, token: string): void {
  for (const report of reports) if (report.worker === token) Object.assign(report, { worker: noWorker, exchange: 0 })
}
