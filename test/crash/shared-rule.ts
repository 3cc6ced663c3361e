/**
 * Two queues of different names share a named rule, and each has limits of its keys and a global width. Two processes
 * work on each queue. All four die at a point that is given, and four others do the rest. A log of the first and last
 * lines of bodies is judged by brute force.
 */
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { fullest } from '../support/fullest-window.ts'
import type { KillPoint } from '../support/kill-point.ts'
import { type Line, stopAll, type WorkerPool, workerPool } from '../support/worker-pool.ts'

const queues = ['mail', 'sms'] as const
export type Queue = (typeof queues)[number]

/** At which point each process of a queue dies: between its claim and its launch, say. */
export type KillPoints = Readonly<Record<Queue, readonly KillPoint[]>>

export const rule = { name: 'gateway', limit: 24, per: '2s' } as const
const perMs = 2_000
const width = 3
const globalWidth = 4
const keyWidth = 2
const keyRate = { limit: 8, per: '2s' } as const
const keysOfQueue = ['a', 'b', 'c'] as const
/** One key has most of the jobs, so that its width is reached. */
const keysByTurns = ['a', 'b', 'a', 'c', 'a'] as const
const jobsOfQueue = 20

/** Returns what is wrong. */
export async function dieWithSharedRule(killPoints: KillPoints): Promise<string[]> {
  const c = workerPool()
  await fill(c)
  const start = (queue: Queue, i: number, killPoint?: KillPoint) => {
    const who = `${queue}-${killPoint ? 'dies' : 'works'}-${i}`
    const keys = { width: keyWidth, rate: keyRate }
    const limits = { width, globalWidth, keys, rate: rule }
    const body = { body: 'long', crashLimit: 99, keep: { finished: '1d' } } as const
    return c.start({ who, queue, ...limits, ...body, ...(killPoint && { killPoint }) })
  }
  const dying = queues.flatMap(queue => killPoints[queue].map((point, i) => start(queue, i, point)))
  const ends = await Promise.all(dying.map(({ exited }) => exited))
  const workers = queues.flatMap(queue => [0, 1].map(i => start(queue, i)))
  await Promise.all(workers.map(worker => worker.reported('ready')))
  await Promise.all(workers.map(worker => worker.send('idle')))
  const counts = await Promise.all(workers.map(worker => worker.send('counts')))
  await stopAll(...workers)
  return [
    ...ends.filter(end => end !== 'SIGKILL').map(end => `a process ended with ${end}`),
    ...(counts as { finished: number }[])
      .filter(({ finished }) => finished !== jobsOfQueue)
      .map(({ finished }) => `${finished} of ${jobsOfQueue} jobs finished`),
    ...limitsExceeded(c.log()),
    ...c.checkFile(),
  ]
}

async function fill(c: WorkerPool): Promise<void> {
  const backlog = new SqliteBacklog(c.path)
  for (const name of queues) {
    const queue = new DispatchQueue<number>(null, { name, backlog })
    const payloads = Array.from({ length: jobsOfQueue }, (_, i) => i)
    await queue.putMany(payloads, i => ({ id: `${name}-${i}`, key: keyOf(i) }))
    await queue.stop()
  }
}
function keyOf(i: number): string {
  return keysByTurns[i % keysByTurns.length] as string
}

/** One body, from its first line to its last, or to the last line of a process that was killed. */
export interface Body {
  readonly queue: string
  readonly key: string
  readonly fromMs: number
  readonly toMs: number
}

/** The limits that the bodies of this log exceed. */
export function limitsExceeded(log: readonly Line[]): string[] {
  const bodies = bodiesOf(log)
  const wrong: string[] = []
  const starts = (of: readonly Body[]): number[] => of.map(({ fromMs }) => fromMs)
  const most = (what: string, found: number, limit: number): void => {
    if (found > limit) wrong.push(`${what}: ${found}, and ${limit} are allowed`)
  }
  most(`starts by the rule ${rule.name} in one window`, fullest(starts(bodies), perMs), rule.limit)
  for (const queue of queues) {
    const ofQueue = bodies.filter(body => body.queue === queue)
    most(`bodies of ${queue} at once`, mostAtOnce(ofQueue), globalWidth)
    for (const key of keysOfQueue) {
      const ofKey = ofQueue.filter(body => body.key === key)
      most(`bodies of key ${key} of ${queue} at once`, mostAtOnce(ofKey), keyWidth)
      most(`starts of key ${key} of ${queue} in one window`, fullest(starts(ofKey), perMs), keyRate.limit)
    }
  }
  return wrong
}

function bodiesOf(log: readonly Line[]): Body[] {
  return log
    .filter(({ what }) => what === 'start')
    .map(start => {
      const { who, job, more, atMs: fromMs } = start
      const over = log.find(line => line.what === 'over' && line.who === who && line.job === job && line.more === more)
      const [queue = '', n] = job.split('-')
      const lastMs = Math.max(...log.filter(line => line.who === who).map(({ atMs }) => atMs))
      return { queue, key: keyOf(Number(n)), fromMs, toMs: over?.atMs ?? lastMs }
    })
}
function mostAtOnce(bodies: readonly Body[]): number {
  return Math.max(
    0,
    ...bodies.map(({ fromMs }) => bodies.filter(of => of.fromMs <= fromMs && fromMs <= of.toMs).length),
  )
}
