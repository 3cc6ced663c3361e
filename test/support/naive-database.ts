import { launchAlone, reportedFirst } from '../../lib/backlog.ts'
import type { JobState } from '../../lib/job.ts'
import { Rate, type RateState } from '../../lib/rate/rate.ts'
import type { RateRule } from '../../lib/rate/rules.ts'
import { isWaiting } from '../../lib/rules/commands.ts'
import { type Due, dueOf, wallLookMs } from '../../lib/rules/due.ts'
import { keptMs } from '../../lib/rules/keep.ts'
import type * as wire from '../../persistence/durable/store.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** A job as replies show it, and what they do not show. */
export interface Job extends Mutable<wire.JobRow> {
  readonly more: Mutable<wire.JobRowExtras>
  /** Its process died, and nobody knows whether the body had begun. */
  unsure: boolean
  /** Since when it waits. */
  since: number
  /** A claim has passed it, because its key is held. */
  aside: boolean
  forgetAt: number
  claim?: Claim | undefined
}
/** Who has a job that is underway. */
export interface Claim {
  worker: string
  turn: number
  grant: number
  launched: boolean
  alone: boolean
  /** Its queue stopped without waiting for the body. */
  abandoned: boolean
  /** Its process died, and the queue is to say what becomes of it. */
  inDoubt: boolean
  cancel?: { readonly reason: string | undefined; notified: boolean } | undefined
}
/** A job whose process died: how it ended, if it did, who reports it, and in which turn; 0 before. */
export interface Report {
  readonly seq: number
  readonly row: wire.JobRow | undefined
  worker: string
  turn: number
}
export interface Queue {
  readonly queue: number
  readonly name: string
  readonly jobs: Map<number, Job>
  /** Ended jobs that were forgotten, and the given ids among them. */
  readonly forgotten: Record<JobState, number>
  ids: { id: string; fingerprint: string; state: JobState; until: number }[]
  declared: string | undefined
  rate: RateState
  graceFactor: number
  held: boolean
  readonly heldKeys: Map<string, number>
  settings: Pick<wire.AttachRequest, 'keep' | 'afterCrash' | 'crashLimit'>
  reports: Report[]
  /** Grows with each change that others may want to know of. */
  changes: number
}
/** A process that has the database open. */
export interface Worker {
  /** The queues that have a handler here. */
  readonly works: Set<number>
  readonly lastTurns: Map<number, number>
  /** What turns reported, by their numbers, in case a reply is lost. */
  readonly told: Map<number, Told>
  /** Jobs that have ended while their bodies go on. */
  readonly bodies: Set<number>
}
/** What a turn reports, kept in case its reply is lost. */
export interface Told {
  readonly lost: number[]
  readonly cancels: { readonly seq: number; readonly reason: string | undefined }[]
  readonly endedUnrun: wire.JobRow[]
}
export interface Turn extends Told {
  readonly queue: Queue
  readonly request: wire.ExchangeRequest
  readonly rate: Rate
  readonly jobs: Job[]
  blocked: ReturnType<Rate['blocking']>
  lookAt: number
}
export type Ended = 'finished' | 'failed' | 'cancelled'
export interface Ending extends Partial<Pick<Job, 'startedAt' | 'stoppedAt'>> {
  readonly error?: string | undefined
  readonly value?: string | undefined
}

/** Has the jobs that wait for a queue that can be asked about them. */
export const nobody = ''
export const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }

interface NaiveData {
  lastSeq: number
  readonly queues: Map<number, Queue>
  readonly workers: Map<string, Worker>
}

export class NaiveDatabase {
  data: NaiveData = { lastSeq: 0, queues: new Map(), workers: new Map() }
  /** Workers whose commits fail. */
  readonly broken: Set<string> = new Set()
  /** By worker: called when another one has changed something. */
  readonly listeners: Map<string, () => void> = new Map()
}

export function newQueue(queue: number, name: string, settings: Queue['settings']): Queue {
  const empty = { jobs: new Map(), forgotten: { ...zero }, ids: [], heldKeys: new Map(), reports: [], changes: 0 }
  const rate = new Rate([]).state()
  return { queue, name, settings, ...empty, rate, declared: undefined, graceFactor: 1, held: false }
}
/** A job as it is put. */
export function newJob(seq: number, request: wire.PutRequest, index: number, put: wire.JobRowExtras = {}): Job {
  const { dueAt, runAt, ...more } = structuredClone(put)
  const { ids, payloads, queuedAt, priorities } = request
  const words = { id: ids[index] as string, payload: payloads[index] as string, queuedAt: queuedAt[index] as number }
  const counters = { priority: priorities?.[index] ?? 0, attempt: 0, fence: 0, crashes: 0, since: 0, forgetAt: 0 }
  return {
    seq,
    ...words,
    ...counters,
    state: 'pending',
    unsure: false,
    aside: false,
    startedAt: null,
    stoppedAt: null,
    more,
  }
}
export function rowOf(job: Job): wire.JobRow {
  const { since, unsure, aside, forgetAt, claim, more, ...row } = job
  return { ...row, more: Object.keys(more).length > 0 ? { ...more } : undefined }
}
/** Claimed jobs, as a reply has them. */
export function columnsOf(jobs: readonly Job[]): wire.ExchangeReply['claimed'] {
  const more = jobs.map(({ more, crashes, unsure, claim }, i): [number, wire.JobRowExtras] => {
    const caution = claim?.alone ? launchAlone : crashes > 0 || unsure ? reportedFirst : undefined
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
/** Notes facts, or that there are none any more. */
export function note(
  { more }: Job,
  facts: { readonly [K in keyof wire.JobRowExtras]?: wire.JobRowExtras[K] | undefined },
): void {
  Object.assign(more, facts)
  for (const [name, value] of Object.entries(more))
    if (value === undefined) delete more[name as keyof wire.JobRowExtras]
}

export function jobsOf({ jobs }: Queue, fits: (job: Job) => unknown = () => true): Job[] {
  return [...jobs.values()].filter(fits)
}
export function find(queue: Queue, target: wire.RowRef): Job | undefined {
  return typeof target === 'number' ? queue.jobs.get(target) : jobsOf(queue, ({ id }) => id === target)[0]
}
export function countsOf({ jobs, forgotten }: Queue): wire.PutReply['counts'] {
  const counts = { ...forgotten }
  for (const { state } of jobs.values()) counts[state]++
  return counts
}
export function wait(queue: Queue, job: Job, now: number, due?: Due): void {
  note(job, { runAt: undefined, dueAt: undefined, ...(due && { [due.clock === 'wall' ? 'runAt' : 'dueAt']: due.at }) })
  Object.assign(job, { state: due ? 'delayed' : 'pending', claim: undefined, since: now, aside: false })
  queue.changes++
}
/** Goes back without having used its attempt. */
export function giveBack(queue: Queue, job: Job, now: number): void {
  job.attempt--
  wait(queue, job, now)
}
/** Answers with the job as it ended, because it may be forgotten at once. */
export function end(queue: Queue, job: Job, state: Ended, now: number, ending: Ending = {}): wire.JobRow {
  const { keep } = queue.settings
  const { error = job.more.error, value, startedAt, stoppedAt } = ending
  note(job, { dueAt: undefined, runAt: undefined, error, value: keep.results ? value : undefined })
  const times = { startedAt: startedAt ?? job.startedAt, stoppedAt: stoppedAt ?? job.stoppedAt }
  Object.assign(job, { state, ...times, claim: undefined, aside: false, forgetAt: now + keptMs(keep, state) })
  if (!(job.forgetAt > now)) forget(queue, job, now)
  queue.changes++
  return rowOf(job)
}
function forget(queue: Queue, { seq, id, state, more: { fingerprint } }: Job, now: number): void {
  const until = now + queue.settings.keep.idsMs
  queue.jobs.delete(seq)
  queue.forgotten[state]++
  if (fingerprint !== undefined && until > now) queue.ids.push({ id, fingerprint, state, until })
}
export function prune(queue: Queue, now: number, atMost: number): void {
  const { most } = queue.settings.keep
  const ended = jobsOf(queue, ({ state }) => state !== 'underway' && !isWaiting(state))
  ended.sort((a, b) => a.forgetAt - b.forgetAt)
  const isOver = ({ forgetAt }: Job, i: number): boolean => forgetAt <= now || ended.length - i > most
  for (const job of ended.filter(isOver).slice(0, atMost)) forget(queue, job, now)
  const ids = queue.ids.filter(({ until }) => until > now).sort((a, b) => a.until - b.until)
  queue.ids = ids.slice(Math.max(ids.length - most, 0))
}
/** Jobs come due, and held keys are let go. */
export function ripen(queue: Queue, now: number, wall: number): void {
  for (const [key, until] of queue.heldKeys) if (until <= now) queue.heldKeys.delete(key)
  for (const job of jobsOf(queue)) {
    if (job.aside) job.aside = queue.heldKeys.has(job.more.key as string)
    if (job.state === 'delayed' && !dueOf(job.more, now, wall)) wait(queue, job, now)
  }
}
/** When the next of them do. */
export function nextLook(queue: Queue, now: number, wall: number): number {
  const looks = jobsOf(queue).map(({ state, aside, more }) => {
    if (aside) return queue.heldKeys.get(more.key as string) ?? Infinity
    const due = state === 'delayed' ? dueOf(more, now, wall) : undefined
    return due?.clock === 'wall' ? now + Math.min(due.at - wall, wallLookMs) : (due?.at ?? Infinity)
  })
  return looks.reduce((next, at) => Math.min(next, at), Infinity)
}
export function changeRate(queue: Queue, rules: readonly RateRule[], now: number): void {
  const rate = Rate.from(queue.rate)
  rate.change(rules, now)
  queue.rate = rate.state()
}

// What a turn reports.
export function isOfTurn(token: string, number: number, { claim }: Job): boolean {
  return claim?.worker === token && claim.turn === number
}
export function acknowledge(queue: Queue, token: string, last: number): void {
  queue.reports = queue.reports.filter(({ worker, turn }) => worker !== token || turn === 0 || turn > last)
}
export function freeReports({ reports }: Queue, token: string): void {
  for (const report of reports) if (report.worker === token) Object.assign(report, { worker: nobody, turn: 0 })
}
export function reply(token: string, turn: Turn): wire.ExchangeReply {
  const { queue, request, rate, jobs, blocked, lookAt, lost, cancels, endedUnrun } = turn
  const { number, now, wall } = request
  const reports = queue.reports.filter(({ worker, turn }) => worker === token && turn === number)
  const rowNow = (seq: number): wire.JobRow[] => [queue.jobs.get(seq)].flatMap(job => (job ? rowOf(job) : []))
  const recovered = reports.flatMap(({ seq, row }) => row ?? rowNow(seq))
  const endedByRecovery = reports.flatMap(({ seq, row }) => (row ? seq : []))
  const needVerdict = jobsOf(queue, job => isOfTurn(token, number, job) && job.claim?.inDoubt).map(rowOf)
  const isSome = [lost, recovered, cancels, needVerdict].some(({ length }) => length > 0)
  const notices = {
    ...{ lostRuns: [...new Set(lost)], within: [], recovered, endedByRecovery },
    ...{ cancelRequests: cancels, needVerdict, droppedReports: 0 },
  }
  const grants = rate.idle ? undefined : jobs.map(({ claim }) => claim?.grant ?? 0)
  const counted = (grants ?? []).map(grant => (grant > 0 ? (rate.countsAt(grant) ?? -Infinity) : Infinity))
  const nextLookExact = blocked !== undefined && blocked.until <= lookAt
  return {
    claimed: columnsOf(jobs),
    ...{
      grants,
      endedUnrun,
      nextLookExact,
      sharedPaused: queue.held,
      rules: queue.rate.rules,
      counts: countsOf(queue),
    },
    graceUntil: Math.min(...counted),
    nextLookAt: nextLookExact ? blocked.until : lookAt,
    limited: blocked && { rule: blocked.rule, until: wall + blocked.until - now },
    notices: isSome ? notices : undefined,
  }
}
