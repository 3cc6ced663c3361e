/**
 * A queue that works and one that only puts, looks and changes, in one process and under one name: each hears what is
 * for it.
 */
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Backlog, DispatchQueue, MemoryBacklog, type QueueOptions } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { NaiveBacklog } from '../support/naive-backlog.ts'
import { remove, temporary } from '../support/temporary-folder.ts'
import { endAll, workerPool } from '../support/worker-pool.ts'

const folder = temporary('beside')
let files = 0
test.after.always(() => remove(folder))
test.after.always(() => endAll())

type Worker = DispatchQueue<number, unknown>
interface Pair {
  readonly web: DispatchQueue<number, unknown>
  readonly worker: Worker
}

const inFile = (): Backlog => new SqliteBacklog(join(folder, `${++files}.db`))
const backlogs: readonly (readonly [string, () => Backlog])[] = [
  ['memory', () => new MemoryBacklog()],
  ['sqlite', inFile],
  ['naive', () => new NaiveBacklog()],
]

const seen = (queue: Worker, event: 'underway' | 'recovered'): Promise<unknown> =>
  new Promise(resolve => queue.once(event, resolve))

/** The one that only looks is there first, for what comes to the process would come to it first. */
async function pair(
  t: ExecutionContext,
  handler: ConstructorParameters<typeof DispatchQueue<number, unknown>>[0] = () => {},
  options: Partial<QueueOptions<number, unknown>> = {},
): Promise<Pair> {
  const { backlog = inFile() } = options
  const web = new DispatchQueue<number, unknown>(null, { name: 'q', backlog })
  await web.ready()
  const worker = new DispatchQueue<number, unknown>(handler, { name: 'q', ...options, backlog })
  await worker.ready()
  t.teardown(() => Promise.all([web.stop(), worker.stop({ cancelUnderway: true })]))
  return { web, worker }
}

for (const [named, backlog] of backlogs) {
  test(`${named}: beside: a cancel reaches a running job, whichever queue object requests it`, async t => {
    const { web, worker } = await pair(
      t,
      (_, task) => new Promise(resolve => task.signal.addEventListener('abort', resolve)),
    )
    const job = await worker.put(1)
    const result = t.throwsAsync(job.result, { code: 'CANCELLED' })
    await seen(worker, 'underway')

    t.true(await web.cancel(job.id, 'enough'))

    await result
  })

  test(`${named}: beside: a job that one queue object cancels, removes or clears settles for callers that wait in the other`, async t => {
    const { web, worker } = await pair(t, () => {}, { width: 0, backlog: backlog() })
    const [a, b, c] = await worker.putMany([1, 2, 3])
    const results = Promise.allSettled([a, b, c].map(job => job?.result))

    await web.cancel(a?.id as string)
    await web.remove(b?.id as string)
    const idle = worker.idle()
    await web.clear()

    await idle
    // Of a job that was removed elsewhere the file cannot tell how it ended.
    const removed = named === 'memory' ? 'CANCELLED' : 'RESULT_NOT_KEPT'
    t.deepEqual(
      (await results).map(result => result.status === 'rejected' && (result.reason as { code: string }).code),
      ['CANCELLED', removed, 'CANCELLED'],
    )
  })

  test(`${named}: beside: a waiting put is accepted when the other queue object frees space`, async t => {
    const { web, worker } = await pair(t, () => {}, { width: 0, size: 1, overflow: 'wait', backlog: backlog() })
    const first = await worker.put(1)
    const second = worker.put(2)

    await web.cancel(first.id)

    t.is((await second).state, 'pending')
  })

  test(`${named}: beside: a retried job does not run beside its old body, whichever queue object retries it`, async t => {
    const ends: (() => void)[] = []
    const { web, worker } = await pair(t, () => new Promise<void>(resolve => ends.push(resolve)), {
      ...{ width: 2, backlog: backlog() },
    })
    const job = await worker.put(1)
    await seen(worker, 'underway')
    await worker.cancel(job)

    const retried = web.retry(job.id)
    await Promise.race([retried, new Promise(resolve => setTimeout(resolve, 250))])
    const { closing, pending, underway } = worker.counts
    t.deepEqual([closing, pending, underway, ends.length], [1, 0, 0, 1])
    const again = seen(worker, 'underway')
    ends[0]?.()
    await again

    await retried
    t.deepEqual([worker.counts.closing, worker.counts.underway, ends.length], [0, 1, 2])
    ends[1]?.()
  })

  test(`${named}: beside: a cancel of a job whose run is just going back takes effect`, async t => {
    const fails: ((error: Error) => void)[] = []
    const { web, worker } = await pair(t, () => new Promise((_, reject) => fails.push(reject)), {
      ...{ retry: { attempts: 5, delay: '1h' }, backlog: backlog() },
    })
    const job = await worker.put(1)
    const result = t.throwsAsync(job.result, { code: 'CANCELLED' })
    await seen(worker, 'underway')

    fails[0]?.(new Error('no'))
    t.true(await web.cancel(job.id))

    await result
    t.is(fails.length, 1)
  })

  test(`${named}: beside: a job whose body a stop has abandoned can be retried, and starts at once`, async t => {
    const { web, worker } = await pair(t, () => new Promise(() => {}), { backlog: backlog() })
    const job = await worker.put(1)
    await seen(worker, 'underway')
    await worker.cancel(job)
    t.is((await worker.stop({ cancelUnderway: true })).abandoned.length, 1)

    t.is((await web.retry(job.id)).state, 'pending')
  })
}

test('beside: crashes are reported to the working queue object, which alone can give verdicts', async t => {
  const c = workerPool()
  const dying = c.start({ who: 'dying', body: 'hang', puts: 1 })
  await dying.reported('underway')
  const requested: string[] = []
  const afterCrash = async ({ id }: { readonly id: string }): Promise<'finished'> => {
    requested.push(id)
    return 'finished'
  }
  const { web, worker } = await pair(t, () => {}, { afterCrash, backlog: new SqliteBacklog(c.path) })
  web.on('recovered', () => t.fail())
  const recovered = seen(worker, 'recovered')

  dying.kill()
  await dying.exited

  await recovered
  await worker.idle()
  t.deepEqual(requested, ['dying-0'])
  t.is(worker.counts.finished, 1)
})

test('beside: a clear of more jobs than it lists ends each awaited one, and emits its ending', async t => {
  const { web, worker } = await pair(t, () => {}, { width: 0 })
  let notified = 0
  worker.on('cancelled', () => void notified++)
  const runs = Promise.allSettled(Array.from({ length: 1_500 }, (_, n) => worker.run(n)))
  const other = t.throwsAsync(web.run(-1), { code: 'CANCELLED' })
  while (worker.counts.pending < 1_501) await new Promise(setImmediate)

  t.is(await worker.clear(), 1_501)

  const codes = (await runs).map(run => run.status === 'rejected' && (run.reason as { code: string }).code)
  t.deepEqual([new Set(codes), notified], [new Set(['CANCELLED']), 1_500])
  await other
  await worker.idle()
  while ((await web.jobs({ state: 'cancelled', limit: 2_000 })).length < 1_501) await new Promise(setImmediate)
  t.is(web.counts.cancelled, 1_501)
})
