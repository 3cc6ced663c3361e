/** What is made of a question whose answer was lost, by what is found of it in the file. */
import test from 'ava'
import type { FindRequest, JobRow, JobRowExtras, PutRequest, Request } from '../../../persistence/durable/store.ts'
import { resolutionOf } from '../../../persistence/durable/unanswered.ts'

const given: JobRowExtras = { fingerprint: 'f' }
const putOf = (ids: readonly string[], more: PutRequest['more'] = []): PutRequest => ({
  ...{ kind: 'put', queue: 1, now: 0, wall: 0, size: Infinity, priorities: undefined, more, ids },
  ...{ payloads: ids.map(() => '1'), queuedAt: ids.map(() => 0) },
})
/** A file that has these jobs: those below 7 are older than the put. */
const having =
  (seqs: Readonly<Record<string, number>>) =>
  async ({ target }: FindRequest): Promise<JobRow | undefined> =>
    seqs[target] === undefined ? undefined : ({ seq: seqs[target], queuedAt: seqs[target] < 7 ? 1 : 0 } as JobRow)

test('reconcile: a put of which nothing is there is put again, unless others may have taken it out meanwhile', async t => {
  t.is(await resolutionOf(putOf(['a', 'b']), false, having({})), 'resend')
  t.is(await resolutionOf(putOf(['a', 'b']), true, having({})), 'unknown')
})

test('reconcile: a put that is there is answered as it would have been, others or not', async t => {
  for (const others of [false, true]) {
    const fate = await resolutionOf(putOf(['a', 'b'], [[1, given]]), others, having({ a: 7, b: 3 }))
    t.deepEqual(fate, { first: 7, existed: [[1, { seq: 3, queuedAt: 1 }]], counts: undefined } as never)
  }
})

test('reconcile: a job that was put just before is none of the put, though their numbers are in a row', async t => {
  const fate = await resolutionOf(putOf(['a', 'b'], [[0, given]]), false, having({ a: 6, b: 7 }))
  t.deepEqual(fate, { first: 7, existed: [[0, { seq: 6, queuedAt: 1 }]], counts: undefined } as never)
})

test('reconcile: where a given id is not in the file, it is not known which of those beside it has which number', async t => {
  const ids = ['a', 'given', 'b']
  t.is(await resolutionOf(putOf(ids, [[1, given]]), false, having({ a: 7, b: 8 })), 'unknown')
  t.like(await resolutionOf(putOf(ids, [[1, given]]), false, having({ a: 7, given: 8, b: 9 })), {
    first: 7,
    existed: [],
  })
})

test('reconcile: a put of given ids alone that was stored is answered as it would have been', async t => {
  const more: PutRequest['more'] = [0, 1, 2, 3].map(i => [i, given])
  const there = having({ a: 3, b: 7, c: 5, d: 8 })
  const fate = await resolutionOf(putOf(['a', 'b', 'c', 'd'], more), true, there)
  const existed = [3, 5].map((seq, i) => [2 * i, { seq, queuedAt: 1 }])
  t.deepEqual(fate, { first: 7, existed, counts: undefined } as never)
})

test('reconcile: an id that is given twice in one put stands for one job', async t => {
  const more: PutRequest['more'] = [0, 1].map(i => [i, given])
  const fate = await resolutionOf(putOf(['a', 'a'], more), false, having({ a: 7 }))
  t.deepEqual(fate, { first: 7, existed: [[1, { seq: 7, queuedAt: 0 }]], counts: undefined } as never)
})

test('reconcile: a job with a given id that another put of this process was answered with is not that of the put', async t => {
  const put = putOf(
    ['a', 'b'],
    [0, 1].map(i => [i, given]),
  )
  t.is(await resolutionOf(put, false, having({ a: 7, b: 8 }), () => 8), 'resend')
  t.like(await resolutionOf(put, false, having({ a: 7, b: 8 }), () => 7), { first: 8, existed: [[0, { seq: 7 }]] })
})

test('reconcile: a put of given ids is put again where one of them is not in the file, or all were there before', async t => {
  const put = putOf(
    ['a', 'b'],
    [0, 1].map(i => [i, given]),
  )
  t.is(await resolutionOf(put, false, having({ a: 7 })), 'resend')
  t.is(await resolutionOf(put, false, having({ b: 7 })), 'resend')
  t.is(await resolutionOf(put, false, having({ a: 3, b: 4 })), 'resend')
})

test('reconcile: a put of given ids alone of which nothing is there, a look, a turn and what sets a value are asked again; other changes are not', async t => {
  const change = (command: object): Request => ({ kind: 'control', queue: 1, now: 0, wall: 0, command }) as never
  const again: readonly Request[] = [
    putOf(['a'], [[0, given]]),
    { kind: 'find', queue: 1, target: 'a' },
    { kind: 'turn' } as Request,
    change({ kind: 'pause', held: true }),
    change({ kind: 'rate', rules: [] }),
  ]
  for (const request of again) t.is(await resolutionOf(request, true, having({})), 'resend')
  for (const kind of ['cancel', 'retry', 'remove', 'reprioritize', 'clear']) {
    t.is(await resolutionOf(change({ kind, target: 'a' }), false, having({ a: 1 })), 'unknown')
  }
})
