/** What a link needs of its way to a store, be that a thread, a socket or a call. */
import type { ClockMapping } from './clock-mapping.ts'
import type { NumberedReply, NumberedRequest } from './store.ts'

/** What a connection reports to its link. None is called from within a call of the link. */
export interface ConnectionEvents {
  /**
   * The store takes requests, for the first time or again after `lost`.
   *
   * @param others Whether other processes use the store: they may have run and forgotten what was put from here.
   */
  opened(others: boolean): void
  /** In the order in which the store answered. */
  replies(replies: readonly NumberedReply[]): void
  /** Another process changed the store, or died. */
  changed(): void
  /** This process did not answer its store for too long, and what it had claimed was given up. */
  stalled(): void
  /** Something went wrong that no reply reports. */
  trouble(error: Error): void
  /**
   * The connection broke: what was sent and not answered may be done or not. It opens again by itself, as `opened` reports,
   * or reports `failed`.
   */
  lost(cause: unknown): void
  /** The connection is over for good. Without `lost` before it, all that was done has been answered. */
  failed(error: Error): void
}

export interface Connection {
  /** How the store's instants are read. Valid from the first `opened` on. */
  readonly mapping: ClockMapping
  /** Whether replies come from outside of this thread: a clock that a test turns waits for them. */
  readonly outside: boolean
  /** Opens the connection. Called once, before anything else. */
  start(events: ConnectionEvents): void
  /** Sends requests in order. Throws where one of them cannot be sent as it is; then none was. */
  send(requests: readonly NumberedRequest[]): void
  /** Whether an error with which a request was refused may pass by itself, so that it is worth sending again. */
  isTransient(error: unknown): boolean
  /** Whether the connection keeps the process alive; at first it does not. */
  ref(): void
  unref(): void
  /** Lets go of the store, once all that was sent has been answered. `lost` and `opened` are not reported any more. */
  close(): Promise<void>
}
