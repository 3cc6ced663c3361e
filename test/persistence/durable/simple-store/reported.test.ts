/** Crash reports and kept replies, until a queue object acknowledges them. */
import test from 'ava'
import type { LoggedReply } from '../../../../persistence/durable/execute/exchange.ts'
import { emptyReply } from '../../../../persistence/durable/execute/exchange.ts'
import { type ReportedQueue, reportsOf } from '../../../../persistence/durable/simple-store/reported.ts'
import type { ExchangeRequest } from '../../../../persistence/durable/store.ts'

const crash = (seq: number, worker?: string) => ({ seq, row: undefined, worker, exchange: 0 })
const queueOf = (...reports: ReportedQueue['reports']): ReportedQueue => ({ reports, replies: [] })
const exchange = (number: number) => ({ number }) as ExchangeRequest
const reply: LoggedReply = { ...emptyReply, lostRuns: [7] }

test('reported: one exchange of one worker takes the reports that no worker has', t => {
  const queue = queueOf(crash(1), crash(2))

  t.deepEqual(reportsOf('a').takeCrashReports(queue, 5).recovered, [1, 2])
  t.deepEqual(reportsOf('b').takeCrashReports(queue, 6).recovered, [])
  t.deepEqual(reportsOf('a').takeCrashReports(queue, 7).recovered, [])
})

test('reported: a worker reports the jobs that it gave up itself first, and claims none meanwhile', t => {
  const queue = queueOf(crash(1), crash(2, 'a'), crash(3, 'b'))
  const worker = reportsOf<ReportedQueue>('a')

  t.like(worker.takeCrashReports(queue, 5), { recovered: [2], fillsReply: true })
  t.like(worker.takeCrashReports(queue, 6), { recovered: [1], fillsReply: false })
})

test('reported: a repeated exchange reports the same, until it is acknowledged', t => {
  const queue = queueOf(crash(1))
  const worker = reportsOf<ReportedQueue>('a')
  worker.takeCrashReports(queue, 5)

  t.deepEqual(worker.crashReportsIn(queue, 5).recovered, [1])
  worker.acknowledge(queue, 4)
  t.deepEqual(worker.crashReportsIn(queue, 5).recovered, [1])
  worker.acknowledge(queue, 5)
  t.deepEqual([worker.crashReportsIn(queue, 5).recovered, queue.reports], [[], []])
})

test('reported: the reports of a worker that leaves go to the next one, and those of others stay with them', t => {
  const queue = queueOf(crash(1), crash(2, 'b'))
  reportsOf('a').takeCrashReports(queue, 5)

  reportsOf('a').freeCrashReports(queue)

  t.deepEqual(reportsOf('c').takeCrashReports(queue, 1).recovered, [1])
})

test('reported: a kept reply belongs to its worker and exchange, and goes when it is acknowledged', t => {
  const queue = queueOf()
  const worker = reportsOf<ReportedQueue>('a')
  worker.logReply(queue, exchange(5), reply)

  t.is(worker.loggedIn(queue, 5), reply)
  t.is(worker.loggedIn(queue, 6), emptyReply)
  t.is(reportsOf('b').loggedIn(queue, 5), emptyReply)
  reportsOf<ReportedQueue>('b').acknowledge(queue, 9)
  t.is(worker.loggedIn(queue, 5), reply)
  worker.acknowledge(queue, 5)
  t.is(worker.loggedIn(queue, 5), emptyReply)
})
