import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import { nextSerial } from '../../../lib/job-id.ts'
import { PlainJobs } from '../../../lib/put/plain-jobs.ts'
import { JobIndex } from '../../../persistence/memory/job-index.ts'

const job = (id = ''): JobRecord => {
  const record = new JobRecord(id, undefined, 0, 1)
  record.seq = nextSerial()
  if (id !== '') record.ensureExtras().fingerprint = 'f'
  return record
}

test('job index: jobs are found by record, by generated id and by given id until they are dropped', t => {
  const ledger = new JobIndex()
  const [made, given] = [job(), job('mine')]
  ledger.add(made)
  ledger.add(given)
  t.is(ledger.find(made), made)
  t.is(ledger.find(made.id), made)
  t.is(ledger.find('mine'), given)
  t.is(ledger.find('other'), undefined)
  t.is(ledger.find(job()), undefined)
  t.deepEqual([...ledger.entries()], [made, given])
  ledger.drop(made, 0, 10, Infinity)
  t.is(ledger.find(made.id), undefined)
  t.deepEqual([...ledger.entries()], [given])
})

test('job index: a given id is remembered for its time, and a generated one not at all', t => {
  const ledger = new JobIndex()
  const [made, given] = [job(), job('mine')]
  for (const record of [made, given]) {
    ledger.add(record)
    ledger.drop(record, 100, 10, Infinity)
  }
  t.is(ledger.recall(made.id, 100), undefined)
  t.deepEqual(ledger.recall('mine', 109), {
    id: 'mine',
    fingerprint: 'f',
    state: 'pending',
    forgetAt: 110,
  })
  t.is(ledger.recall('mine', 110), undefined)
})

test('job index: pruning forgets at most the given number of ids, and only ids whose time is over', t => {
  const ledger = new JobIndex()
  for (const [id, now] of [
    ['a', 0],
    ['b', 0],
    ['c', 50],
  ] as const) {
    const record = job(id)
    ledger.add(record)
    ledger.drop(record, now, 10, Infinity)
  }
  ledger.prune(20, 1, Infinity)
  t.is(ledger.recall('a', 5), undefined)
  t.truthy(ledger.recall('b', 5))
  ledger.prune(20, 9, Infinity)
  t.is(ledger.recall('b', 5), undefined)
  t.truthy(ledger.recall('c', 5))
})

test('job index: thousands of jobs are kept in the order of put', t => {
  const ledger = new JobIndex()
  const jobs = Array.from({ length: 3_000 }, () => job())
  for (const record of jobs) ledger.add(record)
  for (const record of jobs.slice(500, 2_500)) ledger.drop(record, 0, 0, Infinity)
  t.deepEqual(
    ([...ledger.entries()] as JobRecord[]).map(r => r.seq),
    [...jobs.slice(0, 500), ...jobs.slice(2_500)].map(r => r.seq),
  )
})

test('job index: plain jobs are found among the others, and few that are left of a batch do not keep its columns', t => {
  const ledger = new JobIndex()
  const before = job()
  ledger.add(before)
  const plain = new PlainJobs(0)
  for (let i = 0; i < 100; i++) plain.push(i, () => {})
  plain.first = nextSerial(100)
  ledger.addPlain(plain)
  const after = job()
  ledger.add(after)
  const records = Array.from({ length: 100 }, (_, i) => ledger.at(plain.first + i) as JobRecord)
  t.is(ledger.find(records[42]?.id as string), records[42])
  t.deepEqual([ledger.find(before), ledger.find(after)], [before, after])

  for (const record of records) record.memorySlot = -1
  t.is(plain.next(), undefined)
  for (const record of records.slice(0, 95)) ledger.drop(record, 0, 0, Infinity)

  t.is(ledger.find(records[3] as JobRecord), undefined)
  t.deepEqual(
    records.slice(95).map(record => ledger.find(record.id)),
    records.slice(95),
  )
  t.is([...ledger.entries()].length, 7)
})
