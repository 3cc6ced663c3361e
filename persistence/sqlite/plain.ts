/**
 * Plain jobs, as they are claimed: never begun, of priority 0, with nothing besides a payload, and in a row. Where many are
 * claimed most are of that kind, and a row costs more to hand over than to read: so they come as texts, all ids in one and
 * all payloads in another, and cross to the queue as they are.
 */
import type { SqliteDatabase, SqliteStatement } from './database.ts'
import type { PlainClaimed } from './wire.ts'

/** Of so few, rows are as quick. */
export const leastPlain = 16
/** A longer payload goes in a row of its own, so that no text grows without limit. */
const longestBytes = 4_096
/** Stands between payloads. No JSON has it: within a string it is written as an escape. */
const separator = '\x1e'

type Row = readonly [
  ...[count: number, first: number | null, last: number | null, odd: number],
  ...[ids: string | null, payloads: string | null, firstWall: number | null, lastWall: number | null],
]

export class PlainWalk {
  readonly #read: SqliteStatement
  readonly #walls: SqliteStatement

  constructor(db: SqliteDatabase) {
    // The inner select has a limit, so it is not merged into the outer one, which sees its rows in their order.
    this.#read = db
      .prepare(`
      select count(*), min(seq), max(seq), sum(odd), group_concat(id, ' '), group_concat(payload, char(30)),
        min(queued_wall), max(queued_wall)
      from (
        select r.seq, j.id, iif(octet_length(j.payload) <= ${longestBytes}, j.payload, null) as payload, j.queued_wall,
          r.priority <> 0 or r.fence <> 0 or r.flags <> 0 or j.id is null
            or j.key is not null or j.more is not null as odd
        from rdq_ready r left join rdq_job j on j.seq = r.seq
        where r.lane = ? order by r.priority, r.seq limit ?)`)
      .raw()
    this.#walls = db.prepare('select queued_wall from rdq_job where seq between ? and ? order by seq').pluck()
  }
  /** The first `most` of the lane, or as many as there are; undefined where not all of them are such jobs, or too few. */
  read(lane: number, most: number): PlainClaimed | undefined {
    const [count, first, last, odd, ids, payloads, firstWall, lastWall] = this.#read.get(lane, most) as Row
    if (count < leastPlain || odd > 0 || first === null || last !== first + count - 1) return undefined
    if (ids === null || payloads === null) return undefined
    // Too few parts where a payload was too long, too many where a stranger wrote a separator.
    if (partsOf(payloads, separator) !== count || partsOf(ids, ' ') !== count) return undefined
    const queuedAt = firstWall === lastWall ? (firstWall as number) : (this.#walls.all(first, last) as number[])
    return { first, count, ids, payloads, queuedAt }
  }
}

/** One by one, as they were put together. */
export function eachPlain(
  { first, count, ids, payloads, queuedAt }: PlainClaimed,
  take: (seq: number, id: string, payload: string, queuedAt: number) => void,
): void {
  let idAt = 0
  let payloadAt = 0
  for (let i = 0; i < count; i++) {
    const idEnd = endOf(ids, ' ', idAt)
    const payloadEnd = endOf(payloads, separator, payloadAt)
    const at = typeof queuedAt === 'number' ? queuedAt : (queuedAt[i] as number)
    take(first + i, ids.slice(idAt, idEnd), payloads.slice(payloadAt, payloadEnd), at)
    idAt = idEnd + 1
    payloadAt = payloadEnd + 1
  }
}

function endOf(text: string, separator: string, from: number): number {
  const end = text.indexOf(separator, from)
  return end < 0 ? text.length : end
}

function partsOf(text: string, separator: string): number {
  let parts = 1
  for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, at + 1)) parts++
  return parts
}
