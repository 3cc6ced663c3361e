/** One job of very many ends each isolate in which it runs. Real threads and processes. */
import test from 'ava'
import { type Job, PoisonError } from '../../lib/index.ts'
import { type IsolatedQueue, isolated, kinds, listen } from '../support/isolated.ts'

const [jobs, width, crashLimit] = [1_000, 100, 3]

for (const kind of kinds) {
  test.serial(
    `${kind}: one poison job among ${jobs} at width ${width} on two isolates costs ${crashLimit} of them, and condemns nobody else`,
    async t => {
      const queue: IsolatedQueue = isolated(kind, { width, crashLimit, isolate: { count: 2 } })
      await queue.ready()
      const errors = listen(queue, 'error')
      const last = [...queue.isolates()].at(-1)?.id as number
      const orders = Array.from({ length: jobs - 1 }, (_, i) => ({ do: 'later' as const, ms: 5 + (i % 20) }))

      const first = await queue.putMany(orders.slice(0, width >> 1))
      const poison = await queue.put({ do: 'exit', ms: 10 })
      const condemned = t.throwsAsync<PoisonError>(poison.result, { instanceOf: PoisonError })
      const innocent: readonly Job[] = [...first, ...(await queue.putMany(orders.slice(width >> 1)))]
      const ends = await Promise.allSettled(innocent.map(({ result }) => result))
      const error = await condemned

      t.deepEqual([error?.crashes, poison.crashes], [crashLimit, crashLimit])
      t.deepEqual(
        errors.received.map(([ended]) => (ended as { code?: unknown }).code),
        Array(crashLimit).fill('ISOLATE_ENDED'),
      )
      // The poison was alone in the last one.
      t.like(errors.received.at(-1)?.[0] as object, { underway: 1, exitCode: 3 })
      t.is(ends.filter(({ status }) => status === 'fulfilled').length, jobs - 1)
      t.true(
        innocent.every(({ state, attempt, crashes }) => state === 'finished' && attempt === 1 && crashes < crashLimit),
      )
      t.deepEqual([queue.counts.finished, queue.counts.failed], [jobs - 1, 1])
      // Two at first, one in place of each that ended.
      t.true(Math.max(...queue.isolates().map(({ id }) => id)) <= last + 1 + crashLimit)
      await queue.stop()
    },
  )
}
