/**
 * Reports to queue objects, and the replies that carried them, kept until a queue object acknowledges them: crash
 * reports, and the parts of a reply that nothing else shows.
 */

import { type ExchangeStore, emptyReply, type LoggedReply } from '../execute/exchange.ts'
import type { DetachStore } from '../execute/recovery.ts'
import type { JobRow } from '../store.ts'

/** A report for a worker, and the exchange whose reply carried it; 0: none has so far. */
export interface Reported {
  /** Undefined: the next queue object with a handler, in any process. */
  worker: string | undefined
  exchange: number
}
export interface CrashReport extends Reported {
  readonly seq: number
  /** The job as it ended. */
  readonly row: JobRow | undefined
}
export interface KeptReply extends Reported {
  readonly reply: LoggedReply
}

/** A queue with what was reported of it, and what is to be. */
export interface ReportedQueue {
  reports: CrashReport[]
  replies: KeptReply[]
}

type ReportOperations<Queue> = Pick<
  ExchangeStore<Queue> & DetachStore<Queue, never>,
  'crashReportsIn' | 'takeCrashReports' | 'freeCrashReports' | 'loggedIn' | 'logReply' | 'acknowledge'
>

/** The operations of a worker on the reports of its queues. */
export function reportsOf<Queue extends ReportedQueue>(worker: string): ReportOperations<Queue> {
  const self: ReportOperations<Queue> = {
    crashReportsIn: ({ reports }, exchange) => {
      const reported = reports.filter(report => report.worker === worker && report.exchange === exchange)
      return { recovered: reported.map(({ seq, row }) => row ?? seq), dropped: 0, fillsReply: false }
    },
    takeCrashReports: (queue, exchange) => {
      const unreported = (to: string | undefined): CrashReport[] =>
        queue.reports.filter(report => report.worker === to && report.exchange === 0)
      // A process reports by itself, and first, what it gave up by itself.
      const own = unreported(worker)
      for (const report of own.length > 0 ? own : unreported(undefined)) Object.assign(report, { worker, exchange })
      return { ...self.crashReportsIn(queue, exchange), fillsReply: own.length > 0 }
    },
    freeCrashReports: ({ reports }) => freeCrashReports(reports, worker),
    loggedIn: ({ replies }, exchange) =>
      replies.find(one => one.worker === worker && one.exchange === exchange)?.reply ?? emptyReply,
    logReply: ({ replies }, { number: exchange }, reply) => void replies.push({ worker, exchange, reply }),
    acknowledge: (queue, last) => {
      const isNeeded = (one: Reported): boolean => one.worker !== worker || one.exchange === 0 || one.exchange > last
      queue.reports = queue.reports.filter(isNeeded)
      queue.replies = queue.replies.filter(isNeeded)
    },
  }
  return self
}
/** The worker, or its queue, is gone. Reports that it did not get, or did not acknowledge, go to the next one. */
export function freeCrashReports(reports: readonly CrashReport[], worker: string): void {
  for (const report of reports) if (report.worker === worker) Object.assign(report, { worker: undefined, exchange: 0 })
}
