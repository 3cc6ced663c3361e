/**
 * Takes jobs in: all of a request in order, or none.
 *
 * What forbids a put is looked for before the first row is written, so that a refusal needs nothing undone.
 */
import type { JobState } from '../../../lib/job.ts'
import { dueOf } from '../../../lib/rules/due.ts'
import { refuseCost, refuseOtherPayload, refuseOverfull } from '../../../lib/rules/puts.ts'
import type { JobRow, JobRowExtras, PutReply, PutRequest } from '../../durable/store.ts'
import type { Timeline } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import { endOfRow, type Made } from '../tables/generated-ids.ts'
import type { Bodies, Body } from '../tables/job.ts'
import type { Places } from '../tables/location.ts'
import type { Name, Names } from '../tables/queue.ts'
import type { Starts } from '../tables/rate-log.ts'
import type { Stretches } from '../tables/ready-range.ts'
import { givenId } from '../tables/schema.ts'

export interface PutParts {
  readonly db: SqliteDatabase
  readonly names: Names
  readonly places: Places
  readonly bodies: Bodies
  readonly made: Made
  readonly starts: Starts
  readonly stretches: Stretches
  readonly timeline: Timeline
}

export class Puts {
  readonly #parts: PutParts
  readonly #remembered: SqliteStatement
  readonly #manyReady: SqliteStatement

  constructor(parts: PutParts) {
    const { db } = parts
    this.#parts = parts
    this.#remembered = db
      .prepare('select fingerprint, state from rdq_id where queue = ? and id = ? and forget_at > ?')
      .raw()
    this.#manyReady = db.prepare(`
      insert into rdq_ready (lane, priority, seq, attempt, fence, crashes, flags)
      select ?, priority, seq, 0, 0, 0, 0 from rdq_job where seq >= ? and seq < ?`)
  }

  put(name: Name, request: PutRequest): PutReply {
    const { now, ids, size } = request
    const more = new Map(request.more)
    const existed = new Map<number, JobRow | number>()
    if (more.size > 0) this.#look(name, request, more, this.#parts.timeline.toFile(now), existed)
    this.#lookForMade(name, ids, more, existed)
    const fresh = ids.length - existed.size
    refuseOverfull(fresh, size, name.counts.pending + name.counts.delayed)
    return this.#store(name, request, more, existed)
  }
  /** Finds what stands for jobs whose id was given, a row or the index of an earlier one here; refuses what can never start. */
  #look(
    name: Name,
    { ids, payloads, queuedAt, priorities }: PutRequest,
    more: ReadonlyMap<number, JobRowExtras>,
    at: number,
    existed: Map<number, JobRow | number>,
  ): void {
    const { bodies, starts } = this.#parts
    const batch = new Map<string, number>()
    for (const [index, { cost, fingerprint }] of more) {
      if (fingerprint !== undefined) {
        const id = ids[index] as string
        const twin = batch.get(id)
        const known = twin === undefined ? bodies.find(name, id) : undefined
        const gone =
          twin === undefined && known === undefined
            ? (this.#remembered.get(name.queue, id, at) as [string, JobState] | undefined)
            : undefined
        const before = twin === undefined ? (known?.body.fingerprint ?? gone?.[0]) : more.get(twin)?.fingerprint
        refuseOtherPayload(id, fingerprint, before)
        if (twin !== undefined) existed.set(index, twin)
        else if (known) existed.set(index, bodies.rowOf(known.body, known.found))
        else if (gone) {
          const facts = { attempt: 0, fence: 0, crashes: 0, queuedAt: queuedAt[index] as number }
          const put = { payload: payloads[index] as string, priority: priorities?.[index] ?? 0 }
          const row = { seq: 0, id, ...put, state: gone[1], ...facts, startedAt: null, stoppedAt: null }
          existed.set(index, { ...row, more: { fingerprint } })
        } else batch.set(id, index)
        if (existed.has(index)) continue
      }
      if (cost) refuseCost(cost, starts.of(name))
    }
  }
  /** A made id is unique: where it is there, this very put was stored before and its answer was lost. */
  #lookForMade(
    name: Name,
    ids: readonly string[],
    more: ReadonlyMap<number, JobRowExtras>,
    existed: Map<number, JobRow | number>,
  ): void {
    const { bodies, made } = this.#parts
    const isMade = (index: number): boolean => more.size === 0 || more.get(index)?.fingerprint === undefined
    for (let from = 0, to = 0; from < ids.length; from = to) {
      to = from + 1
      if (!isMade(from)) continue
      while (to < ids.length && isMade(to)) to++
      to = endOfRow(ids.slice(from, to), 0) + from
      if (!made.hasAny(name, ids[from] as string, ids[to - 1] as string)) continue
      for (let index = from; index < to; index++) {
        const row = bodies.row(name, ids[index] as string)
        if (row) existed.set(index, row)
      }
      // Each by itself, for the row that has told where they are may be written anew.
      for (const [index, row] of existed) {
        if (index >= from && index < to && typeof row !== 'number') made.add(name, [ids[index] as string], row.seq)
      }
    }
  }
  #store(
    name: Name,
    request: PutRequest,
    more: ReadonlyMap<number, JobRowExtras>,
    existed: Map<number, JobRow | number>,
  ): PutReply {
    const { names, bodies, places, timeline, made, stretches } = this.#parts
    const { ids, payloads, priorities, queuedAt, wall } = request
    const now = timeline.toFile(request.now)
    const first = names.seqs(name, ids.length)
    const seqs = new Map<number, number>()
    let seq = first
    // From here on, plain jobs that wait for one statement to make all of them ready.
    let plain = first
    const flush = (): void => {
      if (seq === plain) return
      if (priorities === undefined) stretches.add(name.lane, plain, seq - plain)
      else this.#manyReady.run(name.lane, plain, seq)
      name.counts.pending += seq - plain
    }
    // From here on, jobs with made ids that one row may tell of.
    let unnoted = 0
    const note = (to: number): void => {
      if (to > unnoted) made.add(name, ids.slice(unnoted, to), seq - (to - unnoted))
      unnoted = to + 1
    }
    // All are plain, up to the first that has more.
    const firstMore = existed.size > 0 ? 0 : (request.more[0]?.[0] ?? ids.length)
    const many = bodies.putMany(name, first, request, 0, firstMore)
    seq += many
    for (let index = many; index < ids.length; index++) {
      const known = existed.size > 0 ? existed.get(index) : undefined
      if (known !== undefined) {
        note(index)
        if (typeof known === 'number') existed.set(index, bodies.row(name, seqs.get(known) as number) as JobRow)
        continue
      }
      const extra = more.size > 0 ? more.get(index) : undefined
      const priority = priorities === undefined ? 0 : (priorities[index] as number)
      const head = { seq, id: ids[index] as string, payload: payloads[index] as string, priority }
      if (extra?.fingerprint !== undefined) note(index)
      bodies.put(name, { ...head, queuedAt: queuedAt[index] as number, ...bodyOf(extra) })
      if (extra) {
        flush()
        seqs.set(index, seq)
        const { runAt } = extra
        const dueAt = extra.dueAt === undefined ? undefined : timeline.toFile(extra.dueAt)
        const due = dueOf({ dueAt, runAt }, now, wall)
        const flags = extra.fingerprint === undefined ? 0 : givenId
        places.wait(name, { seq, priority, attempt: 0, fence: 0, crashes: 0, flags }, now, due)
        plain = seq + 1
      }
      seq++
    }
    flush()
    note(ids.length)
    // PagedMap are taken by the whole request; what existed needs none.
    name.nextSeq = seq
    name.dirty = true
    return { first, existed: [...existed] as [number, JobRow][], counts: name.count() }
  }
}

function bodyOf(extra: JobRowExtras | undefined): Pick<Body, 'key' | 'fingerprint' | 'more'> {
  if (extra === undefined) return none
  const { key, fingerprint, cost, retry, timeoutMs } = extra
  const plain = cost === undefined && retry === undefined && timeoutMs === undefined
  return {
    key: key ?? null,
    fingerprint: fingerprint ?? null,
    more: plain ? null : JSON.stringify({ cost, retry, timeoutMs }),
  }
}
const none = Object.freeze({ key: null, fingerprint: null, more: null })
