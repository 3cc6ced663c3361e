/** The global width in the store: how many bodies of a name run in all processes together, and whose turn a slot is. */
import type { ContractTest } from '../contract.ts'
import { testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, endingsOf } from '../store-requests.ts'

export const globalWidths: ContractTest<StoreSubject>[] = []
const test = testsInto(globalWidths)

const jobs = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))
/** Two processes on a name of that global width, with as many jobs. */
const two = async (
  subject: StoreSubject,
  globalWidth: number,
  count: number,
): Promise<[StoreClient, StoreClient, Workers]> => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.attach({ globalWidth }), await db.attach()]
  await a.put(jobs(count))
  return [a, b, db]
}

test('globalWidth: it holds over all processes, and the end of a job in one is a slot for the other', async (t, subject) => {
  const [a, b] = await two(subject, 3, 9)
  const first = await a.claim(2)
  t.is(first.length, 2)
  t.is((await b.claim()).length, 1)
  t.deepEqual(await b.claimed(), [])
  t.deepEqual(await a.claimed(), [])

  await a.exchange({ settled: first })

  t.deepEqual(await b.claimed(), ['3', '4'])
})

test('globalWidth: a job that goes back, is retried later or was not launched frees its slot', async (t, subject) => {
  const [a, b] = await two(subject, 1, 2)
  const end = async (kind: NonNullable<Ending['kind']>, waitMs = 0): Promise<unknown> => {
    const [job] = (await a.claim(1)) as [Ending]
    t.deepEqual(await b.claimed(), [])
    await a.exchange({ settled: [{ ...job, kind, extras: { waitMs } }] })
    const after = await b.exchange({ room: 9 })
    await b.exchange({ settled: endingsOf(after).map(one => ({ ...one, kind: 'notLaunched' })) })
    return after.claimed.payloads
  }

  t.deepEqual(await end('interrupted'), ['"0"'])
  t.deepEqual(await end('notLaunched'), ['"0"'])
  t.deepEqual(await end('retry', 60_000), ['"1"'])
})

test('globalWidth: a body that goes on keeps its slot, until it ends or its process dies', async (t, subject) => {
  const [a, b] = await two(subject, 1, 3)
  const [first] = (await a.claim(1)) as [Ending]
  await a.exchange({ settled: [{ ...first, kind: 'cancelled', extras: { bodyContinues: true } }] })
  t.deepEqual(await b.claimed(), [])
  await a.exchange({ endedBodies: [first.seq] })
  const second = await b.claim(9)
  t.is(second.length, 1)

  await b.exchange({ settled: second.map(one => ({ ...one, kind: 'cancelled', extras: { bodyContinues: true } })) })
  t.deepEqual(await a.claimed(), [])
  await b.die()
  await a.recover(b)

  t.deepEqual(await a.claimed(), ['2'])
})

test('globalWidth: the bodies of a dead process stop counting once it is recovered, also while a verdict is awaited', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await db.attach({ globalWidth: 2, afterCrash: 'ask' })
  const b = await db.attach({ globalWidth: 2, afterCrash: 'ask' })
  await a.put(jobs(5))
  t.is((await b.launch()).length, 2)
  await b.die()
  t.deepEqual(await a.claimed(), [])

  await a.recover(b)

  const { notices } = await a.exchange({ acknowledged: a.number })
  t.is(notices?.needVerdict.length, 2)
  t.deepEqual(await a.claimed(), ['2', '3'])
})

test('globalWidth: an override is stored and reported to each process, and stays when the same value is declared again', async (t, subject) => {
  const [a, b, db] = await two(subject, 2, 9)
  t.is((await a.claim()).length, 2)

  const set = await b.command({ kind: 'globalWidth', width: 3 })
  t.like(set, { globalWidth: 3, overridden: { globalWidth: true } })
  const reported = await a.exchange({ room: 9 })
  t.deepEqual([reported.globalWidth, reported.claimed.seqs.length], [3, 1])

  const c = await db.open()
  t.is((await c.attach({ globalWidth: 2 })).globalWidth, 3)
  t.like(await c.attach({ globalWidth: 4 }), { globalWidth: 4, overridden: undefined })
  t.is((await c.claim()).length, 1)
  await c.command({ kind: 'globalWidth', width: 0 })
  const back = await c.command({ kind: 'clearOverrides', of: ['globalWidth'] })
  t.is(back.globalWidth, 4)
  t.is((await c.attach({ globalWidth: Infinity })).globalWidth, undefined)
  t.is((await b.claim()).length, 5)
})

test('globalWidth: lower than what runs it interrupts nothing, and nothing starts until fewer run', async (t, subject) => {
  const [a, b] = await two(subject, 3, 9)
  const running = await a.claim()
  await b.command({ kind: 'globalWidth', width: 1 })

  await a.exchange({ settled: running.slice(0, 2) })
  t.deepEqual(await b.claimed(), [])
  await a.exchange({ settled: running.slice(2) })

  t.deepEqual(await b.claimed(), ['3'])
})

test('globalWidth: explain names it for jobs that are due', async (t, subject) => {
  const [a] = await two(subject, 1, 2)
  const { first } = await a.put([{ payload: 'late', extras: { dueAt: 9_000 } }])
  await a.claim(1)

  t.like(await a.explain(first - 1), { why: 'globalWidth', position: 0, notBefore: a.now })
  t.like(await a.explain(first), { why: 'delay', notBefore: 9_000 })
})

// Exchanges.

/** The first process runs jobs, one at a time, and the other one has waited for a millisecond longer. */
const waiting = async (
  subject: StoreSubject,
): Promise<[StoreClient, StoreClient, Workers, () => Promise<readonly string[]>]> => {
  const [a, b, db] = await two(subject, 1, 99)
  let running = await a.claim()
  await b.claim()
  /** The job of the first process ends, and the process requests another one. */
  const goOn = async (): Promise<readonly string[]> => {
    const exchange = await a.exchange({ settled: running, room: 9 })
    running = endingsOf(exchange)
    return exchange.claimed.payloads
  }
  a.pass(1)
  await goOn()
  b.pass(1)
  return [a, b, db, goOn]
}
test('globalWidth: a process that has waited for a second gets the next slot', async (t, subject) => {
  const [a, b, , goOn] = await waiting(subject)
  a.pass(998)
  t.is((await goOn()).length, 1)

  a.pass(1)
  b.pass(999)
  t.is((await goOn()).length, 0)
  t.is((await a.exchange({ room: 9 })).nextLookAt, 2_000)

  t.is((await b.claim()).length, 1)
  t.deepEqual(await a.claimed(), [])
})

test('globalWidth: processes that wait get slots in the order in which they had one, or began to wait', async (t, subject) => {
  const [a, b, db, goOn] = await waiting(subject)
  const [c, d] = [await db.attach(), await db.attach()]
  await c.pass(200).claim()
  await d.pass(100).claim()
  for (const process of [a, b, c, d]) process.pass(5_000 - process.now)
  t.deepEqual(await goOn(), [])

  const order: string[] = []
  for (let i = 0; i < 8; i++) {
    for (const [name, process] of Object.entries({ c, d, a, b })) {
      const running = await process.claim()
      if (running.length === 0) continue
      order.push(name)
      for (const each of [a, b, c, d]) each.pass(1_100)
      await process.exchange({ settled: running })
      break
    }
  }

  t.deepEqual(order.join(''), 'badcbadc')
})

test('globalWidth: a process that takes slots in turn leaves to others only what is theirs', async (t, subject) => {
  const [a, b] = await two(subject, 4, 99)
  const running = await a.claim(3)
  t.is((await b.claim()).length, 1)
  a.pass(2_000)
  b.pass(2_000)

  const more = await a.exchange({ settled: running, room: 9 })

  t.is(more.claimed.seqs.length, 2)
  t.is((await b.claim()).length, 1)
})

test('globalWidth: a process that does not come for its slot is passed over after a second', async (t, subject) => {
  const [a, b, , goOn] = await waiting(subject)
  a.pass(3_000)
  t.deepEqual(await goOn(), [])
  t.deepEqual(await a.pass(999).claimed(), [])

  t.is((await a.pass(1).claimed()).length, 1)
  t.deepEqual(await b.pass(4_000).claimed(), [])
})

test('globalWidth: no process waits for one that is paused, has no free slot of its own, has stopped or has died', async (t, subject) => {
  const leaves: ((b: StoreClient, a: StoreClient) => Promise<unknown>)[] = [
    b => b.exchange({ room: 0, mayLaunch: false }),
    b => b.detach(),
    async (b, a) => {
      await b.die()
      await a.recover(b)
    },
  ]
  for (const leave of leaves) {
    const [a, b, , goOn] = await waiting(subject)
    a.pass(3_000)
    await leave(b, a)
    t.is((await goOn()).length, 1)
  }
  const [a, b, , goOn] = await waiting(subject)
  a.pass(3_000)
  t.deepEqual(await goOn(), [])
  await b.exchange({ room: 0 })
  t.is((await a.claim()).length, 1)
})

test('globalWidth: no process waits for one that finds nothing to start', async (t, subject) => {
  const [a, b] = await two(subject, 1, 2)
  const running = await a.claim(1)
  t.deepEqual(await b.claimed(), [])
  await a.command({ kind: 'clear', reason: undefined })
  await b.pass(100).claim()
  await a.pass(3_000).put(['x', 'y'])

  t.is((await a.exchange({ settled: running, room: 9 })).claimed.seqs.length, 1)
})
