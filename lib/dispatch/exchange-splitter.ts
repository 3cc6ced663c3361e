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
import { ReusedExchange } from './exchange.ts'

export interface ApartParts {
  /** A checkpoint will not be stored. */
  unstored(checkpoint: Exchange['checkpoints'][number], error: StoreError): void
  /** A launch will not be reported. */
  unreported(begun: Exchange['launchReports'][number], error: StoreError): void
  /** The end of a job will not be stored: whoever waits for its result waits in vain. */
  endless(record: JobRecord, error: StoreError): void
  /** Nobody else is told of this one. */
  report(error: StoreError, record?: JobRecord): void
}

type Ending = { -readonly [K in keyof Settlement]: Settlement[K] }

export class Apart {
  readonly #parts: ApartParts
  #pieces: ReusedExchange[] = []
  /** Resolved when all is told. */
  #stored: Deferred<void>[] = []
  /** Endings that were told as failures already. */
  readonly #failed = new Set<Settlement>()
  /** A piece is on its way. */
  #isAway = false

  constructor(parts: ApartParts) {
    this.#parts = parts
  }
  /** Pieces are left. Each is told only when the one before it is answered: that answer may say what is at fault. */
  get isBusy(): boolean {
    return this.#isAway || this.#pieces.length > 0
  }
  /** What is to be told next. */
  next(): ReusedExchange | undefined {
    const piece = this.#pieces.shift()
    if (piece) this.#isAway = true
    return piece
  }
  /**
   * Takes up an exchange that was refused for good; `stored` resolve when what can be stored of it is. Answers whether there
   * was anything in it. The first piece is empty: where the backlog refuses even that, the fault is in no thing of these.
   */
  take(exchange: ReusedExchange, stored: readonly Deferred<void>[]): boolean {
    const pieces = piecesOf(exchange)
    if (pieces.length === 0) return false
    this.#pieces.push(pieceOf({}), ...pieces)
    this.#stored.push(...stored)
    return true
  }
  /** A piece was answered. */
  told(piece: ReusedExchange): void {
    this.#isAway = false
    for (const settled of piece.settled) this.#failed.delete(settled)
    this.#look()
  }
  /** A piece was refused for a reason that passes: it is told again. */
  again(piece: ReusedExchange): void {
    this.#isAway = false
    this.#pieces.unshift(piece)
  }
  /** A piece was refused for good. Answers false where nothing can be told at all: then `rest` has all of them again. */
  refused(piece: ReusedExchange, cause: unknown, rest: ReusedExchange, failed: unknown): boolean {
    this.#isAway = false
    if (isEmpty(piece)) {
      for (const one of this.#pieces.splice(0).reverse()) rest.prepend(one)
      for (const stored of this.#stored.splice(0)) stored.fail(failed)
      return false
    }
    for (const settled of piece.settled) this.#mend(settled, cause)
    for (const checkpoint of piece.checkpoints) {
      this.#parts.unstored(checkpoint, new StoreError(`the checkpoint of job ${checkpoint.record.id}`, { cause }))
    }
    for (const begun of piece.launchReports) {
      this.#parts.unreported(begun, new StoreError(`that job ${begun.record.id} was launched`, { cause }))
    }
    const dropped = piece.launched.length + piece.spent.length + piece.endedBodies.length
    if (dropped > 0)
      this.#parts.report(new StoreError('when a job was launched, what it cost, or that it has ended', { cause }))
    this.#look()
    return true
  }
  #mend(settled: Ending, cause: unknown): void {
    const { record, kind } = settled
    const error = new StoreError(`how job ${record.id} has ended`, { cause })
    if (kind === 'finished' && settled.text !== undefined) {
      // A result that cannot be stored never fails its job.
      settled.text = undefined
      this.#parts.report(new StoreError(`the result of job ${record.id}`, { cause }), record)
    } else if (kind !== 'unlaunched' && kind !== 'returned' && !this.#failed.has(settled)) {
      this.#failed.add(settled)
      if (kind !== 'cancelled') settled.kind = 'failed'
      settled.error = error
      settled.text = thrownText(error)
      settled.waitMs = 0
      settled.heldKey = undefined
    } else {
      this.#failed.delete(settled)
      this.#parts.report(error, record)
      this.#parts.endless(record, error)
      return
    }
    this.#pieces.unshift(pieceOf({ settled: [settled] }))
  }
  #look(): void {
    if (this.#pieces.length === 0) for (const stored of this.#stored.splice(0)) stored.resolve()
  }
}

type Things = Pick<Exchange, 'settled' | 'launched' | 'launchReports' | 'spent' | 'checkpoints' | 'endedBodies'>

/** One thing each, in the order in which a backlog takes them. */
function piecesOf({ settled, launched, launchReports, spent, checkpoints, endedBodies }: Things): ReusedExchange[] {
  return [
    ...launchReports.map(one => pieceOf({ launchReports: [one] })),
    ...launched.map(one => pieceOf({ launched: [one] })),
    ...spent.map(one => pieceOf({ spent: [one] })),
    ...checkpoints.map(one => pieceOf({ checkpoints: [one] })),
    ...settled.map(one => pieceOf({ settled: [one] })),
    ...endedBodies.map(one => pieceOf({ endedBodies: [one] })),
  ]
}

function pieceOf(things: Partial<Things>): ReusedExchange {
  const piece = new ReusedExchange()
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
