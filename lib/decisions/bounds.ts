/**
 * Bounds on the work of one exchange and of one transaction, so that none takes long. Bounds that only one algorithm
 * needs for itself, such as the size of a step of a read, are where the algorithm is.
 */

// Claims of an exchange.
/** The most jobs that one exchange claims. */
export const maxClaimed = 1_000
/** The most jobs that one claim passes over: jobs that end, or whose keys are held up. */
export const maxPassed = 1_000

// Contents of an exchange.
/**
 * The most settlements, even if their listeners are quick, because callers that await the results have work to do, too.
 */
export const maxSettlements = 512
/** The most cancel requests in one reply. */
export const maxCancelRequests = 500
/** The most crash reports in one reply. */
export const maxReportsInExchange = 500
/** The most requests for a verdict in one reply. */
export const maxVerdicts = 500

// Housekeeping of an exchange.
/** The most jobs without a worker that one exchange recovers, and the most that one transaction takes over. */
export const maxRecovered = 500
/** The most jobs that come due in one exchange, for each clock and key. */
export const maxMadeReady = 1_000
/** The most jobs of a cleared queue whose rows one exchange deletes. */
export const maxSwept = 500
/** The most ended jobs, besides as many as end in it, and the most remembered ids that one exchange forgets. */
export const maxPruned = 100

// Requests of a transaction.
/**
 * The most jobs that are put in one transaction: about half of what a queue may have in flight, so that the queue
 * prepares the next puts while these are stored. The jobs of a single call are never divided.
 */
export const maxJobsInTransaction = 1_000
