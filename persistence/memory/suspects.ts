/**
 * The suspects of a queue in memory (lib/decisions/crash-outcome.ts): jobs whose isolate ended by itself while they ran.
 * They wait apart from the other jobs, because an isolate runs one of them at a time.
 */
import type { SuspectRoom } from '../../lib/backlog.ts'
import { inOrderOfStart } from '../../lib/decisions/order.ts'
import { aloneFrom, inOrderOfSuspects, precedence } from '../../lib/decisions/suspects.ts'
import type { JobRecord } from '../../lib/job.ts'

/** A suspect that waits, since an instant. */
interface Suspect {
  readonly job: JobRecord
  readonly since: number
}

export class Suspects {
  #waiting: Suspect[] = []

  get size(): number {
    return this.#waiting.length
  }
  has(job: JobRecord): boolean {
    return this.#waiting.some(suspect => suspect.job === job)
  }
  push(job: JobRecord, now: number): void {
    this.#waiting.push({ job, since: now })
  }
  /** Returns whether it was here. */
  remove(job: JobRecord): boolean {
    const before = this.size
    if (before > 0) this.#waiting = this.#waiting.filter(suspect => suspect.job !== job)
    return this.size < before
  }
  /** Any of them. */
  get any(): JobRecord | undefined {
    return this.#waiting[0]?.job
  }
  jobs(): JobRecord[] {
    return this.#waiting.map(({ job }) => job)
  }
  /** How many of them start before this one. */
  before(job: JobRecord): number {
    return this.#waiting.filter(suspect => inOrder(suspect.job, job) < 0).length
  }
  /** The suspects that a claim may take. Without `room` a queue does not run its bodies in isolates, and all may be claimed. */
  candidates(room: SuspectRoom | undefined, crashLimit: number, next: JobRecord | undefined, now: number): Candidates {
    if (this.size === 0) return noCandidates
    const ahead: JobRecord[] = []
    const behind: JobRecord[] = []
    let { alone, beside } = room ?? { alone: Infinity, beside: Infinity }
    for (const { job, since } of [...this.#waiting].sort((a, b) => inOrder(a.job, b.job))) {
      const crashes = crashesOf(job)
      const isAlone = crashes >= aloneFrom(crashLimit)
      if ((isAlone ? alone : beside) === 0) continue
      isAlone ? alone-- : beside--
      const order = precedence({ crashes, since }, now)
      const goesFirst = order === 'first' || (order === 'inOrder' && (!next || inOrderOfStart(job, next) < 0))
      ;(goesFirst ? ahead : behind).push(job)
    }
    return new Candidates(ahead, behind)
  }
}

/** The suspects that a claim may take: some before the other jobs, some behind them. */
export class Candidates {
  readonly #ahead: JobRecord[]
  readonly #behind: JobRecord[]

  constructor(ahead: JobRecord[], behind: JobRecord[]) {
    this.#ahead = ahead.reverse()
    this.#behind = behind.reverse()
  }
  /** The next one, if it goes before `other`, the next of the other jobs. It is given once. */
  next(other: JobRecord | undefined): JobRecord | undefined {
    return this.#ahead.pop() ?? (other === undefined ? this.#behind.pop() : undefined)
  }
}
const noCandidates = new Candidates([], [])

function crashesOf({ extras }: JobRecord): number {
  return extras?.crashes ?? 0
}

function inOrder(a: JobRecord, b: JobRecord): number {
  return inOrderOfSuspects(
    { priority: a.priority, seq: a.seq, crashes: crashesOf(a) },
    { priority: b.priority, seq: b.seq, crashes: crashesOf(b) },
  )
}
