/**
 * Splits an exchange that its backlog refused for good, so that everything that can be stored is stored and the item at
 * fault is found: each item is sent by itself, in order.
 *
 * An item that is refused alone is at fault. An ending at fault is sent once more as a failure of its job, with the
 * StoreError that says why, because a job must end. An item that is refused even then, or cannot fail a job, is dropped
 * and reported. Nothing is sent for ever.
 */
import type { Exchange, Settlement } from '../backlog.ts'
import { StoreError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { Deferred } from '../support/deferred.ts'
import { errorToJson } from '../text/error-to-json.ts'
import type { Checkpoints } from './checkpoints.ts'
import { OutgoingExchange } from './exchange.ts'

/** Is notified of reports that will never be stored. */
export interface DroppedReportsListener {
  /** The report of a launch will not be stored. Returns whether a run was waiting for that. */
  launchNotReported(report: Exchange['launchReports'][number]): boolean
  /** The ending of this job will never be stored, so a caller that awaits its result waits in vain. */
  endingNotStored(record: JobRecord, error: StoreError): void
  /** Some report cannot be stored, and no other method reports that. */
  report(error: StoreError, record?: JobRecord): void
}

type Ending = { -readonly [K in keyof Settlement]: Settlement[K] }

export class ExchangeSplitter {
  readonly #listener: DroppedReportsListener
  readonly #checkpoints: Checkpoints
  #pieces: OutgoingExchange[] = []
  /** Resolved when all items are answered. */
  #flushWaiters: Deferred<void>[] = []
  /** Endings that were already sent as failures. */
  readonly #failed = new Set<Settlement>()
  /** An item is in flight. */
  #isInFlight = false

  constructor(listener: DroppedReportsListener, checkpoints: Checkpoints) {
    this.#listener = listener
    this.#checkpoints = checkpoints
  }
  /** Whether items are left. Each is sent only after the reply to the one before, which may show what is at fault. */
  get isBusy(): boolean {
    return this.#isInFlight || this.#pieces.length > 0
  }
  /** The next item to send. */
  next(): OutgoingExchange | undefined {
    const piece = this.#pieces.shift()
    if (piece) this.#isInFlight = true
    return piece
  }
  /**
   * Takes over an exchange that was refused for good; `stored` resolve when everything of it that can be stored is.
   * Returns whether it contained anything. The first item is empty: if the backlog refuses even that, no item is at
   * fault.
   */
  split(exchange: OutgoingExchange, stored: readonly Deferred<void>[]): boolean {
    const pieces = piecesOf(exchange)
    if (pieces.length === 0) return false
    this.#pieces.push(pieceOf({}), ...pieces)
    this.#flushWaiters.push(...stored)
    return true
  }
  /** An item was answered. */
  answered(piece: OutgoingExchange): void {
    this.#isInFlight = false
    for (const settled of piece.settled) this.#failed.delete(settled)
    this.#resolveWhenDone()
  }
  /** An item was refused for a temporary reason: it is sent again. Callers that wait for it learn of the refusal. */
  resend(piece: OutgoingExchange, reason: unknown): void {
    this.#isInFlight = false
    this.#pieces.unshift(piece)
    for (const stored of this.#flushWaiters.splice(0)) stored.fail(reason)
  }
  /**
   * An item was refused for good. Returns false if the backlog accepts nothing at all: then `rest` gets all items back.
   */
  refused(piece: OutgoingExchange, cause: unknown, rest: OutgoingExchange, failed: unknown): boolean {
    this.#isInFlight = false
    if (isEmpty(piece)) {
      for (const one of this.#pieces.splice(0).reverse()) rest.prepend(one)
      for (const stored of this.#flushWaiters.splice(0)) stored.fail(failed)
      return false
    }
    for (const settled of piece.settled) this.#failInstead(settled, cause)
    for (const checkpoint of piece.checkpoints) {
      this.#checkpoints.refused(checkpoint, new StoreError(`the checkpoint of job ${checkpoint.record.id}`, { cause }))
    }
    for (const report of piece.launchReports) {
      if (this.#listener.launchNotReported(report)) continue
      this.#listener.report(new StoreError(`that job ${report.record.id} was launched`, { cause }), report.record)
    }
    const dropped = piece.confirmed.length + piece.spent.length + piece.endedBodies.length
    if (dropped > 0)
      this.#listener.report(new StoreError('when a job was launched, what it cost, or that it has ended', { cause }))
    this.#resolveWhenDone()
    return true
  }
  #failInstead(settled: Ending, cause: unknown): void {
    const { record, kind } = settled
    const error = new StoreError(`how job ${record.id} has ended`, { cause })
    if (kind === 'finished' && settled.text !== undefined) {
      // A result that cannot be stored never fails its job.
      settled.text = undefined
      this.#listener.report(new StoreError(`the result of job ${record.id}`, { cause }), record)
    } else if (kind !== 'notLaunched' && kind !== 'interrupted' && !this.#failed.has(settled)) {
      this.#failed.add(settled)
      if (kind !== 'cancelled') settled.kind = 'failed'
      settled.error = error
      settled.text = errorToJson(error)
      settled.waitMs = 0
      settled.heldKey = settled.heldRule = undefined
    } else {
      this.#failed.delete(settled)
      this.#listener.report(error, record)
      this.#listener.endingNotStored(record, error)
      return
    }
    this.#pieces.unshift(pieceOf({ settled: [settled] }))
  }
  #resolveWhenDone(): void {
    if (this.#pieces.length === 0) for (const stored of this.#flushWaiters.splice(0)) stored.resolve()
  }
}

type Things = Pick<Exchange, 'settled' | 'confirmed' | 'launchReports' | 'spent' | 'checkpoints' | 'endedBodies'>

/** One item each, in the order in which a backlog applies them. */
function piecesOf({ settled, confirmed, launchReports, spent, checkpoints, endedBodies }: Things): OutgoingExchange[] {
  return [
    ...launchReports.map(one => pieceOf({ launchReports: [one] })),
    ...confirmed.map(one => pieceOf({ confirmed: [one] })),
    ...spent.map(one => pieceOf({ spent: [one] })),
    ...checkpoints.map(one => pieceOf({ checkpoints: [one] })),
    ...settled.map(one => pieceOf({ settled: [one] })),
    ...endedBodies.map(one => pieceOf({ endedBodies: [one] })),
  ]
}

function pieceOf(things: Partial<Things>): OutgoingExchange {
  const piece = new OutgoingExchange()
  piece.isPiece = true
  for (const one of things.settled ?? []) piece.settled.push(one)
  for (const one of things.confirmed ?? []) piece.confirmed.push(one)
  for (const one of things.launchReports ?? []) piece.launchReports.push(one)
  for (const one of things.spent ?? []) piece.spent.push(one)
  for (const one of things.checkpoints ?? []) piece.checkpoints.push(one)
  for (const one of things.endedBodies ?? []) piece.endedBodies.push(one)
  return piece
}

function isEmpty({ settled, confirmed, launchReports, spent, checkpoints, endedBodies }: Things): boolean {
  return (
    settled.length +
      confirmed.length +
      launchReports.length +
      spent.length +
      checkpoints.length +
      endedBodies.length ===
    0
  )
}
