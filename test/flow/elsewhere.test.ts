/** Results of jobs that another queue object, or another process, runs. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'rdq-elsewhere-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

function pair(name: string, keep: { finished?: string; results?: boolean }) {
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
  return { worker, web }
}

test('elsewhere: a queue that only puts gets the results that the one that works keeps, and its errors', async t => {
  const { worker, web } = pair('kept', { finished: '1h', results: true })

  const results = await Promise.allSettled([1, 2, -3, 4].map(n => web.run(n)))

  t.deepEqual(
    results.map(result => (result.status === 'fulfilled' ? result.value : (result.reason as Error).message)),
    [2, 4, 'no -3', 8],
  )
  await web.stop()
  await worker.stop()
})

test('elsewhere: a result that was not kept rejects and says so, and never stays open', async t => {
  const { worker, web } = pair('not-kept', {})

  await t.throwsAsync(web.run(1), { code: 'RESULT_NOT_KEPT' })

  await web.stop()
  await worker.stop()
})

test('elsewhere: a result that had not come when the queue stopped says that the job runs later', async t => {
  const backlog = new SqliteBacklog(join(folder, 'later.db'))
  const web = new DispatchQueue<number, number>(null, { name: 'q', backlog })
  const run = web.run(1)
  await web.ready()
  const stop = web.stop()

  const error = await t.throwsAsync(run, { code: 'QUEUE_STOPPED' })

  t.like(error, { willRunLater: true })
  t.like(await stop, { returned: [], left: 1 })
})
