/**
 * The jobs that may start, in order of (priority, order of put).
 *
 * Within one priority most jobs arrive in that order already. So each priority has a lane, which is a ring, and the
 * lanes are sorted by priority. A job that comes back and must precede the last of its lane goes into a heap instead;
 * so do jobs of further priorities once there are very many lanes. The more important of the two heads is next.
 */

import { inOrderOfStart } from '../../lib/decisions/order.ts'
import type { JobRecord } from '../../lib/job.ts'
import type { PlainJobs } from '../../lib/put/plain-jobs.ts'
import { Heap } from './heap.ts'
import { inRing, Ring } from './ring.ts'

/**
 * A lane costs some hundred bytes, and sorting in one more takes time. From this number of lanes on, the heap is
 * cheaper.
 */
const maxLanes = 4_096

interface Lane {
  readonly priority: number
  readonly jobs: Ring
}

export class Ready {
  /** Most often not needed, so not there: each key has a `Ready` of its own. */
  #heap: Heap | undefined
  #byPriority: Map<number, Lane> | undefined
  /**
   * Least important first, so that the most important lane is last. An empty lane is removed when it becomes the last.
   */
  readonly #lanes: Lane[] = []
  /** The lane used last: the next job most often belongs to it too. */
  #near: Lane | undefined
  #inLanes = 0

  get size(): number {
    return (this.#heap?.size ?? 0) + this.#inLanes
  }
  push(job: JobRecord): void {
    const lane = this.#lane(job.priority)
    if (!lane || lane.jobs.lastSeq > job.seq) return this.#ensureHeap().push(job, job.priority)
    lane.jobs.push(job)
    this.#inLanes++
  }
  /** Adds new jobs of one priority, in order of put. */
  pushAll(jobs: readonly JobRecord[], priority: number): void {
    const lane = this.#lane(priority)
    if (!lane) return jobs.forEach(job => void this.#ensureHeap().push(job, priority))
    lane.jobs.pushAll(jobs)
    this.#inLanes += jobs.length
  }
  /** Adds plain jobs. Their priority is 0, for which a lane can always be created. */
  pushPlain(jobs: PlainJobs): void {
    ;(this.#lane(0) as Lane).jobs.pushPlain(jobs)
    this.#inLanes += jobs.length
  }
  /** The next job; it is not removed. */
  get first(): JobRecord | undefined {
    const inLane = this.#firstLane()?.jobs.first
    const inHeap = this.#heap?.first
    if (inHeap === undefined || inLane === undefined) return inLane ?? inHeap
    return inOrderOfStart(inHeap, inLane) < 0 ? inHeap : inLane
  }
  /** Any job: the most important one. */
  get any(): JobRecord | undefined {
    return this.first
  }
  remove(job: JobRecord): void {
    if (!inRing(job)) return this.#heap?.remove(job)
    const lane = this.#lane(job.priority) as Lane
    lane.jobs.remove(job)
    this.#inLanes--
  }
  /** How many jobs start before this one, or would. */
  before(job: JobRecord): number {
    const { priority, seq } = job
    let count = 0
    for (const other of this.#heap?.jobs() ?? []) if (inOrderOfStart(other, job) < 0) count++
    for (const lane of this.#lanes) {
      if (lane.priority < priority) count += lane.jobs.size
      else if (lane.priority === priority) count += lane.jobs.before(seq)
    }
    return count
  }
  /** All jobs, in no order. */
  *[Symbol.iterator](): Generator<JobRecord> {
    yield* [...(this.#heap?.jobs() ?? [])]
    for (const lane of this.#lanes) yield* lane.jobs
  }
  /** The lane of that priority, created if the number of lanes allows it. */
  #lane(priority: number): Lane | undefined {
    const near = this.#near
    if (near !== undefined && near.priority === priority) return near
    let lane = this.#find(priority)
    if (!lane) {
      if (this.#lanes.length >= maxLanes && priority !== 0) return undefined
      lane = { priority, jobs: new Ring() }
      this.#lanes.splice(this.#rank(priority), 0, lane)
      this.#byPriority?.set(priority, lane)
    }
    this.#near = lane
    return lane
  }
  #find(priority: number): Lane | undefined {
    const lanes = this.#lanes
    if (lanes.length < 2) return lanes[0]?.priority === priority ? lanes[0] : undefined
    if (!this.#byPriority) this.#byPriority = new Map(lanes.map(lane => [lane.priority, lane]))
    return this.#byPriority.get(priority)
  }
  #ensureHeap(): Heap {
    if (!this.#heap) this.#heap = new Heap()
    return this.#heap
  }
  /** The most important lane that contains jobs. */
  #firstLane(): Lane | undefined {
    const lanes = this.#lanes
    let lane = lanes[lanes.length - 1]
    while (lane !== undefined && lane.jobs.size === 0 && lanes.length > 1) {
      lanes.pop()
      this.#byPriority?.delete(lane.priority)
      if (this.#near === lane) this.#near = undefined
      lane = lanes[lanes.length - 1]
    }
    return lane
  }
  /** How many lanes are less important. */
  #rank(priority: number): number {
    let low = 0
    let high = this.#lanes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#lanes[middle] as Lane).priority > priority) low = middle + 1
      else high = middle
    }
    return low
  }
}
