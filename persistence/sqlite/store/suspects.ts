/**
 * The suspects of a file (../../durable/execute/suspect-line.ts), and the one that this worker, a process that has the
 * file open, runs.
 *
 * All of them are in the file. The one that this worker ran at its last claim is remembered here too, so that its end is
 * noticed, and so that claims cost nothing while there are no suspects.
 */
import { SuspectLine } from '../../durable/execute/suspect-line.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow } from '../tables/queue.ts'
import { awaitingVerdict } from '../tables/schema.ts'

/**
 * A value of the column `alone` of rdq_underway: the queue stopped without waiting for the body, and nobody will notice
 * its end.
 */
const abandoned = 2

interface Underway {
  readonly queue: number
  readonly seq: number
  readonly fence: number
  readonly alone: boolean
}
export class Suspects {
  readonly #worker: number
  /** Whether this worker ran no suspect at its last claim; undefined: not known. */
  #noneRuns: boolean | undefined
  readonly line: SuspectLine = new SuspectLine()
  readonly #find: SqliteStatement
  readonly #runs: SqliteStatement
  readonly #nextQueue: SqliteStatement
  readonly #continuingBody: SqliteStatement
  readonly #abandon: SqliteStatement
  readonly #isAbandoned: SqliteStatement

  constructor(db: SqliteDatabase, worker: number) {
    this.#worker = worker
    // Jobs that await a verdict have no body.
    const running = `rdq_underway where worker = ? and flags & ${awaitingVerdict} = 0`
    this.#find = db
      .prepare(`select queue, seq, fence, alone from ${running} and crashes > 0 and alone < ${abandoned} limit 1`)
      .raw()
    this.#runs = db.prepare(`select 1 from ${running} limit 1`)
    this.#nextQueue = db.prepare(`select min(queue) from rdq_underway where worker = ? and queue > ?`).pluck()
    this.#continuingBody = db.prepare('select 1 from rdq_continuing_body where worker = ? limit 1')
    this.#abandon = db.prepare(`
      update rdq_underway set alone = ${abandoned} where worker = ? and queue = ? and flags & ${awaitingVerdict} = 0`)
    this.#isAbandoned = db.prepare(`select 1 from ${running} and alone = ${abandoned} limit 1`)
  }

  // Questions.
  /** Whether there is no suspect that matters to this queue. */
  quiet(queue: QueueRow): boolean {
    return queue.suspects === 0 && this.#noneRuns === true && this.line.isEmpty
  }
  /** The suspect that this worker runs. */
  get underway(): Underway | undefined {
    const [queue, seq, fence, alone] = (this.#find.get(this.#worker) as number[] | undefined) ?? []
    return queue === undefined ? undefined : ({ queue, seq, fence, alone: alone === 1 } as Underway)
  }
  /** Whether nothing else starts in this worker, because a suspect runs alone. */
  get holdsUp(): boolean {
    return this.underway?.alone === true
  }
  /** Whether nothing is underway in this worker. */
  get empty(): boolean {
    return this.#runs.get(this.#worker) === undefined
  }
  /**
   * Whether this worker can become empty. It cannot while a body runs whose job has ended, or whose queue stopped
   * before it, because the end of such a body cannot be known.
   */
  canEmpty(isWorked: (queue: number) => boolean): boolean {
    if (this.#continuingBody.get(this.#worker) || this.#isAbandoned.get(this.#worker)) return false
    for (let queue = -1; ; ) {
      const next = this.#nextQueue.get(this.#worker, queue) as number | null
      if (next === null) return true
      if (!isWorked(next)) return false
      queue = next
    }
  }

  // Commands.
  /**
   * Called before each claim where there are suspects: if the suspect that ran here has ended, other queues are woken.
   */
  noticeEnd(): void {
    const { underway } = this
    this.line.noteRun(underway)
    this.#noneRuns = underway === undefined
  }
  took(underway: Underway): void {
    this.#noneRuns = false
    this.line.took(underway.queue, underway)
  }
  /**
   * Bodies that the queue abandons run beside whatever starts, so no run counts as alone, and nothing waits for them.
   */
  abandon(queue: number): void {
    if (this.#abandon.run(this.#worker, queue).changes === 0) return
    this.forget()
    this.line.wake()
  }
  /** Underway jobs changed by something other than an exchange, such as a rollback. */
  forget(): void {
    this.#noneRuns = undefined
    this.line.forgetRun()
  }
}
