/**
 * The order of a claim: jobs in their order of start, and before, behind or instead of them the suspects.
 *
 * `suspect-line.ts` decides when suspects are claimed. Where keys take turns, claim-in-turns.ts chooses the other jobs.
 */
import type { SuspectRoom } from '../../../lib/backlog.ts'
import { aloneFrom, precedence, type Standing } from '../../../lib/decisions/suspects.ts'
import type { Obstacle } from './admission.ts'
import type { ClaimReply } from './claim-reply.ts'
import type { Claimant, SuspectLine } from './suspect-line.ts'

/** Why a job is passed over. The job leaves its place, and another one is examined. */
export type PassedOver = Exclude<Obstacle, { readonly kind: 'queueWaits' }>

/** One claim, as far as it examines jobs one after the other. */
export interface JobClaim<Job> {
  readonly reply: ClaimReply
  /** How many jobs of the queue are pending. */
  pending(): number
  obstacle(job: Job): Obstacle | undefined
  /** Charges the job, and adds it to the reply. */
  take(job: Job, alone: boolean): void
  passOver(job: Job, obstacle: PassedOver): void
}

/** Claims jobs in this order, up to the first that a limit of the queue refuses. Returns how many left their place. */
export function claimEach<Job>(claim: JobClaim<Job>, jobs: readonly Job[]): number {
  const { reply } = claim
  let examined = 0
  for (const job of jobs) {
    if (reply.room === 0) break
    const obstacle = claim.obstacle(job)
    if (obstacle?.kind === 'queueWaits') {
      reply.refuse(obstacle, claim.pending())
      break
    }
    examined++
    if (obstacle) claim.passOver(job, obstacle)
    else claim.take(job, false)
  }
  return examined
}

export interface SuspectStore<Suspect extends Standing> {
  readonly line: SuspectLine
  readonly claimant: Claimant
  /** Whether the queue would start jobs if it had room. */
  readonly mayLaunch: boolean
  readonly crashLimit: number
  /** The bodies run in isolates, and suspects follow the rules of these. */
  readonly suspectRoom?: SuspectRoom | undefined
  /** Since when the oldest suspect with at least as many crashes waits. */
  waitsSince(crashes: number): number | undefined
  /** The suspects whose number of crashes is in this range, in their order. */
  suspects(crashes: number, below: number): Iterable<Suspect>
  /**
   * Whether the suspect comes before the other jobs, by priority and seq. Where keys take turns: before the job whose
   * turn it is and before those of its own key. Keys that a limit of theirs holds up are left out.
   */
  isBefore(suspect: Suspect): boolean
  /** Claims jobs that are no suspects. */
  claimOthers(): void
}

/** Claims where there are suspects, in this queue or in another one of the process. */
export function claimAmongSuspects<Suspect extends Standing>(
  claim: JobClaim<Suspect>,
  store: SuspectStore<Suspect>,
): void {
  const { line, claimant, mayLaunch } = store
  const { reply } = claim
  const { queue, now, running } = claimant
  const limit = aloneFrom(store.crashLimit)
  const isEmpty = claim.pending() === 0
  const takes = reply.room > 0 && !isEmpty
  // The job that was to run alone was cancelled, say, or runs elsewhere.
  const isGone = (): boolean => line.waitsAlone(queue) && store.waitsSince(limit) === undefined
  if (!mayLaunch || isEmpty || (!takes && isGone())) line.noteLeft(queue)
  if (!takes) return line.notePassed(claimant)
  if (running?.alone) {
    reply.nextLookAt = line.nextLook(now)
    return
  }
  if (store.suspectRoom) return claimForIsolates(claim, store, store.suspectRoom)
  const lone = firstOf(claim, store.suspects(limit, Infinity))
  // While another suspect runs, this one would not start whatever its limits say, so it holds up no other job.
  const first = firstOf(claim, store.suspects(1, limit), running === undefined)
  const plan = line.plan(claimant, { aloneSince: lone && store.waitsSince(limit), first })
  reply.nextLookAt = plan.nextLookAt
  if (lone && plan.claims === 'alone') claimSuspect(claim, lone, true)
  if (plan.claims !== 'others') return
  const suspect = plan.withFirst ? first : undefined
  const order = suspect && precedence(suspect, now)
  const goesFirst = suspect && (order === 'first' || (order === 'inOrder' && store.isBefore(suspect)))
  if (suspect && goesFirst) claimSuspect(claim, suspect, false)
  if (reply.room > 0) store.claimOthers()
  if (suspect && !goesFirst && reply.room > 0) claimSuspect(claim, suspect, false)
}

/**
 * A suspect ends its isolate, and not this process. So it neither holds up suspects of other queues nor is held up by
 * them; but a job of another queue that runs alone in this process has it for itself.
 */
function claimForIsolates<Suspect extends Standing>(
  claim: JobClaim<Suspect>,
  store: SuspectStore<Suspect>,
  room: SuspectRoom,
): void {
  const { line, claimant, crashLimit } = store
  const { reply } = claim
  const plan = line.plan(claimant, { aloneSince: undefined, first: undefined })
  reply.nextLookAt = plan.nextLookAt
  if (plan.claims !== 'others') return
  const limit = aloneFrom(crashLimit)
  const claimSome = (behind: boolean): void => {
    for (const [from, below, most] of [
      [limit, Infinity, room.alone],
      [1, limit, room.beside],
    ] as const) {
      for (let left = behind ? most - (taken.get(from) ?? 0) : most; left > 0 && reply.room > 0; left--) {
        const suspect = firstOf(claim, store.suspects(from, below))
        if (!suspect) break
        const order = precedence(suspect, claimant.now)
        if (!behind && (order === 'last' || (order === 'inOrder' && !store.isBefore(suspect)))) break
        claimSuspect(claim, suspect, false)
        taken.set(from, (taken.get(from) ?? 0) + 1)
      }
    }
  }
  const taken = new Map<number, number>()
  claimSome(false)
  if (reply.room > 0) store.claimOthers()
  if (reply.room > 0) claimSome(true)
}

/** The first suspect that could start now. `mayRun`: if a limit of the queue refuses it, the queue waits for that. */
function firstOf<Suspect extends Standing>(
  claim: JobClaim<Suspect>,
  suspects: Iterable<Suspect>,
  mayRun: boolean = true,
): Suspect | undefined {
  const { reply } = claim
  for (const suspect of suspects) {
    const obstacle = claim.obstacle(suspect)
    if (!obstacle) return suspect
    if (obstacle.kind === 'queueWaits') {
      const { blocked } = reply
      if (mayRun && (!blocked || obstacle.refusal.until < blocked.until)) reply.refuse(obstacle, claim.pending())
      return undefined
    }
    claim.passOver(suspect, obstacle)
  }
  return undefined
}

function claimSuspect<Suspect extends Standing>(claim: JobClaim<Suspect>, suspect: Suspect, alone: boolean): void {
  // Other jobs that were claimed before it may have used up a limit.
  const obstacle = claim.obstacle(suspect)
  if (!obstacle) return claim.take(suspect, alone)
  if (obstacle.kind === 'queueWaits') claim.reply.refuse(obstacle, claim.pending())
}
