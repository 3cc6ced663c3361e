/** The sizes and bounds of requests to a durable store. */
import type { Transport } from '../../lib/backlog.ts'

/**
 * For a store that takes about a millisecond to reply. Larger batches would delay the event loop, and the exchanges
 * behind them.
 */
export const defaultTransport: Transport = { batchSize: 128, batchesInFlight: 4, exchangesInFlight: 4 }

/** Bounds on puts that a link has sent and that are unanswered, over all its queues. Further puts wait in the link. */
export const maxUnansweredJobs = 10_000
export const maxUnansweredBytes: number = 16 * 2 ** 20
