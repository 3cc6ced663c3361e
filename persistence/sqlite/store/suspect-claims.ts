/**
 * Claims jobs where there are suspects, in this queue or in another of the process. ../../durable/execute/suspect-line.ts
 * decides what starts.
 */
import type { SuspectRoom } from '../../../lib/backlog.ts'
import { keyless } from '../../../lib/limits/keys.ts'
import { claimAmongSuspects, type JobClaim, type PassedOver as JobObstacle } from '../../durable/execute/claim.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { KeyTable } from '../tables/key.ts'
import type { UnderwayRows } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import type { RowAdmission } from './admission.ts'
import { type Row, rowColumns } from './claim-row.ts'
import { isBefore, type KeyState, type KeyTurns } from './key-turns.ts'
import type { OpenClaim } from './open-claim.ts'
import type { PassedOver } from './passed-over.ts'
import type { Suspects } from './suspects.ts'

/** More crashes than any job has. */
const maxCrashes = Number.MAX_SAFE_INTEGER

export interface SuspectClaimsParts {
  readonly db: SqliteDatabase
  readonly suspects: Suspects
  readonly readyRanges: ReadyRanges
  readonly keys: KeyTable
  readonly keyTurns: KeyTurns
  readonly underwayRows: UnderwayRows
  readonly passedOver: PassedOver
  /** Whether a queue object of this process has a handler for that name. */
  isWorked(queue: number): boolean
}

/** With the instant since which it waits. */
interface SuspectRow extends Row {
  readonly since: number
}

export class SuspectClaims {
  readonly #parts: SuspectClaimsParts
  readonly #from: SqliteStatement
  readonly #since: SqliteStatement
  readonly #leave: SqliteStatement
  readonly #firstReady: SqliteStatement
  readonly #isBehind: SqliteStatement

  constructor(parts: SuspectClaimsParts) {
    const { db } = parts
    this.#parts = parts
    // The order is that of inOrderOfSuspects (lib/decisions/suspects.ts).
    this.#from = db.prepare(`
      select ${rowColumns}, r.since from rdq_suspect r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? and r.crashes >= ? and r.crashes < ? order by r.crashes, r.priority, r.seq ${limitParameter}`)
    this.#since = db.prepare('select min(since) from rdq_suspect where epoch = ? and crashes >= ?').pluck()
    this.#leave = db.prepare('delete from rdq_suspect where seq = ?')
    this.#isBehind = db.prepare(`
      select 1 from rdq_pending_by_key where epoch = ? and key = ? and (priority, seq) < (?, ?) limit 1`)
    this.#firstReady = db
      .prepare('select priority, seq from rdq_ready where epoch = ? order by priority, seq limit 1')
      .raw()
  }

  /** @param claimOthers Claims jobs that are no suspects. */
  claim(
    claim: OpenClaim,
    admission: RowAdmission,
    { mayLaunch, suspectRoom }: { readonly mayLaunch: boolean; readonly suspectRoom?: SuspectRoom | undefined },
    claimOthers: () => void,
  ): void {
    const { suspects, isWorked } = this.#parts
    const { queue, now } = claim.facts
    // First, because even a queue that claims nothing must notice the end of a run.
    suspects.noticeEnd()
    const each: JobClaim<SuspectRow> = {
      reply: claim,
      pending: () => queue.counts.pending,
      obstacle: row => admission.obstacleOfSuspect(row, this.#keyState(claim, row)),
      take: (row, alone) => this.#take(claim, admission, row, alone),
      passOver: (row, obstacle) => this.#passOver(claim, row, obstacle),
    }
    claimAmongSuspects(each, {
      line: suspects.line,
      claimant: {
        ...{ queue: queue.queueId, now, running: suspects.underway },
        nothingUnderway: () => suspects.empty,
        canDrain: () => suspects.canEmpty(isWorked),
      },
      ...{ mayLaunch, suspectRoom, crashLimit: queue.crashLimit, claimOthers },
      waitsSince: crashes => (this.#since.get(queue.epoch, crashes) as number | null) ?? undefined,
      suspects: (crashes, below) => this.#suspects(queue, crashes, Math.min(below, maxCrashes)),
      isBefore: row => (queue.sorted ? this.#isBeforeSorted(queue, row, now) : this.#isBeforeReady(queue, row)),
    })
  }
  /**
   * Reads the first suspect each time. The caller must remove each row from the line before it asks for the next;
   * otherwise this never ends.
   */
  *#suspects(queue: QueueRow, from: number, below: number): Generator<SuspectRow> {
    while (queue.suspects > 0) {
      const [row] = this.#from.all(queue.epoch, from, below, 1) as SuspectRow[]
      if (!row) return
      yield row
    }
  }
  #passOver(claim: OpenClaim, row: SuspectRow, obstacle: JobObstacle): void {
    const { passedOver, keyTurns } = this.#parts
    const { queue } = claim.facts
    this.#leave.run(row.seq)
    passedOver.move(claim, row, obstacle)
    if (obstacle.kind === 'gone') queue.suspects--
    const ofKey = obstacle.kind === 'keyWaits' ? this.#keyState(claim, row) : undefined
    if (ofKey && obstacle.kind === 'keyWaits') keyTurns.holdUp(ofKey, obstacle.refusal)
    queue.dirty = true
  }
  #isBeforeReady({ epoch }: QueueRow, row: SuspectRow): boolean {
    const ready = this.#firstReady.get(epoch) as [number, number] | undefined
    const range = this.#parts.readyRanges.first(epoch)
    if (ready && !isBefore(row, { priority: ready[0], seq: ready[1] })) return false
    return !range || isBefore(row, { priority: 0, seq: range.seq })
  }
  #isBeforeSorted(queue: QueueRow, row: SuspectRow, now: number): boolean {
    const { keyTurns } = this.#parts
    const { unsorted } = keyTurns.prepare(queue, now)
    const { priority, seq, key } = row
    if (this.#isBehind.get(queue.epoch, key ?? keyless, priority, seq)) return false
    return [unsorted, keyTurns.nextJob(queue, now)].every(other => !other || isBefore(row, other))
  }
  #take(claim: OpenClaim, admission: RowAdmission, row: SuspectRow, alone: boolean): void {
    const { suspects, underwayRows } = this.#parts
    const { queue, exchange } = claim.facts
    const start = admission.charge(row, this.#keyState(claim, row), alone)
    this.#leave.run(row.seq)
    underwayRows.add(queue, exchange, [start])
    claim.add(row, start)
    suspects.took({ queue: queue.queueId, seq: row.seq, fence: start.fence, alone })
    queue.countMove('pending', 'underway', 1)
  }
  #keyState({ facts: { queue } }: OpenClaim, { id, key }: Row): KeyState | undefined {
    if (id === null || key === null || !queue.sorted) return undefined
    return this.#parts.keyTurns.state(queue, this.#parts.keys.of(queue, key))
  }
}
