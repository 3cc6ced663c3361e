/** What a key that has work costs, in memory and on a file: the figures of docs/design/limits.md. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { DispatchQueue, type KeysOptions, MemoryBacklog } from '../../lib/index.ts'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { until } from '../support/suspend.ts'
import { remove, temporary } from '../support/temporary-folder.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const jobs = 20_000
/** Each has a key of its own, or all the same. */
const keyOf = (i: number, many: boolean): string => (many ? `tenant-${i}` : 'tenant')

async function putAll(queue: DispatchQueue<number, void>, many: boolean): Promise<void> {
  for (let from = 0; from < jobs; from += 1_000) {
    await Promise.all(Array.from({ length: 1_000 }, (_, i) => queue.put(from + i, { key: keyOf(from + i, many) })))
  }
}

function heapUsed(): number {
  collect()
  return process.memoryUsage().heapUsed
}

/** Ends a queue, and waits until the collector has taken it: it lives on for a few turns of the loop. */
async function discard(queue: WeakRef<DispatchQueue<number, void>>): Promise<void> {
  await queue.deref()?.stop()
  do {
    await turn()
    collect()
  } while (queue.deref())
}

/** A queue on a backlog of its own with jobs that nothing starts. Only a weak reference to it is left. */
async function fill(keys: KeysOptions, many: boolean): Promise<WeakRef<DispatchQueue<number, void>>> {
  const queue = new DispatchQueue<number, void>(() => {}, {
    backlog: new MemoryBacklog(),
    keys,
    paused: true,
    size: Infinity,
  })
  await putAll(queue, many)
  return new WeakRef(queue)
}

async function heapOf(keys: KeysOptions, many: boolean): Promise<number> {
  const before = heapUsed()
  const queue = await fill(keys, many)
  const after = heapUsed()
  await discard(queue)
  return (after - before) / jobs
}

/** The bytes of the file for each job, once a claim has sorted all jobs by key. All keys are held. */
async function fileOf(many: boolean): Promise<number> {
  const folder = temporary('key-memory')
  const path = join(folder, 'jobs.db')
  const queue = new DispatchQueue<number, void>(() => {}, {
    name: 'keys',
    backlog: new SqliteBacklog(path),
    keys: { width: 0 },
  })
  try {
    await putAll(queue, many)
    const db = new (loadSqlite())(path, { timeout: 1_000 })
    const sorted = (): number =>
      Number((db.prepare('select count(*) as n from rdq_pending_by_key').get() as { n: number }).n)
    await until(() => sorted() === jobs, 'all jobs were sorted by key')
    db.close()
    await queue.stop()
    return statSync(path).size / jobs
  } finally {
    await queue.stop()
    remove(folder)
  }
}

// One after the other: what the other test puts on a file is on the same heap.
test.serial('a key that has a job takes at most half a KB in memory, and at most 1.5 KB if it has a rate', async t => {
  await heapOf({ width: 2 }, true) // the code is compiled before anything is measured
  const one = await heapOf({ width: 2 }, false)
  const many = await heapOf({ width: 2 }, true)
  const rated = await heapOf({ width: 2, rate: { limit: 10, per: '1s' } }, true)

  t.log(`bytes a key: ${Math.round(many - one)}, with a rate ${Math.round(rated - one)}`)
  t.true(many - one > 0 && many - one <= 512, `${many - one} bytes`)
  t.true(rated - one <= 1_536, `${rated - one} bytes`)
})

test.serial('a key that has a job takes at most 300 bytes on a file', async t => {
  const one = await fileOf(false)
  const many = await fileOf(true)

  t.log(`bytes a key: ${Math.round(many - one)}`)
  t.true(many - one <= 300, `${many - one} bytes`)
})
