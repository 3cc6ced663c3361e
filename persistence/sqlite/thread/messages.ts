/** What the two threads say to each other, besides the requests themselves (durable/store.ts). */

import type { NumberedReply, NumberedRequest, WireError } from '../../durable/store.ts'

/** What the thread is started with. */
export interface Opening {
  /** The real path of the file. It is there, if empty. */
  readonly path: string
  /** Which file it is, by its device and number: the thread works on no other one that has the path by then. */
  readonly file: string
  /** The worker's token: its name in the file, and the last part of its lock file's. */
  readonly worker: string
  readonly boot: string
  readonly durability: Durability
  readonly stallMs: number
}
/** What an answered put has survived: the loss of power, or only the end of the process. */
export type Durability = 'power' | 'process'

export type ToThread =
  | { readonly kind: 'asks'; readonly asks: readonly NumberedRequest[] }
  /** The loop of the queue lives. */
  | { readonly kind: 'pong' }
  /** Somebody has found another file at the path. */
  | { readonly kind: 'look' }
  /** After all that was asked before. */
  | { readonly kind: 'close' }

export type FromThread =
  /** `others`: other processes have the file open. */
  | { readonly kind: 'open'; readonly others: boolean }
  /** It could not be opened, or is gone. The thread has let go of it, and ends. */
  | { readonly kind: 'refused'; readonly error: WireError }
  /** The file is at its path. */
  | { readonly kind: 'looked' }
  | { readonly kind: 'replies'; readonly replies: readonly NumberedReply[] }
  /** Another process changed the file, or died. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'ping' }
  /** The loop was silent for too long, and what it had claimed was given up. */
  | { readonly kind: 'stalled' }
  /** Something went wrong that no answer tells. */
  | { readonly kind: 'trouble'; readonly error: WireError }
