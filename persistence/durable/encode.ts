/** Encodes puts, endings and commands for the store: columns of plain values, and texts in place of objects. */
import type { Command, Exchange, FurtherStart, JobRef, SettleKind, Settlement } from '../../lib/backlog.ts'
import { furtherOf, startOf } from '../../lib/decisions/grants.ts'
import { freesStart, transitionOf } from '../../lib/decisions/transitions.ts'
import { JobUnknownError } from '../../lib/errors.ts'
import type { JobExtras, JobRecord } from '../../lib/job.ts'
import { nextSerial } from '../../lib/job-id.ts'
import { errorToJson } from '../../lib/text/error-to-json.ts'
import { textOf } from '../../lib/text/json.ts'
import type { StoreClock } from './clock-mapping.ts'
import type {
  CommandRequest,
  ExchangeRequest,
  JobRowExtras,
  ListCursor,
  PutRequest,
  RowRef,
  SettleExtras,
} from './store.ts'

type PutColumns = Pick<PutRequest, 'ids' | 'payloads' | 'priorities' | 'queuedAt' | 'extras'>

export function putColumns(records: readonly JobRecord[], clock: StoreClock): PutColumns {
  const ids: string[] = []
  const payloads: string[] = []
  const queuedAt: number[] = []
  const priorities: number[] = []
  const extras: [number, JobRowExtras][] = []
  let prioritized = false
  for (let i = 0; i < records.length; i++) {
    const record = records[i] as JobRecord
    ids.push(record.idOf(nextSerial()))
    payloads.push(record.text ?? textOf(record.payload))
    queuedAt.push(record.queuedAt)
    priorities.push(record.priority)
    if (record.priority !== 0) prioritized = true
    if (!record.extras) continue
    extras.push([i, rowExtrasOf(record.extras, clock)])
  }
  return { ids, payloads, queuedAt, priorities: prioritized ? priorities : undefined, extras }
}

export function rowExtrasOf(
  { key, cost, retry, timeoutMs, dueAt, runAt, fingerprint }: JobExtras,
  clock: StoreClock,
): JobRowExtras {
  const row: { -readonly [K in keyof JobRowExtras]: JobRowExtras[K] } = {}
  if (key !== undefined) row.key = key
  if (cost !== undefined) row.cost = cost
  if (retry !== undefined) row.retry = JSON.stringify(retry)
  if (timeoutMs !== undefined) row.timeoutMs = timeoutMs
  if (dueAt !== undefined) row.dueAt = clock.latest(dueAt)
  if (runAt !== undefined) row.runAt = runAt
  if (fingerprint !== undefined) row.fingerprint = fingerprint
  return row
}

/** @param keepsFinished Whether finished jobs are kept, so that their times matter. */
export function settledColumns(
  settled: readonly Settlement[],
  wall: number,
  keepsFinished: boolean,
): ExchangeRequest['settled'] {
  const seqs: number[] = []
  const fences: number[] = []
  const kinds: SettleKind[] = []
  const startedAt: number[] = []
  const stoppedAt: number[] = []
  const extras: [number, SettleExtras][] = []
  let allFinished = true
  const timed = keepsFinished || settled.some(({ kind }) => kind !== 'finished')
  for (let i = 0; i < settled.length; i++) {
    const one = settled[i] as Settlement
    const { record, fence, kind } = one
    seqs.push(record.seq)
    fences.push(fence)
    kinds.push(kind)
    if (timed) {
      startedAt.push(record.run?.startedAt ?? wall)
      stoppedAt.push(record.run?.stoppedAt ?? wall)
    }
    if (kind !== 'finished') allFinished = false
    // `finishWithin` has recorded the ending already. If that transaction was rolled back, this settlement counts.
    if (one.within) extras.push([i, { ...endOf(one), within: true }])
    else if (kind !== 'finished') extras.push([i, endOf(one)])
    else if (one.text !== undefined) extras.push([i, { value: one.text }])
  }
  return { seqs, fences, kinds: allFinished ? undefined : kinds, startedAt, stoppedAt, extras }
}

function endOf(settled: Settlement): SettleExtras {
  const { kind, grant, waitMs, heldKey, heldRule, error, text, bodyContinues, notAlone, crashes } = settled
  return {
    ...(freesStart(settled) && grant !== 0 ? { grant } : {}),
    ...(waitMs > 0 ? { waitMs } : {}),
    ...(heldKey === undefined ? {} : { heldKey }),
    ...(heldRule === undefined ? {} : { heldRule }),
    ...(bodyContinues ? { bodyContinues } : {}),
    ...(notAlone ? { notAlone } : {}),
    ...(crashes === undefined ? {} : { crashes }),
    ...(transitionOf(kind).keepsError ? { error: text ?? errorToJson(error) } : {}),
  }
}

/** Names a job in a request: by its seq if this process knows it, otherwise by its id. */
export function rowTarget(target: JobRef): RowRef {
  if (typeof target === 'string') return target
  return target.seq > 0 ? target.seq : target.id
}

/**
 * The position after which a list continues. It comes from the record, because the store may not have the job any more.
 */
export function cursorOf(target: JobRef): ListCursor | string {
  if (typeof target === 'string') return target
  const { priority, seq, id } = target
  return seq > 0 ? { priority, seq } : id
}

/** Replaces the seq in an error, by which the store names a job, with the id, which users know. */
export function named(target: JobRef, error: unknown): unknown {
  return typeof target !== 'string' && error instanceof JobUnknownError ? new JobUnknownError(target.id) : error
}

export function onWire(command: Exclude<Command, { kind: 'return' }>): CommandRequest['command'] {
  switch (command.kind) {
    case 'cancel':
      return { kind: 'cancel', target: rowTarget(command.target), reason: command.text ?? errorToJson(command.reason) }
    case 'retry':
      return { kind: 'retry', target: rowTarget(command.target) }
    case 'remove': {
      const { target } = command
      return { kind: 'remove', target: rowTarget(target), id: typeof target === 'string' ? target : target.id }
    }
    case 'reschedule':
    case 'promote':
      return { ...command, target: rowTarget(command.target) }
    case 'reprioritize':
      return { kind: 'reprioritize', target: rowTarget(command.target), priority: command.priority }
    case 'clear':
      return { kind: 'clear', reason: clearedText, ...(command.key !== undefined && { key: command.key }) }
    default:
      return command
  }
}

/** The error of a job that `clear` cancelled. */
export const clearedText: string = JSON.stringify({
  name: 'CancelledError',
  message: 'the job was cancelled: cleared',
  code: 'CANCELLED',
  fields: { reason: 'cleared' },
})

type ReportColumns = Pick<
  ExchangeRequest,
  'confirmed' | 'furtherConfirmed' | 'launchReports' | 'spent' | 'checkpoints' | 'endedBodies'
>
/** The reports of an exchange besides endings. */
export function reportColumns(exchange: Exchange, storeClock: StoreClock): ReportColumns {
  const { confirmed, launchReports, spent, checkpoints, endedBodies } = exchange
  const starts: number[] = []
  const furtherConfirmed: (readonly [FurtherStart, number])[] = []
  for (const { grant, at } of confirmed) {
    const instant = storeClock.latest(at)
    const own = startOf(grant)
    if (own > 0) starts.push(own, instant)
    for (const start of furtherOf(grant)) furtherConfirmed.push([start, instant])
  }
  return {
    confirmed: starts,
    ...(furtherConfirmed.length > 0 && { furtherConfirmed }),
    launchReports: {
      seqs: launchReports.map(({ record }) => record.seq),
      fences: launchReports.map(({ fence }) => fence),
      first: launchReports.map(({ first }) => first),
    },
    spent: [...spent],
    checkpoints: checkpoints.map(({ record: { seq }, fence, value }) => ({ seq, fence, value: value.text as string })),
    endedBodies: endedBodies.map(({ seq }) => seq),
  }
}
