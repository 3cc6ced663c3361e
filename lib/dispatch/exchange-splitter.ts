/**
 * Takes apart an exchange that its backlog refused for good, so that what can be stored is stored and the thing at fault is
 * found: each thing that was to be told is told by itself, in order.
 *
 * A thing that is refused alone is at fault. An ending is told once more as a failure of its job, with the StoreError that
 * says why, because a job must end. What is refused after that, or cannot fail a job, is dropped and reported. Nothing is
 * told for ever.
 */
import type { Exchange, Settlement } from '../backlog.ts'
import { StoreError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import { thrownText } from '../settle/thrown.ts'
import type { Deferred } from '../support/deferred.ts'
import { PooledExchange } from './exchange.ts'

export interface ExchangeSplitterParts {
  /** A checkpoint will not be stored. */
  checkpointNotStored(checkpoint: Exchange['checkpoints'][number], error: StoreError): void
  /** A launch will not be reported. */
  launchNotReported(begun: Exchange['launchReports'][number], error: StoreError): void
  /** The end of a job will not be stored: whoever waits for its result waits in vain. */
  endingNotStored(record: JobRecord, error: StoreError): void
  /** Nobody else is told of this one. */
  report(error: StoreError, record?: JobRecord): void
}

type Ending = { -readonly [K in keyof Settlement]: Settlement[K] }

export class ExchangeSplitter {
  readonly #parts: ExchangeSplitterParts
  #pieces: PooledExchange[] = []
  /** Resolved when all is told. */
  #flushWaiters: Deferred<void>[] = []
  /** Endings that were told as failures already. */
  readonly #failed = new Set<Settlement>()
  /** A piece is on its way. */
  #isInFlight = false

  constructor(parts: ExchangeSplitterParts) {
    this.#parts = parts
  }
  /** Pieces are left. Each is told only when the one before it is answered: that answer may say what is at fault. */
  get isBusy(): boolean {
    return this.#isInFlight || this.#pieces.length > 0
  }
  /** What is to be told next. */
  next(): PooledExchange | undefined {
    const piece = this.#pieces.shift()
    if (piece) this.#isInFlight = true
    return piece
  }
  /**
   * Takes up an exchange that was refused for good; `stored` resolve when what can be stored of it is. Answers whether there
   * was anything in it. The first piece is empty: where the backlog refuses even that, the fault is in no thing of these.
   */
  split(exchange: PooledExchange, stored: readonly Deferred<void>[]): boolean {
    const pieces = piecesOf(exchange)
    if (pieces.length === 0) return false
    this.#pieces.push(pieceOf({}), ...pieces)
    this.#flushWaiters.push(...stored)
    return true
  }
  /** A piece was answered. */
  answered(piece: PooledExchange): void {
    this.#isInFlight = false
    for (const settled of piece.settled) this.#failed.delete(settled)
    this.#resolveWhenDone()
  }
  /** A piece was refused for a reason that passes: it is told again. */
  resend(piece: PooledExchange): void {
    this.#isInFlight = false
    this.#pieces.unshift(piece)
  }
  /** A piece was refused for good. Answers false where nothing can be told at all: then `rest` has all of them again. */
  refused(piece: PooledExchange, cause: unknown, rest: PooledExchange, failed: unknown): boolean {
    this.#isInFlight = false
    if (isEmpty(piece)) {
      for (const one of this.#pieces.splice(0).reverse()) rest.prepend(one)
      for (const stored of this.#flushWaiters.splice(0)) stored.fail(failed)
      return false
    }
    for (const settled of piece.settled) this.#failInstead(settled, cause)
    for (const checkpoint of piece.checkpoints) {
      this.#parts.checkpointNotStored(
        checkpoint,
        new StoreError(`the checkpoint of job ${checkpoint.record.id}`, { cause }),
      )
    }
    for (const begun of piece.launchReports) {
      this.#parts.launchNotReported(begun, new StoreError(`that job ${begun.record.id} was launched`, { cause }))
    }
    const dropped = piece.launched.length + piece.spent.length + piece.endedBodies.length
    if (dropped > 0)
      this.#parts.report(new StoreError('when a job was launched, what it cost, or that it has ended', { cause }))
    this.#resolveWhenDone()
    return true
  }
  #failInstead(settled: Ending, cause: unknown): void {
    const { record, kind } = settled
    const error = new StoreError(`how job ${record.id} has ended`, { cause })
    if (kind === 'finished' && settled.text !== undefined) {
      // A result that cannot be stored never fails its job.
      settled.text = undefined
      this.#parts.report(new StoreError(`the result of job ${record.id}`, { cause }), record)
    } else if (kind !== 'notLaunched' && kind !== 'interrupted' && !this.#failed.has(settled)) {
      this.#failed.add(settled)
      if (kind !== 'cancelled') settled.kind = 'failed'
      settled.error = error
      settled.text = thrownText(error)
      settled.waitMs = 0
      settled.heldKey = undefined
    } else {
      this.#failed.delete(settled)
      this.#parts.report(error, record)
      this.#parts.endingNotStored(record, error)
      return
    }
    this.#pieces.unshift(pieceOf({ settled: [settled] }))
  }
  #resolveWhenDone(): void {
    if (this.#pieces.length === 0) for (const stored of this.#flushWaiters.splice(0)) stored.resolve()
  }
}

type Things = Pick<Exchange, 'settled' | 'launched' | 'launchReports' | 'spent' | 'checkpoints' | 'endedBodies'>

/** One thing each, in the order in which a backlog takes them. */
function piecesOf({ settled, launched, launchReports, spent, checkpoints, endedBodies }: Things): PooledExchange[] {
  return [
    ...launchReports.map(one => pieceOf({ launchReports: [one] })),
    ...launched.map(one => pieceOf({ launched: [one] })),
    ...spent.map(one => pieceOf({ spent: [one] })),
    ...checkpoints.map(one => pieceOf({ checkpoints: [one] })),
    ...settled.map(one => pieceOf({ settled: [one] })),
    ...endedBodies.map(one => pieceOf({ endedBodies: [one] })),
  ]
}

function pieceOf(things: Partial<Things>): PooledExchange {
  const piece = new PooledExchange()
  piece.isPiece = true
  for (const one of things.settled ?? []) piece.settled.push(one)
  for (const one of things.launched ?? []) piece.launched.push(one)
  for (const one of things.launchReports ?? []) piece.launchReports.push(one)
  for (const one of things.spent ?? []) piece.spent.push(one)
  for (const one of things.checkpoints ?? []) piece.checkpoints.push(one)
  for (const one of things.endedBodies ?? []) piece.endedBodies.push(one)
  return piece
}

function isEmpty({ settled, launched, launchReports, spent, checkpoints, endedBodies }: Things): boolean {
  return (
    settled.length + launched.length + launchReports.length + spent.length + checkpoints.length + endedBodies.length ===
    0
  )
}
