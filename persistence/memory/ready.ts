/**
 * The jobs that may start, in order of (priority, order of put).
 *
 * Within one priority most jobs arrive in that order already. So each priority has a lane, which is a ring, and the
 * lanes are sorted by priority. A job that comes back and must precede the last of its lane goes into a heap instead;
 * so do jobs of further priorities once there are very many lanes. The more important of the two heads is next.
 *
 * The first job of all needs neither until a second one comes.
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

export class Ready {
  /** The first job, until a second one comes: each key has a `Ready` of its own, and many keys have one job. */
  #only: JobRecord | undefined
  /** The lane used last: the next job most often belongs to it too. Without `lanes` it is the only one. */
  #near: Ring | undefined
  /**
   * Several lanes, least important first, so that the most important lane is last. An empty lane is removed when it
   * becomes the last.
   */
  #lanes: Ring[] | undefined
  #inLanes = 0
  /** Most often not needed, so not there. */
  #heap: Heap | undefined
  #byPriority: Map<number, Ring> | undefined

  get size(): number {
    return (this.#only ? 1 : 0) + (this.#heap?.size ?? 0) + this.#inLanes
  }
  /** Whether jobs have waited in more than one lane. Their space is not given back. */
  get hasLanes(): boolean {
    return this.#lanes !== undefined || this.#heap !== undefined
  }
  push(job: JobRecord): void {
    if (!this.#near && !this.#lanes) {
      if (!this.#only) {
        this.#only = job
        return
      }
      this.#open()
    }
    const lane = this.#lane(job.priority)
    if (!lane || lane.lastSeq > job.seq) return this.#ensureHeap().push(job, job.priority)
    lane.push(job)
    this.#inLanes++
  }
  /** Adds new jobs of one priority, in order of put. */
  pushAll(jobs: readonly JobRecord[], priority: number): void {
    this.#open()
    const lane = this.#lane(priority)
    if (!lane) return jobs.forEach(job => void this.#ensureHeap().push(job, priority))
    lane.pushAll(jobs)
    this.#inLanes += jobs.length
  }
  /** Adds plain jobs. Their priority is 0, for which a lane can always be created. */
  pushPlain(jobs: PlainJobs): void {
    this.#open()
    ;(this.#lane(0) as Ring).pushPlain(jobs)
    this.#inLanes += jobs.length
  }
  /** The next job; it is not removed. */
  get first(): JobRecord | undefined {
    if (this.#only) return this.#only
    const inLane = this.#firstLane()?.first
    const inHeap = this.#heap?.first
    if (inHeap === undefined || inLane === undefined) return inLane ?? inHeap
    return inOrderOfStart(inHeap, inLane) < 0 ? inHeap : inLane
  }
  /** Any job: the most important one. */
  get any(): JobRecord | undefined {
    return this.first
  }
  remove(job: JobRecord): void {
    if (job === this.#only) {
      this.#only = undefined
      return
    }
    if (!inRing(job)) return this.#heap?.remove(job)
    const lane = this.#lane(job.priority) as Ring
    lane.remove(job)
    this.#inLanes--
  }
  reprioritize(job: JobRecord, priority: number): void {
    this.remove(job)
    job.priority = priority
    this.push(job)
  }
  /** How many jobs start before this one, or would. */
  before(job: JobRecord): number {
    const { priority, seq } = job
    let count = this.#only && inOrderOfStart(this.#only, job) < 0 ? 1 : 0
    for (const other of this.#heap?.jobs() ?? []) if (inOrderOfStart(other, job) < 0) count++
    for (const lane of this.#allLanes()) {
      if (lane.priority < priority) count += lane.size
      else if (lane.priority === priority) count += lane.before(seq)
    }
    return count
  }
  /** All jobs, in no order. */
  *[Symbol.iterator](): Generator<JobRecord> {
    if (this.#only) yield this.#only
    yield* [...(this.#heap?.jobs() ?? [])]
    for (const lane of this.#allLanes()) yield* lane
  }
  /** A second job comes. From now on jobs wait in lanes. */
  #open(): void {
    const only = this.#only
    if (!only) return
    this.#only = undefined
    ;(this.#lane(only.priority) as Ring).push(only)
    this.#inLanes++
  }
  #allLanes(): readonly Ring[] {
    return this.#lanes ?? (this.#near ? [this.#near] : [])
  }
  /** The lane of that priority, created if the number of lanes allows it. */
  #lane(priority: number): Ring | undefined {
    const near = this.#near
    if (near !== undefined && near.priority === priority) return near
    if (!this.#lanes) {
      if (!near) {
        this.#near = new Ring(priority)
        return this.#near
      }
      this.#lanes = [near]
    }
    let lane = this.#find(priority)
    if (!lane) {
      if (this.#lanes.length >= maxLanes && priority !== 0) return undefined
      lane = new Ring(priority)
      this.#lanes.splice(this.#rank(priority), 0, lane)
      this.#byPriority?.set(priority, lane)
    }
    this.#near = lane
    return lane
  }
  #find(priority: number): Ring | undefined {
    const lanes = this.#lanes as Ring[]
    if (lanes.length < 2) return lanes[0]?.priority === priority ? lanes[0] : undefined
    if (!this.#byPriority) this.#byPriority = new Map(lanes.map(lane => [lane.priority, lane]))
    return this.#byPriority.get(priority)
  }
  #ensureHeap(): Heap {
    if (!this.#heap) this.#heap = new Heap()
    return this.#heap
  }
  /** The most important lane that contains jobs. */
  #firstLane(): Ring | undefined {
    const lanes = this.#lanes
    if (!lanes) return this.#near
    let lane = lanes[lanes.length - 1]
    while (lane !== undefined && lane.size === 0 && lanes.length > 1) {
      lanes.pop()
      this.#byPriority?.delete(lane.priority)
      if (this.#near === lane) this.#near = undefined
      lane = lanes[lanes.length - 1]
    }
    return lane
  }
  /** How many lanes are less important. */
  #rank(priority: number): number {
    const lanes = this.#lanes as Ring[]
    let low = 0
    let high = lanes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((lanes[middle] as Ring).priority > priority) low = middle + 1
      else high = middle
    }
    return low
  }
}
