/** The connection of a link to its store: a thread, a socket or direct calls. */
import type { ClockMapping } from './clock-mapping.ts'
import type { NumberedReply, NumberedRequest } from './store.ts'

/** The link, as its connection notifies it. A connection never calls these from within a call of the link. */
export interface ConnectionEvents {
  /** The store accepts requests, for the first time or again after `disconnected`. */
  opened(): void
  /** Replies, in the order in which the store gave them. */
  replies(replies: readonly NumberedReply[]): void
  /** Queues should make an exchange: all, because another process changed the store or died; or only `queues`. */
  changed(queues?: readonly number[]): void
  /** This process did not answer its store for too long, and its claims were given up. */
  stalled(): void
  /** An error that belongs to no reply. */
  trouble(error: Error): void
  /**
   * The connection broke: requests that were sent and not answered may have been executed or not. The connection
   * reopens by itself and reports `opened`, or reports `failed`.
   */
  disconnected(cause: unknown): void
  /** The connection is over for good. Without a preceding `disconnected`, every executed request has been answered. */
  failed(error: Error): void
}

export interface Connection {
  /** How to map the store's instants. Valid from the first `opened` on. */
  readonly mapping: ClockMapping
  /** Whether replies come from outside of this thread, so that a clock that a test turns must wait for them. */
  readonly outside: boolean
  /** Opens the connection. Called once, before anything else. */
  start(events: ConnectionEvents): void
  /** Sends requests in order. Throws if one of them cannot be sent as it is; then none was sent. */
  send(requests: readonly NumberedRequest[]): void
  /** Whether the cause of a refusal may be temporary, so that the request is worth sending again. */
  isTransient(error: unknown): boolean
  /** Whether the connection keeps the process alive; at first it does not. */
  ref(): void
  unref(): void
  /**
   * Releases the store, once all sent requests have been answered. `disconnected` and `opened` are not reported any
   * more.
   */
  close(): Promise<void>
}
