/** Jobs whose ids were made are found by them, though no index has them. */
import test, { type ExecutionContext } from 'ava'
import { makeId, nextSerial } from '../../../../lib/job-id.ts'
import { type Put, wall } from '../../../../testing/contract/store-requests.ts'
import { fileName, Process } from '../../../support/sqlite-store.ts'

/** Ids as a queue makes them: each job of a batch takes a serial, also one whose id is given. */
function batch(count: number, given: Readonly<Record<number, string>> = {}): Put[] {
  return Array.from({ length: count }, (_, i) => {
    const made = makeId(wall, nextSerial())
    const id = given[i]
    if (id === undefined) return { id: made, payload: made }
    return { id, payload: id, extras: { fingerprint: `of ${id}` } }
  })
}
function isFound(t: ExecutionContext, p: Process, puts: readonly Put[]): void {
  for (const { id } of puts) t.is(p.find(id as string)?.payload, JSON.stringify(id), `${id}`)
}
function opened(path?: string): Process {
  const p = new Process(path)
  p.attach()
  return p
}

test('generated ids: each job of a batch is found by its own id alone', t => {
  const p = opened()
  const puts = batch(200)
  p.put(puts)

  isFound(t, p, puts)
  const [before, after] = [makeId(wall, 0), makeId(wall, nextSerial())]
  const [of] = puts as [Put]
  const otherTime = makeId(wall + 1, 0).slice(0, 10) + (of.id as string).slice(10)
  const otherProcess = (of.id as string).replace(/-.{8}-/, '-somebody-')
  for (const id of [before, after, otherTime, otherProcess, '']) t.is(p.find(id), undefined, id)
})

test('generated ids: consecutive batches share one row, and each queue has rows of its own', t => {
  const p = opened()
  const puts = [batch(100), batch(1), batch(50)]
  for (const put of puts) p.put(put)
  t.is(p.rows('rdq_generated_ids'), 1)

  const first = p.queue
  p.attach({ name: 'other' })
  const others = batch(3)
  p.put(others)
  const other = p.queue
  p.queue = first
  const more = batch(2)
  p.put(more)

  t.is(p.rows('rdq_generated_ids'), 3)
  isFound(t, p, [...puts.flat(), ...more])
  t.is(p.find(others[0]?.id as string), undefined)
  p.queue = other
  isFound(t, p, others)
})

test('generated ids: jobs around ones with given ids, new or existing, are still found', t => {
  const p = opened()
  p.put(batch(1, { 0: 'there' }))
  const puts = batch(120, { 0: 'there', 40: 'new', 41: 'there', 119: 'newer' })

  t.is(p.put(puts).existed.length, 2)

  isFound(t, p, puts)
})

test('generated ids: a given id that equals a generated one finds its job', t => {
  const p = opened()
  const [job] = batch(1) as [Put]
  const { first } = p.put([job])

  const { existed } = p.put([{ ...job, extras: { fingerprint: 'f' } }])

  t.is(existed[0]?.[1].seq, first)
})

test('generated ids: a put that is rolled back leaves no row to extend', t => {
  const p = opened()
  p.put(batch(2))
  const [kept, undone, after] = [batch(2), batch(2), batch(2)]
  p.db.exec(`create trigger refuse before insert on rdq_job when (select count(*) from rdq_job) >= 5
    begin select raise(abort, 'no'); end`)
  p.put(kept)
  t.throws(() => p.put(undone), { any: true })
  p.db.exec('drop trigger refuse')

  p.put(after)

  isFound(t, p, [...kept, ...after])
  for (const { id } of undone) t.is(p.find(id as string), undefined)
})

test('generated ids: a row is removed with the last of its jobs, and is found after a restart until then', t => {
  const path = fileName()
  const before = opened(path)
  const [first, second] = [batch(100), batch(100)]
  before.put(first)
  before.attach({ name: 'between' })
  before.put(batch(1))
  before.attach()
  before.put(second)
  before.die()

  const after = opened(path)
  isFound(t, after, [...first, ...second])
  after.exchange({ settled: after.claim(100) })
  t.is(after.rows('rdq_generated_ids'), 2)
  t.is(after.find(first[0]?.id as string), undefined)
  isFound(t, after, second)

  after.pass(1_000).exchange({ settled: after.claim(99) })
  t.is(after.rows('rdq_generated_ids'), 2)
  isFound(t, after, second.slice(99))
  after.exchange({ settled: after.claim(1) })
  after.pass(1_000).exchange()
  t.is(after.rows('rdq_generated_ids'), 1)
})

test('generated ids: a row without jobs is removed however many rows of waiting jobs stand before it', t => {
  const p = opened()
  for (let i = 0; i < 250; i++) {
    // A serial that another queue took, so that each put has a row of its own.
    nextSerial()
    p.put(batch(1).map(put => ({ ...put, priority: i === 249 ? 0 : 1 })))
  }
  t.is(p.rows('rdq_generated_ids'), 250)

  p.exchange({ settled: p.claim(1) })
  for (let i = 0; i < 3; i++) p.exchange()

  t.is(p.rows('rdq_generated_ids'), 249)
})
