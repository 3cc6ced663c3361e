/**
 * The global width: how many jobs of a name may be underway in all processes together. A body that goes on after its job
 * has ended counts until it ends.
 *
 * It is the limit of width (width.ts) for the name as a scope. The answer is the same for all jobs of the name, so a
 * claim checks once how many slots are free, not for each job.
 *
 * Where several processes want more slots than there are, they take turns. A process may take the slots that it frees
 * itself for a second, because handing each of them over would leave it empty until the other process has noticed. A
 * process that has waited for longer, or has had nothing for longer, comes first: slots are kept free for it. So each
 * process that waits gets the next slot that becomes free after a second, behind those that have waited longer.
 */

/** How many more bodies may run. None if the width was lowered below those that run. */
export function freeSlots(width: number, underway: number): number {
  return Math.max(width - underway, 0)
}

/** For how long a process may take slots although another one waits. */
export const turnMs = 1_000
/** For how long a slot is kept free. A process that is blocked or stopped may not come for it. */
export const keptFreeMs = 1_000

/** A process that could start more jobs than it had slots for. */
export interface SlotWait {
  readonly worker: number | string
  /** Since when it waits, or the instant at which it took its last slot. */
  readonly since: number
  /** Since when a slot is kept free for it; undefined: none is. */
  readonly keptSince: number | undefined
}

export interface SlotPlan {
  /** How many slots the process may take. */
  readonly room: number
  /** Processes for which slots are kept free from now on. */
  readonly keptFor: readonly SlotWait[]
  /** Processes that did not come for the slot that was kept free for them. They no longer wait. */
  readonly passedOver: readonly SlotWait[]
  /** When to look again, because slots are kept free for others. */
  readonly nextLookAt: number
}

/** How many of the free slots a process may take, of the `wanted` ones, if these processes wait. */
export function planSlots(
  worker: SlotWait['worker'],
  wanted: number,
  free: number,
  waits: readonly SlotWait[],
  now: number,
): SlotPlan {
  const others = waits.filter(wait => wait.worker !== worker)
  const passedOver = others.filter(({ keptSince = Infinity }) => keptSince + keptFreeMs <= now)
  const longest = others.filter(wait => wait.since + turnMs <= now && !passedOver.includes(wait)).sort(byWait)
  const mine = waits.find(wait => wait.worker === worker)
  const before = longest.filter(wait => mine === undefined || byWait(wait, mine) < 0).length
  // A process whose turn it is takes one slot before the others, and what they leave.
  const mayTake = free > before ? Math.max(free - longest.length, 1) : 0
  const room = Math.min(wanted, mayTake)
  if (room === Math.min(wanted, free)) return { room, keptFor: [], passedOver, nextLookAt: Infinity }
  const kept = longest.slice(0, free - room)
  const nextLookAt = Math.min(...kept.map(({ keptSince = now }) => keptSince + keptFreeMs))
  return { room, keptFor: kept.filter(({ keptSince }) => keptSince === undefined), passedOver, nextLookAt }
}

/** The one that has waited for longest comes first. Two never take each other for the first. */
function byWait(a: SlotWait, b: SlotWait): number {
  return a.since - b.since || (a.worker < b.worker ? -1 : 1)
}
