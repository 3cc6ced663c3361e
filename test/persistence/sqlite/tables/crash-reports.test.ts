/** Reports on jobs of dead processes reach the queue that goes on with their name, whoever noticed the death and when. */
import test from 'ava'
import { maxUnreported } from '../../../../persistence/sqlite/tables/crash-reports.ts'
import { fileName, Process } from '../../../support/sqlite-store.ts'

type Parts = Parameters<Process['attach']>[0]

/** A process that only puts, and notices that another died while it ran so many jobs. */
const noticed = (count: number, parts: Parts = {}): { path: string; web: Process } => {
  const path = fileName()
  const [web, dead] = [new Process(path), new Process(path)]
  dead.attach(parts)
  web.attach({ works: false })
  web.put(Array.from({ length: count }, (_, i) => String(i)))
  // An exchange claims at most 1,000.
  for (let left = count; left > 0; left -= 1_000) dead.launch(Math.min(left, 1_000))
  dead.die()
  web.store.recover(dead.token, web.now, web.wall)
  return { path, web }
}
const worker = (path: string, parts: Parts = {}): Process => {
  const process = new Process(path)
  process.attach(parts)
  return process
}
type Exchange = ReturnType<Process['exchange']>
const payloads = ({ notices }: Exchange): string[] =>
  (notices?.recovered ?? []).map(({ payload }) => JSON.parse(payload))

test('crash reports: a process without a worker of the queue takes none; the next worker gets each once, in order', t => {
  const { path, web } = noticed(3)
  t.is(web.exchange({ works: false }).notices, undefined)
  web.die()

  const next = worker(path)

  t.deepEqual(payloads(next.exchange()), ['0', '1', '2'])
  t.is(next.exchange({ acknowledged: next.number }).notices, undefined)
  t.is(next.rows('rdq_crash_report'), 0)
})

test('crash reports: an exchange whose reply was lost reports the same again, also to a restarted thread', t => {
  const { path } = noticed(2)
  const p = worker(path)
  p.exchange()
  const { number } = p
  t.deepEqual(payloads(p.exchange({ number })), ['0', '1'])
  p.die()

  const again = new Process(path, { token: p.token })
  again.attach()

  t.deepEqual(payloads(again.exchange({ number })), ['0', '1'])
  t.deepEqual(payloads(again.exchange({ number: number + 1, acknowledged: number })), [])
  t.is(again.rows('rdq_crash_report'), 0)
})

test('crash reports: nothing is claimed before all of them are reported', t => {
  const { path } = noticed(700)
  const p = worker(path)

  const first = p.exchange({ room: 9 })
  const second = p.exchange({ room: 9, acknowledged: p.number })

  t.deepEqual(
    [first, second].flatMap(payloads),
    Array.from({ length: 700 }, (_, i) => String(i)),
  )
  // One suspect runs at a time.
  t.deepEqual([first.claimed.seqs.length, second.claimed.seqs.length], [0, 1])
  t.is(first.nextLookAt, 0)
})

test('crash reports: the newest are kept, and the number of dropped ones is reported with them', t => {
  const more = 3
  const { path } = noticed(maxUnreported + more)
  const p = worker(path)
  const first = p.exchange()

  t.is(first.notices?.droppedReports, more)
  t.is(payloads(first)[0], String(more))
  t.is(p.exchange({ number: p.number }).notices?.droppedReports, more)
  p.die()
  const other = worker(path)
  other.store.recover(p.token, other.now, other.wall)
  // It was not acknowledged, so the next one is told the same.
  let { notices } = other.exchange()
  t.is(notices?.droppedReports, more)
  let count = 0
  for (; notices && count <= maxUnreported; { notices } = other.exchange({ acknowledged: other.number }))
    count += notices.recovered.length
  t.is(count, maxUnreported)
  t.is(other.rows('rdq_crash_report'), 0)
})

test('crash reports: a transaction that is rolled back takes none', t => {
  const { path } = noticed(1)
  const p = worker(path)
  p.db.exec(`create temp trigger full before insert on rdq_last_exchange begin select raise(abort, 'full'); end`)
  t.throws(() => p.exchange(), { any: true, message: 'full' })
  p.db.exec('drop trigger full')

  t.deepEqual(payloads(p.exchange()), ['0'])
  t.is(p.exchange({ acknowledged: p.number }).notices, undefined)
  t.is(p.rows('rdq_crash_report'), 0)
})
