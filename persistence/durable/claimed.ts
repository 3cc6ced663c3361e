/**
 * The jobs that an exchange claimed, as records: those that this process has already, and new ones for all other jobs.
 */
import type { Caution, Grant, Settlement } from '../../lib/backlog.ts'
import type { JobRecord } from '../../lib/job.ts'
import { valueFrom } from '../../lib/text/json.ts'
import type { RowReader } from './decode.ts'
import { UnreadableError } from './errors.ts'
import type { IdentityMap } from './identity-map.ts'
import type { ExchangeReply } from './store.ts'

export interface ClaimedRecords {
  readonly claimed: readonly JobRecord[]
  /**
   * The payloads as they are stored. A record that was put here keeps its own payload object, which the caller of `put`
   * may hold.
   */
  readonly payloads: readonly unknown[]
  /** The grant of each claimed job; undefined if no rate limits the queue. */
  readonly grants: readonly Grant[] | undefined
  readonly cautions: ReadonlyMap<JobRecord, Caution> | undefined
  /** Settlements that fail claimed jobs whose payload cannot be read. */
  readonly unreadable: readonly Settlement[]
}

export function claimedRecords(
  { claimed: columns, grants }: ExchangeReply,
  identities: IdentityMap,
  rows: RowReader,
): ClaimedRecords {
  const claimed: JobRecord[] = []
  const payloads: unknown[] = []
  const unreadable: Settlement[] = []
  const begin = (record: JobRecord, text: string, isNew: boolean): void => {
    record.state = 'underway'
    if (record.extras) record.extras.asOf = undefined
    identities.claim(record)
    try {
      const payload = valueFrom(text)
      if (isNew) record.payload = payload
      payloads.push(payload)
      claimed.push(record)
    } catch (error) {
      unreadable.push(refusal(record, (error as Error).message))
    }
  }
  const { seqs, ids, priorities, attempts, fences, queuedAt, keys } = columns
  let cautions: Map<JobRecord, Caution> | undefined
  const extrasAt = new Map(columns.extras)
  for (let i = 0; i < seqs.length; i++) {
    const seq = seqs[i] as number
    const known = identities.get(seq)
    const record = known ?? rows.fresh(seq, ids[i] as string, queuedAt[i] as number)
    record.priority = priorities[i] as number
    record.attempt = attempts[i] as number
    record.fence = fences[i] as number
    const extra = extrasAt.get(i)
    if (extra) rows.setExtras(record, extra)
    // If another process has retried or promoted the job, its former error or delay is gone.
    else if (record.extras) Object.assign(record.extras, { error: undefined, dueAt: undefined, runAt: undefined })
    const key = keys?.[i] ?? undefined
    if (key !== undefined) record.ensureExtras().key = key
    // If another process has retried the job, its crashes count from 0 again.
    if (record.extras) record.extras.crashes = extra?.crashes ?? 0
    if (extra?.caution) (cautions ??= new Map()).set(record, extra.caution)
    begin(record, columns.payloads[i] as string, known === undefined)
  }
  if (grants === undefined || unreadable.length === 0) return { claimed, payloads, grants, cautions, unreadable }
  const taken = new Set(claimed.map(({ seq }) => seq))
  return { claimed, payloads, grants: grants.filter((_, i) => taken.has(seqs[i] as number)), cautions, unreadable }
}

function refusal(record: JobRecord, problem: string): Settlement {
  const error = new UnreadableError(record.id, problem)
  const parts = { grant: 0, value: undefined, waitMs: 0, heldKey: undefined, within: false }
  return { record, fence: record.fence, kind: 'failed', error, ...parts }
}
