/** A slot in which one process at a time runs, with the state of its latest queue object. */
import type { DispatchQueue } from '../../lib/index.ts'
import type { SimulatedProcess } from '../../testing/simulated/process.ts'
import type { BesideQueue } from './beside.ts'
import type { IsolatesOfLife } from './isolates.ts'
import type { Command, Script } from './plan.ts'

export type Queue = DispatchQueue<Script, string>

/** One of the slots for processes, which may be empty. */
export class ProcessSlot {
  readonly who: number
  process: SimulatedProcess | undefined
  /** The latest queue object until it has stopped, and the name of its life in the history. */
  queue: Queue | undefined
  life = ''
  /** The second queue of the process, until it has stopped. */
  beside: BesideQueue | undefined
  /** The isolates of its queue objects. */
  isolates: IsolatesOfLife[] = []
  /** All lives of queue objects in the present process. */
  lives: string[] = []
  /** Faults that wait for their point. */
  armed: Extract<Command, { do: 'at point' }>[] = []
  stopping = false
  works = false
  /** The backlog of the queue is open. */
  opened = false
  /** A stop has abandoned bodies of this process. */
  abandons = false
  /** A rate or a shared pause was set, and is not known to be stored. */
  requestsShared = false

  constructor(who: number) {
    this.who = who
  }
}

/** A promise that a queue returned. It must settle before the end of the run. */
export interface TrackedPromise {
  readonly what: string
  readonly life: string
  settled: boolean
}
