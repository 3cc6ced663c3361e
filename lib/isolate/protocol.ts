/**
 * The messages between a queue and its isolates. They are cloned, so they are plain data.
 *
 * A job that is handed over is a *call*. Calls are numbered from 1 in each isolate, and start in the order of their
 * numbers. Messages that arise in one turn of the event loop travel as one batch.
 */
import type { WireError } from './wire-error.ts'

/** The facts that an isolate needs to begin. */
export interface IsolateOpening {
  /** The number of the isolate within its queue. */
  readonly id: number
  readonly kind: 'thread' | 'process'
  readonly queue: string
  /** The address of the module. */
  readonly module: string
  readonly sliceMs: number
  /** Whether a checkpoint must survive JSON unchanged. */
  readonly strict: boolean
}

export interface CallMessage {
  readonly kind: 'call'
  readonly call: number
  readonly id: string
  readonly payload: unknown
  readonly attempt: number
  readonly crashes: number
  readonly key: string | undefined
  readonly restored: unknown
  /** By the clock of the host: the call must start before this instant, or it goes back. Undefined: at any time. */
  readonly startBefore: number | undefined
  /** A rate counts the start, so the queue must know soon when the first line has run. */
  readonly limited: boolean
}

export type ToIsolate =
  | CallMessage
  /** Calls that have not started go back. */
  | { readonly kind: 'withdraw' }
  | { readonly kind: 'abort'; readonly call: number; readonly reason: WireError }
  | { readonly kind: 'park' | 'unpark'; readonly call: number }
  /** The checkpoint is stored, unless there is an error. */
  | { readonly kind: 'stored'; readonly checkpoint: number; readonly error: WireError | undefined }
  /** The progress of the last batch was taken, so more may be sent. */
  | { readonly kind: 'progressTaken' }
  /** No calls are left, and no more will come. */
  | { readonly kind: 'end' }

export type FromIsolate =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'refused'; readonly error: WireError }
  | { readonly kind: 'finished'; readonly call: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly call: number; readonly error: WireError }
  /** The result cannot be cloned. */
  | { readonly kind: 'unsent'; readonly call: number; readonly problem: string }
  | { readonly kind: 'notStarted'; readonly call: number }
  /** The body is a generator, which can be parked; or it is parked. */
  | { readonly kind: 'task' | 'parked'; readonly call: number }
  | { readonly kind: 'progress'; readonly call: number; readonly value: unknown }
  | { readonly kind: 'checkpoint'; readonly call: number; readonly checkpoint: number; readonly value: unknown }
  | { readonly kind: 'spent'; readonly call: number; readonly cost: Readonly<Record<string, number>> }
  | { readonly kind: 'beat'; readonly memory: number; readonly loopDelay: number }

export interface FromIsolateBatch {
  /** The first line of all calls up to this number has run or is about to, unless they went back. */
  readonly started: number
  /** The first line of all calls up to this number has run, unless they went back. */
  readonly confirmed: number
  readonly items: readonly FromIsolate[]
}

/** How often an isolate reports its memory and the delay of its loop, in milliseconds. */
export const beatMs = 1_000
