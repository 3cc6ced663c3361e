import test from 'ava'
import type { JobQuery } from '../../../lib/backlog.ts'
import { JobRecord } from '../../../lib/job.ts'
import { LazySession } from '../../../persistence/durable/lazy-session.ts'
import type { DurableSession } from '../../../persistence/durable/session.ts'

const job = new JobRecord('a', 1, 0, 0)
const all: JobQuery = { state: undefined, key: undefined, limit: 100, after: undefined }

/** A session of a name that somebody has made meanwhile, or nobody. */
function lazy(made: boolean): { readonly session: LazySession; readonly looks: boolean[] } {
  const looks: boolean[] = []
  const session = {
    exists: false,
    reattach: async (looksOnly: boolean) => {
      looks.push(looksOnly)
      session.exists = made
      return made
    },
    find: async () => job,
    list: async () => [job],
  }
  return { session: new LazySession(session as unknown as DurableSession), looks }
}

test('lazy session: the first query after somebody has made the name is answered by the store', async t => {
  t.is(await lazy(true).session.find('a'), job)
  t.deepEqual(await lazy(true).session.list(all), [job])
})

test('lazy session: while nobody has made the name, each query looks again, makes nothing and finds nothing', async t => {
  const { session, looks } = lazy(false)

  t.is(await session.find('a'), undefined)
  t.deepEqual(await session.list(all), [])
  t.deepEqual(looks, [true, true])
})

test('lazy session: once the name exists, queries go to the store without a look', async t => {
  const { session, looks } = lazy(true)
  await session.find('a')

  t.is(await session.find('a'), job)
  t.deepEqual(looks, [true])
})
