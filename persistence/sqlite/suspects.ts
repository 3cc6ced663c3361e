/**
 * Suspects: jobs that were underway when their process died, until they end. Any of them may have been the cause.
 *
 * A worker (a process that has the file open) runs at most one of them at a time, over all its queues, beside other jobs. One
 * that the next crash would fail runs alone: nothing else is underway in the process. So whatever is condemned was the only
 * one that can have been the cause. Who waits, and for how long, is in the file; what this worker runs is in its underway rows,
 * and kept here so that claims cost nothing while there are no suspects.
 */
import { alone, type Caution, reportedFirst } from '../../lib/launches.ts'
import type { SqliteDatabase, SqliteStatement } from './database.ts'
import type { Name } from './names.ts'
import { inDoubt, unsure } from './schema.ts'

/** A suspect that has waited for so long goes before other jobs; and for one that runs alone a busy worker drains. */
export const patienceMs = 300_000
/** After its second crash a suspect lets other jobs go first for so long, and after each further one for twice as long. */
const restMs = 1_000
/** How long a worker keeps itself empty for a job of another queue, which is told and may not answer. */
const yieldMostMs = 1_000
/** How soon a queue that was given nothing because of a suspect looks again, though it is told of the end. */
const lookAgainMs = 250
/** A process in which a job could not run alone, because of bodies that the file does not know, tries again after so long. */
const crowdedMs = 10_000

/** What is asked of the launch of a claimed job. */
export function cautionOf(crashes: number, flags: number, runsAlone: boolean): Caution | undefined {
  if (runsAlone) return alone
  return crashes > 0 || (flags & unsure) !== 0 ? reportedFirst : undefined
}
/** In the column `alone` of rdq_underway: its queue has stopped without waiting for the body, whose end nobody notices. */
const abandoned = 2

/** From so many crashes on a job runs alone: the next one fails it. */
export function aloneFrom({ crashLimit }: Name): number {
  return Math.max(crashLimit - 1, 1)
}

/** Where a suspect stands. */
export interface Standing {
  readonly crashes: number
  readonly since: number
}
interface Underway {
  readonly queue: number
  readonly seq: number
  readonly fence: number
  readonly alone: boolean
}
/** What a queue of this process would start if the worker were free for it. */
interface Waiting {
  /** Since when the longest of those waits that are to run alone. */
  readonly aloneSince: number | undefined
  /** The first of the others. */
  readonly first: Standing | undefined
  /** Since when this worker keeps itself empty for it. */
  yieldedAt: number | undefined
}

export class Suspects {
  readonly #worker: number
  /** The one that is underway in this worker; undefined while it is to be looked up. */
  #underway: Underway | undefined | null
  /** What waits in the queues of this process, by their numbers: as of the last turn of each. */
  readonly #line = new Map<number, Waiting>()
  #crowdedUntil = -Infinity
  /** Whether a body is abandoned; undefined while it is to be looked up. */
  #abandons: boolean | undefined
  #wakes = false
  readonly #find: SqliteStatement
  readonly #isUnderway: SqliteStatement
  readonly #runs: SqliteStatement
  readonly #nextQueue: SqliteStatement
  readonly #closing: SqliteStatement
  readonly #abandon: SqliteStatement
  readonly #isAbandoned: SqliteStatement

  constructor(db: SqliteDatabase, worker: number) {
    this.#worker = worker
    // Those of whom somebody is asked have no body.
    const held = `rdq_underway where worker = ? and flags & ${inDoubt} = 0`
    this.#find = db
      .prepare(`select queue, seq, fence, alone from ${held} and crashes > 0 and alone < ${abandoned} limit 1`)
      .raw()
    this.#isUnderway = db.prepare(`select 1 from ${held} and queue = ? and seq = ? and fence = ?`)
    this.#runs = db.prepare(`select 1 from ${held} limit 1`)
    this.#nextQueue = db.prepare(`select min(queue) from rdq_underway where worker = ? and queue > ?`).pluck()
    this.#closing = db.prepare('select 1 from rdq_closing where worker = ? limit 1')
    this.#abandon = db.prepare(`
      update rdq_underway set alone = ${abandoned} where worker = ? and queue = ? and flags & ${inDoubt} = 0`)
    this.#isAbandoned = db.prepare(`select 1 from ${held} and alone = ${abandoned} limit 1`)
  }

  // Questions.
  /** There is none that this queue has to think of. */
  quiet(name: Name): boolean {
    return name.suspects === 0 && this.#underway === null && this.#line.size === 0
  }
  /** The suspect that this worker runs. */
  get underway(): Underway | undefined {
    const known = this.#underway
    if (known === undefined) {
      const [queue, seq, fence, runsAlone] = (this.#find.get(this.#worker) as number[] | undefined) ?? []
      this.#underway = queue === undefined ? null : ({ queue, seq, fence, alone: runsAlone === 1 } as Underway)
    } else if (known && !this.#isUnderway.get(this.#worker, known.queue, known.seq, known.fence)) {
      this.#underway = null
      this.#wakes = true
    }
    return this.#underway ?? undefined
  }
  /** Whether nothing else starts in this worker, because a suspect runs alone. */
  get holdsUp(): boolean {
    return this.#underway?.alone === true
  }
  /** Whether nothing is underway in this worker. */
  get empty(): boolean {
    return this.#runs.get(this.#worker) === undefined
  }
  /**
   * Whether this worker can come to be empty: no body runs whose job has ended, nor one of a queue that was stopped before it,
   * for nobody can say when such a one ends.
   */
  canEmpty(now: number, isWorked: (queue: number) => boolean): boolean {
    if (now < this.#crowdedUntil || this.#closing.get(this.#worker) || this.#hasAbandoned()) return false
    for (let queue = -1; ; ) {
      const next = this.#nextQueue.get(this.#worker, queue) as number | null
      if (next === null) return true
      if (!isWorked(next)) return false
      queue = next
    }
  }
  #hasAbandoned(): boolean {
    if (this.#abandons !== false) this.#abandons = this.#isAbandoned.get(this.#worker) !== undefined
    return this.#abandons
  }
  /** Whether one that is to run alone has waited for so long in one of the queues of this process that the worker drains. */
  drains(now: number): boolean {
    for (const { aloneSince = Infinity } of this.#line.values()) if (now - aloneSince >= patienceMs) return true
    return false
  }
  /** Whether a job that is to run alone waits in that queue, as of its last turn that could take one. */
  waitsAlone({ queue }: Name): boolean {
    return this.#line.get(queue)?.aloneSince !== undefined
  }
  /** Whether a worker that is empty is to stay so for a job of another of its queues, which is to run alone. */
  yields(name: Name, now: number): boolean {
    for (const [queue, waiting] of this.#line) {
      if (queue === name.queue || waiting.aloneSince === undefined) continue
      if (this.#yieldsTo(queue, waiting, now)) return true
    }
    return false
  }
  /** Whether the suspect of another queue of this process comes before this one. */
  isBehind(name: Name, { crashes, since }: Standing, now: number): boolean {
    for (const [queue, waiting] of this.#line) {
      const { first } = waiting
      if (queue === name.queue || !first) continue
      if (first.crashes > crashes || (first.crashes === crashes && first.since >= since)) continue
      if (this.#yieldsTo(queue, waiting, now)) return true
    }
    return false
  }
  /** That queue is told once that it may go. Where it does not come, the others go on without it. */
  #yieldsTo(queue: number, waiting: Waiting, now: number): boolean {
    if (waiting.yieldedAt === undefined) this.#wakes = true
    waiting.yieldedAt ??= now
    if (now - waiting.yieldedAt < yieldMostMs) return true
    this.#line.delete(queue)
    return false
  }
  /** When a queue that was given nothing looks again. */
  lookAgain(now: number): number {
    return now + lookAgainMs
  }
  /** Until when nothing is tried alone here, because other bodies were found; undefined where it may be. */
  crowdedUntil(now: number): number | undefined {
    return now < this.#crowdedUntil ? this.#crowdedUntil : undefined
  }

  // Commands.
  took(underway: Underway): void {
    this.#underway = underway
    this.#line.delete(underway.queue)
  }
  /** What waits in that queue, as far as the worker is not free for it. */
  waits(name: Name, aloneSince: number | undefined, first: Standing | undefined): void {
    if (aloneSince === undefined && first === undefined) this.#line.delete(name.queue)
    else this.#line.set(name.queue, { aloneSince, first, yieldedAt: undefined })
  }
  /** That queue starts nothing at present. */
  leaves(queue: number): void {
    if (this.#line.delete(queue)) this.#wakes = true
  }
  /**
   * That queue is gone, and with it what held up others. Bodies that it has abandoned run beside whatever starts: none of them
   * counts as alone, and nobody waits for them.
   */
  stops(queue: number, abandons: boolean): void {
    const freed = abandons && this.#abandon.run(this.#worker, queue).changes > 0
    if (freed) this.forget()
    const waited = this.#line.delete(queue)
    if (freed || waited || this.#line.size > 0) this.#wakes = true
  }
  /** One that was to run alone has found other bodies in the process. */
  crowded(now: number): void {
    this.#crowdedUntil = now + crowdedMs
  }
  /** What is underway has changed in another way than by a turn: a rollback, say. */
  forget(): void {
    this.#underway = this.#abandons = undefined
  }
  /** Whether other queues of this process are to look now. */
  wakes(): boolean {
    const wakes = this.#wakes
    this.#wakes = false
    return wakes
  }
}

/** Whether a suspect lets the other jobs of its queue go first, whatever their place. */
export function rests({ crashes, since }: Standing, now: number): boolean {
  if (crashes < 2) return false
  return now - since < Math.min(restMs * 2 ** (crashes - 2), patienceMs)
}
