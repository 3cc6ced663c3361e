/**
 * Accepts jobs: all of a request, in order, or none.
 *
 * Every reason for a refusal is checked before the first row is written, so a refusal has nothing to undo.
 */
import type { JobState } from '../../../lib/job.ts'
import { noKeys, settingsOf } from '../../../lib/limits/keys.ts'
import type { Rate } from '../../../lib/rate/rate.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import { dueOf } from '../../../lib/rules/due.ts'
import { refuseOverfull } from '../../../lib/rules/puts.ts'
import { type Existed, existing, type IdStore, type PutJobs } from '../../durable/execute/put.ts'
import type { JobRow, JobRowExtras, PutReply, RowRef } from '../../durable/store.ts'
import type { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { GeneratedIds } from '../tables/generated-ids.ts'
import type { JobBody, JobRows } from '../tables/job.ts'
import type { KeyTable } from '../tables/key.ts'
import type { JobLocations } from '../tables/location.ts'
import type { QueueRow, QueueTable } from '../tables/queue.ts'
import type { RateLog } from '../tables/rate-log.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import type { RuleTable } from '../tables/rule.ts'
import { givenId } from '../tables/schema.ts'

export interface PutParts {
  readonly db: SqliteDatabase
  readonly queues: QueueTable
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly generatedIds: GeneratedIds
  readonly rateLog: RateLog
  readonly keys: KeyTable
  readonly rules: RuleTable
  readonly readyRanges: ReadyRanges
  readonly fileClock: FileClock
}

export class Puts implements IdStore<QueueRow> {
  readonly #parts: PutParts
  readonly #remembered: SqliteStatement
  readonly #manyReady: SqliteStatement

  constructor(parts: PutParts) {
    const { db } = parts
    this.#parts = parts
    this.#remembered = db
      .prepare('select fingerprint, state from rdq_remembered_id where queue = ? and id = ? and forget_at > ?')
      .raw()
    this.#manyReady = db.prepare(`
      insert into rdq_ready (epoch, priority, seq, attempt, fence, crashes, flags)
      select ?, priority, seq, 0, 0, 0, 0 from rdq_job where seq >= ? and seq < ?`)
  }

  put(queue: QueueRow, request: PutJobs): PutReply {
    const { ids, size } = request
    const more = new Map(request.more)
    const existed = existing(this, queue, request)
    const fresh = ids.length - existed.size
    refuseOverfull(fresh, size, queue.counts.pending + queue.counts.delayed)
    return this.#store(queue, request, more, existed)
  }

  // The operations of `existing`.
  row(queue: QueueRow, target: RowRef): JobRow | undefined {
    return this.#parts.jobRows.row(queue, target)
  }
  remembered(queue: QueueRow, id: string, now: number): { fingerprint: string; state: JobState } | undefined {
    const at = this.#parts.fileClock.toFile(now)
    const row = this.#remembered.get(queue.queueId, id, at) as [string, JobState] | undefined
    return row && { fingerprint: row[0], state: row[1] }
  }
  rateNow(queue: QueueRow): Rate {
    return this.#parts.rateLog.of(queue)
  }
  furtherRules(queue: QueueRow, key: string | undefined): readonly RateRule[] {
    const { keys, rules } = this.#parts
    const shared = rules.rulesOf(queue)
    if (!queue.sorted || key === undefined) return shared
    return [...settingsOf(queue.keys ?? noKeys, keys.find(queue, key)?.override, key).rate, ...shared]
  }
  rulesOfKeys({ keys }: QueueRow): readonly RateRule[] | undefined {
    return keys?.rate
  }

  #store(queue: QueueRow, request: PutJobs, more: ReadonlyMap<number, JobRowExtras>, existed: Existed): PutReply {
    const { queues, jobRows, locations, fileClock, generatedIds, readyRanges } = this.#parts
    const { ids, payloads, priorities, queuedAt, wall } = request
    const now = fileClock.toFile(request.now)
    const first = queues.seqs(queue, ids.length)
    const seqs = new Map<number, number>()
    let seq = first
    // From here on plain jobs wait for one statement that makes all of them ready.
    let plain = first
    const flush = (): void => {
      if (seq === plain) return
      if (priorities === undefined) readyRanges.add(queue.epoch, plain, seq - plain)
      else this.#manyReady.run(queue.epoch, plain, seq)
      queue.moved(undefined, 'pending', seq - plain)
    }
    // From here on jobs with generated ids wait to be recorded in one row.
    let unrecorded = 0
    const record = (to: number): void => {
      if (to > unrecorded) generatedIds.add(queue, ids.slice(unrecorded, to), seq - (to - unrecorded))
      unrecorded = to + 1
    }
    // The jobs are plain up to the first one with extras.
    const firstMore = existed.size > 0 ? 0 : (request.more[0]?.[0] ?? ids.length)
    const many = jobRows.putMany(queue, first, request, 0, firstMore)
    seq += many
    for (let index = many; index < ids.length; index++) {
      const known = existed.size > 0 ? existed.get(index) : undefined
      if (known !== undefined) {
        record(index)
        if (typeof known === 'number') existed.set(index, jobRows.row(queue, seqs.get(known) as number) as JobRow)
        continue
      }
      const extra = more.size > 0 ? more.get(index) : undefined
      const priority = priorities === undefined ? 0 : (priorities[index] as number)
      const head = { seq, id: ids[index] as string, payload: payloads[index] as string, priority }
      if (extra?.fingerprint !== undefined) record(index)
      jobRows.put(queue, { ...head, queuedAt: queuedAt[index] as number, ...bodyOf(extra) })
      if (extra) {
        flush()
        seqs.set(index, seq)
        const { runAt } = extra
        const dueAt = extra.dueAt === undefined ? undefined : fileClock.toFile(extra.dueAt)
        const due = dueOf({ dueAt, runAt }, now, wall)
        const flags = extra.fingerprint === undefined ? 0 : givenId
        locations.wait(queue, { seq, priority, attempt: 0, fence: 0, crashes: 0, flags }, now, due)
        plain = seq + 1
      }
      seq++
    }
    flush()
    record(ids.length)
    // The whole request reserves seqs; jobs that existed need none.
    queue.nextSeq = seq
    queue.dirty = true
    return { first, existed: [...existed] as [number, JobRow][], counts: queue.count() }
  }
}

function bodyOf(extra: JobRowExtras | undefined): Pick<JobBody, 'key' | 'fingerprint' | 'more'> {
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
