/**
 * Finds by a walk over all jobs of a queue: a list, a position, the jobs that come due, are forgotten or are claimed. A
 * store with indexes finds them by statements, for which this is the reference.
 * test/flow/differential.test.ts holds the stores together.
 */
import type { KeyReport, StateCounts } from '../../../lib/backlog.ts'
import { maxClaimed, maxPruned } from '../../../lib/decisions/bounds.ts'
import { isWaiting } from '../../../lib/decisions/command-states.ts'
import { dueCheckAt, dueOf } from '../../../lib/decisions/due.ts'
import { inOrderOfStart, listOrder } from '../../../lib/decisions/order.ts'
import { inOrderOfSuspects } from '../../../lib/decisions/suspects.ts'
import { tagOnArrival } from '../../../lib/limits/fairness.ts'
import { heldUntil } from '../../../lib/limits/hold.ts'
import { keyless } from '../../../lib/limits/keys.ts'
import type { Scope } from '../../../lib/limits/limit.ts'
import { Admission, claimFacts, grantOfCharges } from '../execute/admission.ts'
import { claimAmongSuspects, claimEach, type JobClaim } from '../execute/claim.ts'
import { claimInTurns, type JobsInTurn, type KeyInTurn, KeysInTurn } from '../execute/claim-in-turns.ts'
import { ClaimReply } from '../execute/claim-reply.ts'
import type { Claimed, LoggedReply } from '../execute/exchange.ts'
import { countedUntil } from '../execute/grants.ts'
import type { LimitStore } from '../execute/limit-store.ts'
import { unrun } from '../execute/moves.ts'
import type { QueueState } from '../execute/queue-state.ts'
import type { Claimant, SuspectLine } from '../execute/suspect-line.ts'
import type { ExchangeRequest, JobRow, ListReply, ListRequest } from '../store.ts'
import { becomesUnderway, claimedExtras, ends, rowOfJob, type StoredJob, waits } from './stored-job.ts'

type Jobs = readonly StoredJob[]

export function countsOf(jobs: Jobs, forgotten: Readonly<StateCounts>): StateCounts {
  const counts = { ...forgotten }
  for (const { state } of jobs) counts[state]++
  return counts
}
export function countsOfKey(jobs: Jobs, key: string): Pick<KeyReport, 'pending' | 'delayed' | 'underway'> {
  const of = (state: 'pending' | 'delayed' | 'underway'): number =>
    jobs.filter(job => job.state === state && job.key === key).length
  return { pending: of('pending'), delayed: of('delayed'), underway: of('underway') }
}
/** `start`: the position behind which the list continues. */
export function listOf(jobs: Jobs, { state, key, limit }: ListRequest, start: ListReply['next']): ListReply {
  const order = listOrder(state)
  const fits = (job: StoredJob): boolean =>
    (state ?? job.state) === job.state && (key ?? job.key) === job.key && (!start || order(start, job) < 0)
  const rows = jobs.filter(fits).sort(order).slice(0, limit).map(rowOfJob)
  return { rows, next: rows.length === limit ? rows.at(-1) : undefined }
}
/** The jobs that wait, in the order of start. */
export function waitingJobs(jobs: Jobs, key?: string): StoredJob[] {
  return jobs.filter(job => isWaiting(job.state) && (key ?? job.key) === job.key).sort(inOrderOfStart)
}
/** The next key that has jobs which wait or run, or is among `others`. */
export function nextKey(jobs: Jobs, others: Iterable<string>, after: string): string | undefined {
  const present = jobs.filter(({ state }) => isWaiting(state) || state === 'underway')
  return [...present.flatMap(({ key }) => key ?? []), ...others].sort().find(key => key > after)
}
/** The runs to cancel of which their queue is notified with this exchange. */
export function cancelsToReport(jobs: Jobs): LoggedReply['cancelRequests'] {
  return jobs.flatMap(job => {
    const { seq, cancel } = job
    if (!cancel || cancel.notified) return []
    job.cancel = { ...cancel, notified: true }
    return { seq, reason: cancel.reason ?? undefined }
  })
}
/** Requests the verdicts that no exchange has requested. */
export function requestVerdicts(jobs: Jobs, exchange: number): JobRow[] {
  for (const job of jobs) if (job.awaitingVerdict && job.exchange === 0) job.exchange = exchange
  return verdictsRequestedIn(jobs, exchange)
}
export function verdictsRequestedIn(jobs: Jobs, exchange: number): JobRow[] {
  return jobs.filter(job => job.exchange === exchange && job.awaitingVerdict).map(rowOfJob)
}
/** How many jobs start before this one: of its key where keys take turns, of suspects if it is one. */
export function startBefore(jobs: Jobs, job: StoredJob, isSorted: boolean): number {
  const isInLine = ({ key, aside }: StoredJob): boolean => (isSorted && job.crashes === 0 ? key === job.key : !aside)
  const isComparable = ({ state, crashes }: StoredJob): boolean =>
    state === 'pending' && crashes > 0 === job.crashes > 0
  return jobs.filter(other => isComparable(other) && isInLine(other) && inOrderOfSuspects(other, job) < 0).length
}

/** Jobs that came due become pending, and those of keys no longer held may be claimed. Returns that none are left. */
export function makeReady(jobs: Jobs, heldKeys: Map<string, number>, now: number, wall: number): boolean {
  for (const [key, until] of heldKeys) if (until <= now) heldKeys.delete(key)
  for (const job of jobs) {
    if (job.aside) job.aside = heldKeys.has(job.key as string)
    if (job.state === 'delayed' && !dueOf(job, now, wall)) waits(job, now)
  }
  return false
}
/** When the next job comes due, or the next hold of a key ends that has jobs. */
export function nextLook(jobs: Jobs, heldKeys: ReadonlyMap<string, number>, now: number, wall: number): number {
  const looks = jobs.map(job => {
    if (job.aside) return heldKeys.get(job.key as string) ?? Infinity
    const due = job.state === 'delayed' ? dueOf(job, now, wall) : undefined
    return due ? dueCheckAt(due, now, wall) : Infinity
  })
  return looks.reduce((next, at) => Math.min(next, at), Infinity)
}
/** The ended jobs to forget in an exchange in which so many ended: those that are kept no longer, and those too many. */
export function jobsToForget(jobs: Jobs, { most }: QueueState['keep'], justEnded: number, now: number): StoredJob[] {
  const ended = jobs.filter(({ state }) => state !== 'underway' && !isWaiting(state))
  ended.sort((a, b) => a.forgetAt - b.forgetAt)
  const isOver = ({ forgetAt }: StoredJob, i: number): boolean => forgetAt <= now || ended.length - i > most
  return ended.filter(isOver).slice(0, maxPruned + justEnded)
}

/** The fields of its queue that a claim changes, besides jobs. */
export interface ClaimedQueue extends QueueState {
  /** The virtual clock of its keys, and the tags of those that have jobs which wait (lib/limits/fairness.ts). */
  keyClock: number
  readonly tags: Map<string, number>
  readonly heldKeys: ReadonlyMap<string, number>
}
/** The settings and facts of a key at an instant. */
export interface KeyNow extends Scope {
  readonly name: string
  readonly weight: number
}
export interface ClaimFrom<Queue> {
  readonly limits: LimitStore<Queue, KeyNow>
  readonly worker: string
  readonly line: SuspectLine
  /** The jobs of this worker, in all queues. */
  readonly here: Jobs
  /** Whether bodies run in this process whose end will not be reported to it. */
  readonly hasOtherBodies: boolean
  /** The job has ended, because it can never start. */
  ended(job: StoredJob, isForgotten: boolean): void
}

/** The reply to the claim of that exchange, made again of its jobs that this worker still holds. */
export function replayClaim<Queue extends QueueState>(
  owned: Jobs,
  exchange: number,
  limits: LimitStore<Queue, KeyNow>,
  queue: Queue,
): Claimed {
  const reply = new ClaimReply(claimFacts(limits, queue, { now: 0 }, Infinity))
  const claimed = owned.filter(job => job.exchange === exchange && !job.awaitingVerdict).sort(inOrderOfStart)
  for (const job of claimed) reply.take(job, job, job.key ?? null, claimedExtras(job), job.grant)
  return reply.reply(Math.min(...claimed.map(({ grant }) => countedUntil(limits, queue, grant))))
}

/** Claims jobs of the queue, which it changes, up to `room`. */
export function claimFrom<Queue extends ClaimedQueue>(
  jobs: Jobs,
  store: ClaimFrom<Queue>,
  queue: Queue,
  request: ExchangeRequest,
  room: number,
  endedUnrun: JobRow[],
): Claimed {
  const { limits, line, worker } = store
  const { now, number, mayLaunch } = request
  const isSorted = queue.keysVersion > 0
  const facts = claimFacts(limits, queue, request, queue.sharedPaused ? 0 : Math.min(room, maxClaimed))
  const reply = new ClaimReply(facts)
  const admission = new Admission(limits, queue, facts, isSorted ? undefined : queue.heldKeys)
  const pending = jobs.filter(({ state }) => state === 'pending').sort(inOrderOfStart)
  const suspects = pending.filter(({ crashes }) => crashes > 0).sort(inOrderOfSuspects)
  const others = pending.filter(({ crashes, aside }) => crashes === 0 && !aside)
  const running = store.here.filter(({ awaitingVerdict }) => !awaitingVerdict)
  const suspectHere = running.find(({ crashes, abandoned }) => crashes > 0 && !abandoned)
  line.noteRun(suspectHere)
  const claimant: Claimant = {
    ...{ queue: queue.queueId, now, running: suspectHere, nothingUnderway: () => running.length === 0 },
    canDrain: () => !store.hasOtherBodies && running.every(({ abandoned }) => !abandoned),
  }
  const suspectsIn = (from: number, below: number): StoredJob[] =>
    suspects.filter(({ state, aside, crashes }) => state === 'pending' && !aside && crashes >= from && crashes < below)
  const keyOf = ({ key }: StoredJob): KeyNow | undefined =>
    isSorted && key !== undefined ? limits.keyNow(queue, key, now) : undefined
  const claim: Claim = {
    reply,
    pending: () => pending.length - reply.taken,
    obstacle: (job, ofKey = keyOf(job)) => admission.obstacle(job.key, job.cost, ofKey),
    take: (job, alone, ofKey = keyOf(job)) => {
      const grant = grantOfCharges(job.key, admission.charge(job.cost, ofKey))
      becomesUnderway(job, { worker, exchange: number, grant, alone })
      reply.take(job, job, job.key ?? null, claimedExtras(job), grant)
      if (job.crashes > 0) line.took(queue.queueId, job)
    },
    passOver: (job, obstacle) => {
      if (obstacle.kind === 'keyWaits') job.aside = !isSorted
      if (obstacle.kind !== 'fails') return
      const isForgotten = ends(job, unrun('failed', obstacle.error), queue.keep, now)
      endedUnrun.push(rowOfJob(job))
      store.ended(job, isForgotten)
    },
  }
  claimAmongSuspects(claim, {
    ...{
      line,
      claimant,
      mayLaunch: mayLaunch && !queue.sharedPaused,
      suspectRoom: request.suspectRoom,
      crashLimit: queue.crashLimit,
      suspects: suspectsIn,
    },
    waitsSince: from => {
      const since = suspectsIn(from, Infinity).map(job => job.since)
      return since.length > 0 ? Math.min(...since) : undefined
    },
    isBefore: suspect => {
      const next = isSorted ? nextInTurn(others, limits, queue, claim) : others[0]
      const ofKey = isSorted ? others.find(({ key }) => key === suspect.key) : undefined
      return [next, ofKey].every(other => !other || inOrderOfStart(suspect, other) < 0)
    },
    claimOthers: () => {
      if (isSorted) claimByKey(others, limits, queue, claim)
      else claimEach(claim, others)
    },
  })
  if (reply.room > 0 && !isSorted) reply.blocked = firstHold(jobs, queue.heldKeys)
  reply.isPartial = !reply.blocked && reply.taken === maxClaimed && claim.pending() > 0
  return reply.reply(facts.isRated ? now + facts.graceMs : Infinity)
}

/** The hold of a key that ends first, of those that hold back jobs. */
function firstHold(jobs: Jobs, heldKeys: ReadonlyMap<string, number>): ClaimReply['blocked'] {
  const keys = new Set(jobs.filter(({ aside }) => aside).map(({ key }) => key))
  const [first] = [...heldKeys].filter(([key]) => keys.has(key)).sort(([, a], [, b]) => a - b)
  return first && { ...heldUntil(first[1]), key: first[0] }
}

interface Claim extends JobClaim<StoredJob> {
  obstacle(job: StoredJob, ofKey?: KeyNow): ReturnType<JobClaim<StoredJob>['obstacle']>
  take(job: StoredJob, alone: boolean, ofKey?: KeyNow): void
}
interface KeyOfClaim extends KeyInTurn {
  readonly name: string
  readonly jobs: StoredJob[]
}

/** The keys that have jobs, in their turns. A key that has got jobs since the last claim gets a tag. */
function keysInTurn<Queue extends ClaimedQueue>(
  waiting: Jobs,
  limits: LimitStore<Queue, KeyNow>,
  queue: Queue,
  now: number,
): { readonly inTurn: KeysInTurn<KeyOfClaim>; readonly keys: readonly KeyOfClaim[] } {
  const jobsOf = new Map<string, StoredJob[]>()
  for (const job of waiting) jobsOf.set(job.key ?? keyless, [...(jobsOf.get(job.key ?? keyless) ?? []), job])
  const inTurn = new KeysInTurn<KeyOfClaim>(queue, queue.keys?.order === 'fair')
  const keys = [...jobsOf].map(([name, jobs]): KeyOfClaim => {
    const ofKey = limits.keyNow(queue, name, now)
    const [{ priority, seq }] = jobs as [StoredJob]
    const tag = inTurn.isFair ? (queue.tags.get(name) ?? tagOnArrival(queue.keyClock, ofKey.weight)) : priority
    return { ...ofKey, jobs, tag, tie: seq, at: -1 }
  })
  for (const key of keys) inTurn.add(key)
  return { inTurn, keys }
}

/** The job that is next, of keys that no limit of theirs holds up. */
function nextInTurn<Queue extends ClaimedQueue>(
  waiting: Jobs,
  limits: LimitStore<Queue, KeyNow>,
  queue: Queue,
  claim: Claim,
): StoredJob | undefined {
  const { inTurn } = keysInTurn(waiting, limits, queue, claim.reply.facts.now)
  for (let key = inTurn.next; key; key = inTurn.next) {
    const job = key.jobs[0] as StoredJob
    if (claim.obstacle(job, key)?.kind !== 'keyWaits') return job
    inTurn.leaves(key)
  }
  return undefined
}

/** Keys without jobs lose their tags. */
function claimByKey<Queue extends ClaimedQueue>(
  waiting: Jobs,
  limits: LimitStore<Queue, KeyNow>,
  queue: Queue,
  claim: Claim,
): void {
  const { tags } = queue
  const { reply } = claim
  const { inTurn, keys } = keysInTurn(waiting, limits, queue, reply.facts.now)
  for (const name of tags.keys()) if (!keys.some(key => key.name === name)) tags.delete(name)
  let blocked: ClaimReply['blocked']
  const leaves = ({ jobs }: KeyOfClaim): StoredJob | undefined => {
    jobs.shift()
    return jobs[0]
  }
  const taking: JobsInTurn<KeyOfClaim, StoredJob> = {
    inTurn,
    next: () => inTurn.next && { key: inTurn.next, job: inTurn.next.jobs[0] as StoredJob },
    obstacle: (job, key) => claim.obstacle(job, key),
    holdUp: ({ name }, refusal) => {
      if (refusal.until < (blocked?.until ?? Infinity)) blocked = { ...refusal, key: name }
    },
    take: (job, key) => {
      claim.take(job, false, key)
      return leaves(key)
    },
    passOver: (job, key, obstacle) => {
      claim.passOver(job, obstacle)
      return leaves(key)
    },
  }
  claimInTurns(reply, taking, claim.pending)
  if (inTurn.isFair) for (const { name, tag } of keys) tags.set(name, tag)
  if (reply.room > 0) reply.blocked = blocked
}
