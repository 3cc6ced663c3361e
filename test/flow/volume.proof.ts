/** A volume that no test has the time for: row F49 of our fault catalogue. */
import type { Job } from '../../lib/index.ts'
import { drain, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

/** The processor time of a change, in microseconds, while so many jobs wait. All of them run afterwards. */
async function changeTime(count: number, changes: number): Promise<{ readonly us: number; readonly finished: number }> {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<number, void>(() => {}, { clock, width: 10, paused: true })
  const jobs: Job<number, void>[] = []
  for (let from = 0; from < count; from += 50_000) {
    jobs.push(...(await queue.putMany(Array.from({ length: Math.min(50_000, count - from) }, (_, n) => n))))
  }
  const before = process.cpuUsage()
  for (let i = 0; i < changes; i++) {
    const job = jobs[(i * 31) % jobs.length] as Job<number, void>
    if (i % 3 === 0) await queue.reprioritize(job, (i % 17) - 8)
    else if (i % 3 === 1) await job.cancel()
    else await queue.remove(job)
  }
  const { user, system } = process.cpuUsage(before)
  queue.resume()
  await drain(queue as DispatchQueue, clock)
  const { finished } = queue.counts
  await queue.stop()
  return { us: (user + system) / changes, finished }
}

test('F49: put, queries, commands and runs take no longer with a hundred thousand jobs', async t => {
  // What is compiled and cached later must not count.
  await changeTime(1_000, 600)
  const few = await changeTime(2_000, 1_500)
  const many = await changeTime(100_000, 1_500)

  t.deepEqual([few.finished, many.finished], [1_000, 99_000])
  // Walking all that wait for each change would take 50 times as long.
  t.true(many.us < 5 * few.us, `${many.us} us a change, and ${few.us} us where a fiftieth of the jobs waits`)
  t.log(`${many.us.toFixed(0)} us a change, and ${few.us.toFixed(0)} us where a fiftieth of the jobs waits`)
})
