/** The messages between `inThread` and its threads. A thread has one call at a time. */
import type { WireError } from '../isolate/wire-error.ts'

/** The function to call: the default export of a module, or a function made of its text. */
export type FunctionSource = { readonly module: string } | { readonly text: string }

export interface CallOrder {
  readonly source: FunctionSource
  readonly args: readonly unknown[]
  /** The positions of arguments that are the signal of the call. */
  readonly signalsAt: readonly number[]
}

export type ToCallThread =
  | (CallOrder & { readonly kind: 'call' })
  | { readonly kind: 'abort'; readonly reason: WireError }

export type FromCallThread =
  | { readonly kind: 'returned'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly error: WireError }
  /** The module cannot be loaded, or its default export is no function. */
  | { readonly kind: 'notLoaded'; readonly error: WireError }
  /** The result cannot be cloned. */
  | { readonly kind: 'unsent'; readonly problem: string }
