/**
 * The file that jobs wait in, the queue on it, and what the jobs are. It is in the temporary folder (TMPDIR), which should
 * be on a disk: in memory a commit costs nothing.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rdq, sqlite } from '../rdq.mjs'

export const width = 100
export const longestPutMany = 50_000

export const file = join(tmpdir(), 'jobs.db')
export const payloadOf = i => ({ to: `+3161${String(i).padStart(7, '0')}`, text: 'Your parcel is on its way.', n: i })
export const payloadsOf = n => Array.from({ length: n }, (_, i) => payloadOf(i))

export async function queueOnFile(handler, { durability = 'power', path = file, ...options } = {}) {
  const { SqliteBacklog } = await sqlite()
  const { DispatchQueue } = await rdq()
  const queue = new DispatchQueue(handler, {
    ...{ name: 'bench', backlog: new SqliteBacklog(path, { durability }) },
    ...(handler && { width }),
    ...options,
  })
  await queue.ready()
  return queue
}

/** Peers as their READMEs show them. `plainjob` has no width: a worker runs one job at a time. */
export async function plainjobOn(path, synchronous) {
  const { better, defineQueue, defineWorker } = await import('plainjob')
  const { default: Database } = await import('better-sqlite3')
  const connection = better(new Database(path))
  const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
  const queue = defineQueue({ connection, logger })
  if (synchronous) connection.pragma(`synchronous = ${synchronous}`)
  return { queue, workerOf: (name, work, options) => defineWorker(name, work, { queue, logger, ...options }) }
}

export function count(n) {
  return n.toLocaleString('en-US')
}

export function ignore() {}
