/** A claim under a global width: how many slots are free, and which of the processes that wait takes them. */
import type { StateCounts } from '../../../lib/backlog.ts'
import { keepsWaits } from '../../../lib/decisions/waits.ts'
import { freeSlots, planSlots, type SlotWait } from '../../../lib/limits/global-width.ts'
import type { ExchangeRequest } from '../store.ts'
import type { QueueState } from './queue-state.ts'

export interface SlotStore<Queue> {
  /** Identifies this worker among those that wait. */
  readonly worker: SlotWait['worker']
  /**
   * How many bodies run in all workers: of jobs that are underway, except those that await a verdict, and of jobs that
   * ended before their bodies.
   */
  bodies(queue: Queue): number
  /** The workers that wait for a slot of the queue. They are forgotten with the worker, and when its queue is gone. */
  slotWaits(queue: Queue): readonly SlotWait[]
  saveSlotWait(queue: Queue, wait: SlotWait): void
  dropSlotWait(queue: Queue, worker: SlotWait['worker']): void
  counts(queue: Queue): StateCounts
}

/** The result of a claim, as far as it matters here. */
interface Claimed {
  readonly claimed: { readonly seqs: readonly number[] }
  readonly nextLookAt: number
}

/** `wanted`: how many jobs the queue object could start. */
export function claimWithinSlots<Queue extends QueueState, Reply extends Claimed>(
  store: SlotStore<Queue>,
  queue: Queue,
  request: Pick<ExchangeRequest, 'now' | 'mayLaunch' | 'isFull'>,
  wanted: number,
  claim: (room: number) => Reply,
): Reply {
  const { worker } = store
  const { now } = request
  const free = freeSlots(queue.globalWidth, store.bodies(queue))
  const waits = store.slotWaits(queue)
  const plan = planSlots(worker, wanted, free, waits, now)
  for (const passedOver of plan.passedOver) store.dropSlotWait(queue, passedOver.worker)
  for (const wait of plan.keptFor) store.saveSlotWait(queue, { ...wait, keptSince: now })
  const claimed = claim(plan.room)
  const taken = claimed.claimed.seqs.length
  const mine = waits.find(wait => wait.worker === worker)
  if (taken === plan.room && taken < wanted && !queue.sharedPaused && store.counts(queue).pending > 0) {
    if (taken > 0 || !mine) store.saveSlotWait(queue, { worker, since: now, keptSince: undefined })
    // The slot that was kept free for it is gone, because the global width was lowered.
    else if (mine.keptSince !== undefined) store.saveSlotWait(queue, { ...mine, keptSince: undefined })
  } else if (mine && (!keepsWaits({ ...request, room: wanted }) || mine.keptSince !== undefined)) {
    // An exchange that says nothing still gives up a kept slot.
    store.dropSlotWait(queue, worker)
  }
  return { ...claimed, nextLookAt: Math.min(claimed.nextLookAt, plan.nextLookAt) }
}
