/** Results of jobs that another queue object, or another process, runs. */
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { remove, temporary } from '../support/temporary-folder.ts'

const folder = temporary('elsewhere')
test.after.always(() => remove(folder))

function pair(t: ExecutionContext, name: string, keep: { finished?: string; results?: boolean }) {
  const backlog = new SqliteBacklog(join(folder, `${name}.db`))
  const worker = new DispatchQueue<number, number>(
    async n => {
      if (n < 0) throw new Error(`no ${n}`)
      return n * 2
    },
    { name: 'q', backlog, width: 3, keep: keep as object },
  )
  worker.on('failed', () => {})
  const web = new DispatchQueue<number, number>(null, { name: 'q', backlog })
  t.teardown(() => Promise.all([web.stop(), worker.stop()]))
  return { worker, web }
}

test('elsewhere: a queue without a handler gets kept results and errors of the working queue', async t => {
  const { web } = pair(t, 'kept', { finished: '1h', results: true })

  const results = await Promise.allSettled([1, 2, -3, 4].map(n => web.run(n)))

  t.deepEqual(
    results.map(result => (result.status === 'fulfilled' ? result.value : (result.reason as Error).message)),
    [2, 4, 'no -3', 8],
  )
})

test('elsewhere: a result that was not kept rejects with ResultNotKeptError', async t => {
  const { web } = pair(t, 'not-kept', {})

  await t.throwsAsync(web.run(1), { code: 'RESULT_NOT_KEPT' })
})

test('elsewhere: a result that is outstanding when the queue stops rejects with willRunLater', async t => {
  const backlog = new SqliteBacklog(join(folder, 'later.db'))
  const web = new DispatchQueue<number, number>(null, { name: 'q', backlog })
  const run = web.run(1)
  await web.ready()
  const stop = web.stop()

  const error = await t.throwsAsync(run, { code: 'QUEUE_STOPPED' })

  t.like(error, { willRunLater: true })
  t.like(await stop, { returned: [], left: 1 })
})

const keep = { finished: '1h', results: true }

test('elsewhere: a result that is first read after the job has ended settles without further changes', async t => {
  const { worker, web } = pair(t, 'late', keep)
  const [kept, gone] = await Promise.all([web.put(1), web.put(2)])
  await worker.idle()
  await worker.remove(gone.id)

  const reported: unknown[] = []
  for (const { result } of [kept, gone]) {
    result.then(
      value => reported.push(value),
      error => reported.push(error.code),
    )
  }
  // They are answered behind it.
  for (let looks = 0; looks < 2; looks++) await web.jobs()

  t.deepEqual(reported, [2, 'RESULT_NOT_KEPT'])
})

test('elsewhere: all handles of a job that were read before are updated with its ending', async t => {
  const { worker, web } = pair(t, 'looked', keep)
  await worker.pause()
  const [job, failing] = await Promise.all([web.put(1, { id: 'a' }), web.put(-1, { id: 'b' })])
  const looked = [await worker.get('a'), await worker.get('a'), await worker.get('b'), await worker.get('b')]
  const before = looked.slice(0, 3).map(found => found?.result)
  const during = new Promise(resolve => worker.on('underway', ({ id }) => id === 'b' && resolve(looked[3]?.result)))
  t.is(typeof looked[0]?.asOf, 'number')
  worker.resume()

  t.deepEqual(await Promise.all(before.slice(0, 2)), [2, 2])
  await t.throwsAsync(before[2] as Promise<number>, { message: 'no -1' })
  await t.throwsAsync(during, { message: 'no -1' })
  t.is(await job.result, 2)
  // It was underway here by that record, which is live since.
  t.deepEqual([looked[0]?.asOf, looked[0]?.state], [undefined, 'finished'])
  await t.throwsAsync(failing.result, { message: 'no -1' })
})
