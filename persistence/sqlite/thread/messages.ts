/** The messages between the two threads, besides the requests themselves (durable/store.ts). */

import type { NumberedReply, NumberedRequest, WireError } from '../../durable/store.ts'

export type ToThread =
  | { readonly kind: 'requests'; readonly requests: readonly NumberedRequest[] }
  /** The event loop of the queue answers. */
  | { readonly kind: 'pong' }
  /** Check the file: somebody found another one at its path. */
  | { readonly kind: 'checkFile' }
  /** Close after all earlier requests. */
  | { readonly kind: 'close' }

export type FromThread =
  | { readonly kind: 'open' }
  /** The file could not be opened, or is gone. The thread has released it, and ends. */
  | { readonly kind: 'refused'; readonly error: WireError }
  /** The file is at its path. */
  | { readonly kind: 'fileChecked' }
  | { readonly kind: 'replies'; readonly replies: readonly NumberedReply[] }
  /** Queues should make an exchange: all, because another process changed the file or died; or only `queues`. */
  | { readonly kind: 'changed'; readonly queues?: readonly number[] }
  | { readonly kind: 'ping' }
  /** The event loop was silent for too long, so its claims were given up. */
  | { readonly kind: 'stalled' }
  /** An error that belongs to no reply. */
  | { readonly kind: 'trouble'; readonly error: WireError }
