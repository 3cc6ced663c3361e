/**
 * Reads jobs of a ready range (tables/ready-range.ts) as they are claimed. If many jobs are claimed, most are of this
 * kind, and handing over a row costs more than reading it. So they are read as texts, all ids in one and all payloads
 * in another, and are sent to the queue in that form.
 */
import { keepShapeAlive } from '../../../lib/support/shape-samples.ts'
import type { PlainClaimed } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'

/** A claim with a longer payload uses rows, so that no text grows without bound. */
const longestBytes = 4_096
/** Separates payloads. It occurs in no JSON, because within a string it is written as an escape. */
const separator = '\x1e'

type Row = readonly [
  ...[count: number, odd: number | null],
  ...[ids: string | null, payloads: string | null, firstWall: number | null, lastWall: number | null],
]

export class PlainWalk {
  readonly #read: SqliteStatement
  readonly #walls: SqliteStatement

  constructor(db: SqliteDatabase) {
    // The inner select has a limit, so SQLite does not merge it into the outer one, which then reads the rows in order.
    this.#read = db
      .prepare(`
      select count(*), sum(odd), group_concat(id, ' '), group_concat(payload, char(30)), min(queued_wall), max(queued_wall)
      from (
        select id, iif(octet_length(payload) <= ${longestBytes}, payload, null) as payload, queued_wall,
          priority <> 0 or key is not null or more is not null or fingerprint is not null as odd
        from rdq_job where seq >= ? and seq < ? order by seq ${limitParameter})`)
      .raw()
    this.#walls = db.prepare('select queued_wall from rdq_job where seq between ? and ? order by seq').pluck()
  }
  /** The jobs from `first` on. Undefined if any of them is missing or no longer plain, or if a payload is too long. */
  read(first: number, count: number): PlainClaimed | undefined {
    const [found, odd, ids, payloads, firstWall, lastWall] = this.#read.get(first, first + count, count) as Row
    if (found !== count || odd !== 0 || ids === null || payloads === null) return undefined
    // There are too few parts if a payload was too long, and too many if foreign code wrote a separator.
    if (partsOf(payloads, separator) !== count || partsOf(ids, ' ') !== count) return undefined
    const queuedAt =
      firstWall === lastWall ? (firstWall as number) : (this.#walls.all(first, first + count - 1) as number[])
    return { first, count, ids, payloads, queuedAt }
  }
}

/** Reads the jobs one by one. */
export class PlainReader {
  seq: number
  payload = ''
  queuedAt = 0
  readonly #plain: PlainClaimed
  #index = -1
  #idAt = 0
  #idEnd = -1
  #payloadAt = 0

  constructor(plain: PlainClaimed) {
    this.#plain = plain
    this.seq = plain.first - 1
  }
  /** Moves to the next job; false if there is none. */
  next(): boolean {
    const { count, ids, payloads, queuedAt } = this.#plain
    if (++this.#index === count) return false
    const payloadEnd = endOf(payloads, separator, this.#payloadAt)
    this.seq++
    this.payload = payloads.slice(this.#payloadAt, payloadEnd)
    this.queuedAt = typeof queuedAt === 'number' ? queuedAt : (queuedAt[this.#index] as number)
    this.#payloadAt = payloadEnd + 1
    this.#idAt = this.#idEnd + 1
    this.#idEnd = endOf(ids, ' ', this.#idAt)
    return true
  }
  /** Cut out on first use: for jobs that this process follows it is never read. */
  get id(): string {
    return this.#plain.ids.slice(this.#idAt, this.#idEnd)
  }
}

keepShapeAlive(new PlainReader({ first: 1, count: 0, ids: '', payloads: '', queuedAt: 0 }))

function endOf(text: string, separator: string, from: number): number {
  const end = text.indexOf(separator, from)
  return end < 0 ? text.length : end
}

function partsOf(text: string, separator: string): number {
  let parts = 1
  for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, at + 1)) parts++
  return parts
}
