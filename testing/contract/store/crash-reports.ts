/**
 * Reports on jobs of dead processes reach the queue that continues with their name, whichever process noticed the death
 * and when.
 */
import type { ExchangeReply } from '../../../persistence/durable/store.ts'
import { type ContractTest, rejects, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import { keep } from '../store-requests.ts'

export const crashReports: ContractTest<StoreSubject>[] = []
const test = testsInto(crashReports)

type Parts = Parameters<StoreClient['attach']>[0]

/** A process that only puts, and notices that another one died while it ran this many jobs. */
const noticed = async (
  subject: StoreSubject,
  count: number,
  parts: Parts = {},
): Promise<{ db: Workers; web: StoreClient }> => {
  const db = await Workers.of(subject)
  const [web, dead] = [await db.open(), await db.open()]
  await dead.attach(parts)
  await web.attach({ works: false })
  await web.put(Array.from({ length: count }, (_, i) => String(i)))
  // An exchange claims at most 1,000.
  for (let left = count; left > 0; left -= 1_000) await dead.launch(Math.min(left, 1_000))
  await dead.die()
  await web.recover(dead)
  return { db, web }
}
const worker = async (db: Workers, parts: Parts = {}): Promise<StoreClient> => {
  const process = await db.open()
  await process.attach(parts)
  return process
}
const payloads = ({ notices }: ExchangeReply): string[] =>
  (notices?.recovered ?? []).map(({ payload }) => JSON.parse(payload))

test('crash reports: a process without a worker of the queue takes none; the next worker gets each once, in order', async (t, subject) => {
  const { db, web } = await noticed(subject, 3)
  t.is((await web.exchange({ works: false })).notices, undefined)
  await web.die()

  const next = await worker(db)

  t.deepEqual(payloads(await next.exchange()), ['0', '1', '2'])
  t.is((await next.exchange({ acknowledged: next.number })).notices, undefined)
})

test('crash reports: only one of two workers gets a report', async (t, subject) => {
  const { db } = await noticed(subject, 2)
  const [first, second] = [await worker(db), await worker(db)]

  t.deepEqual([await first.exchange(), await second.exchange()].map(payloads), [['0', '1'], []])
})

test('crash reports: a job that ended by the crash is reported as it ended, even if it is not kept', async (t, subject) => {
  const parts = { afterCrash: 'fail', keep: { ...keep, failedMs: 0 } } as const
  const { db } = await noticed(subject, 1, parts)

  const { notices } = await (await worker(db, parts)).exchange()

  t.like(notices, { recovered: [{ state: 'failed', payload: '"0"', crashes: 1 }] })
  t.deepEqual(notices?.endedByRecovery, [notices?.recovered[0]?.seq])
})

test('crash reports: reports that a worker did not acknowledge before it died go to the next one', async (t, subject) => {
  const { db, web } = await noticed(subject, 2)
  const first = await worker(db)
  const { number } = (await first.exchange()) && first
  await first.die()
  await web.recover(first)

  const second = await worker(db)
  t.deepEqual(payloads(await second.exchange()), ['0', '1'])
  t.is(number, second.number)
  await second.exchange({ acknowledged: second.number })
  await second.die()
  await web.recover(second)

  t.deepEqual(payloads(await (await worker(db)).exchange()), [])
})

test('crash reports: reports that a queue did not acknowledge before it stopped go to the next one', async (t, subject) => {
  const { db } = await noticed(subject, 2)
  const p = await worker(db)
  await p.exchange()
  await p.detach()

  t.deepEqual(payloads(await (await worker(db)).exchange()), ['0', '1'])
})

test('crash reports: reports that a queue acknowledges as it stops are not sent again', async (t, subject) => {
  const { db } = await noticed(subject, 2)
  const p = await worker(db)
  await p.exchange()
  await p.detach({ acknowledged: p.number })

  t.deepEqual(payloads(await (await worker(db)).exchange()), [])
})

test('crash reports: an exchange whose reply was lost reports the same again, also to a restarted worker', async (t, subject) => {
  const { db } = await noticed(subject, 2)
  const p = await worker(db)
  await p.exchange()
  const { number } = p
  t.deepEqual(payloads(await p.exchange({ number })), ['0', '1'])
  await p.die()

  const repeated = await db.open(p.token)
  await repeated.attach()

  t.deepEqual(payloads(await repeated.exchange({ number })), ['0', '1'])
  t.deepEqual(payloads(await repeated.exchange({ number: number + 1, acknowledged: number })), [])
})

test('crash reports: an exchange claims nothing while more are to be reported', async (t, subject) => {
  const { db } = await noticed(subject, 700)
  const p = await worker(db)
  const reported: string[] = []
  let exchange: ExchangeReply
  do {
    exchange = await p.exchange({ room: 9, acknowledged: p.number })
    reported.push(...payloads(exchange))
    t.is(exchange.claimed.seqs.length, reported.length === 700 ? 1 : 0)
  } while (reported.length < 700 && exchange.nextLookAt <= p.now)

  t.deepEqual(
    reported,
    Array.from({ length: 700 }, (_, i) => String(i)),
  )
})

test('crash reports: a process whose loop was silent for too long gets the reports on its own jobs', async (t, subject) => {
  const db = await Workers.of(subject)
  const [p, other] = [await worker(db), await worker(db)]
  await p.put(['a'])
  await p.claim()

  await p.surrender()

  t.deepEqual([await other.exchange(), await p.exchange()].map(payloads), [[], ['a']])
})

test('crash reports: if a silent process then dies, another one gets them', async (t, subject) => {
  const db = await Workers.of(subject)
  const [p, other] = [await worker(db), await worker(db)]
  await p.put(['a'])
  await p.claim()
  await p.surrender()
  await p.die()

  await other.recover(p)

  t.deepEqual(payloads(await other.exchange()), ['a'])
})

test('crash reports: a transaction that is rolled back takes none', async (t, subject) => {
  const { db } = await noticed(subject, 1)
  const p = await worker(db)
  const mend = p.breakCommits()
  t.true(await rejects(p.exchange()))
  mend()

  t.deepEqual(payloads(await p.exchange()), ['0'])
  t.is((await p.exchange({ acknowledged: p.number })).notices, undefined)
})
