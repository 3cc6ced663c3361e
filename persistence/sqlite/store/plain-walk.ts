/**
 * Jobs of a stretch (tables/ready-range.ts), as they are claimed. Where many are claimed most are of that kind, and a row costs more to
 * hand over than to read: so they come as texts, all ids in one and all payloads in another, and cross to the queue as they are.
 */
import { keepShapeAlive } from '../../../lib/support/shape-samples.ts'
import type { PlainClaimed } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'

/** A longer payload goes in a row of its own, so that no text grows without limit. */
const longestBytes = 4_096
/** Stands between payloads. No JSON has it: within a string it is written as an escape. */
const separator = '\x1e'

type Row = readonly [
  ...[count: number, odd: number | null],
  ...[ids: string | null, payloads: string | null, firstWall: number | null, lastWall: number | null],
]

export class PlainWalk {
  readonly #read: SqliteStatement
  readonly #walls: SqliteStatement

  constructor(db: SqliteDatabase) {
    // The inner select has a limit, so it is not merged into the outer one, which sees its rows in their order.
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
  /** The jobs from `first` on; undefined where not all of them are as they were put in, or some are too long. */
  read(first: number, count: number): PlainClaimed | undefined {
    const [found, odd, ids, payloads, firstWall, lastWall] = this.#read.get(first, first + count, count) as Row
    if (found !== count || odd !== 0 || ids === null || payloads === null) return undefined
    // Too few parts where a payload was too long, too many where a stranger wrote a separator.
    if (partsOf(payloads, separator) !== count || partsOf(ids, ' ') !== count) return undefined
    const queuedAt =
      firstWall === lastWall ? (firstWall as number) : (this.#walls.all(first, first + count - 1) as number[])
    return { first, count, ids, payloads, queuedAt }
  }
}

/** Reads them one by one, as they were put together. */
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
  /** Goes on to the next; false when there is none. */
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
  /** Cut out when it is asked for: of a job that is known here nobody does. */
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
