/** A place where a process runs or may be started, and the jobs that were given out there. */
import type { DispatchQueue } from '../../lib/index.ts'
import type { SimulatedProcess } from '../../testing/simulated/process.ts'
import type { Command, Script } from './plan.ts'

export type Queue = DispatchQueue<Script, string>

/** Where a process is, or may be started. */
export class Place {
  readonly who: number
  process: SimulatedProcess | undefined
  /** The queue object that was made last, stopped or not, and the name of its life in the history. */
  queue: Queue | undefined
  life = ''
  /** All lives in the process that is there now. */
  lives: string[] = []
  /** Armed, and not fired yet. */
  armed: Extract<Command, { do: 'at point' }>[] = []
  stopping = false
  works = false
  /** Its queue has its backlog. */
  opened = false
  /** A stop has given up bodies of this process. */
  abandons = false
  /** A rate or a shared pause was set that the file has not taken over yet. */
  asksShared = false

  constructor(who: number) {
    this.who = who
  }
}

/** What somebody was given, and what became of it. */
export interface Given {
  readonly what: string
  readonly life: string
  settled: boolean
}
