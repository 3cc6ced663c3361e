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
    seqs[target] === undefined ? undefined : rowOf(seqs[target], seqs[target] < 7 ? 1 : 0)
const rowOf = (seq: number, queuedAt: number, more = given): JobRow => ({ seq, queuedAt, more }) as JobRow

test('unanswered: a put of which nothing was stored is sent again, unless other processes may have removed its jobs', async t => {
  t.is(await resolutionOf(putOf(['a', 'b']), false, having({})), 'resend')
  t.is(await resolutionOf(putOf(['a', 'b']), true, having({})), 'unknown')
})

test('unanswered: a stored put is answered as it would have been, whether or not others use the store', async t => {
  for (const others of [false, true]) {
    const fate = await resolutionOf(putOf(['a', 'b'], [[1, given]]), others, having({ a: 7, b: 3 }))
    t.deepEqual(fate, { first: 7, existed: [[1, rowOf(3, 1)]], counts: undefined } as never)
  }
})

test('unanswered: a job that was put just before does not belong to the put, though their seqs are consecutive', async t => {
  const fate = await resolutionOf(putOf(['a', 'b'], [[0, given]]), false, having({ a: 6, b: 7 }))
  t.deepEqual(fate, { first: 7, existed: [[0, rowOf(6, 1)]], counts: undefined } as never)
})

test('unanswered: if a given id is not stored, the seqs of the jobs beside it are unknown', async t => {
  const ids = ['a', 'given', 'b']
  t.is(await resolutionOf(putOf(ids, [[1, given]]), false, having({ a: 7, b: 8 })), 'unknown')
  t.like(await resolutionOf(putOf(ids, [[1, given]]), false, having({ a: 7, given: 8, b: 9 })), {
    first: 7,
    existed: [],
  })
})

test('unanswered: a stored put of given ids alone is answered as it would have been', async t => {
  const more: PutRequest['more'] = [0, 1, 2, 3].map(i => [i, given])
  const there = having({ a: 3, b: 7, c: 5, d: 8 })
  const fate = await resolutionOf(putOf(['a', 'b', 'c', 'd'], more), true, there)
  const existed = [3, 5].map((seq, i) => [2 * i, rowOf(seq, 1)])
  t.deepEqual(fate, { first: 7, existed, counts: undefined } as never)
})

test('unanswered: an id given twice in one put stands for one job', async t => {
  const more: PutRequest['more'] = [0, 1].map(i => [i, given])
  const fate = await resolutionOf(putOf(['a', 'a'], more), false, having({ a: 7 }))
  t.deepEqual(fate, { first: 7, existed: [[1, rowOf(7, 0)]], counts: undefined } as never)
})

test('unanswered: a job that another put of this process was answered with does not belong to the put', async t => {
  const put = putOf(
    ['a', 'b'],
    [0, 1].map(i => [i, given]),
  )
  t.is(await resolutionOf(put, false, having({ a: 7, b: 8 }), () => 8), 'resend')
  t.like(await resolutionOf(put, false, having({ a: 7, b: 8 }), () => 7), { first: 8, existed: [[0, { seq: 7 }]] })
})

test('unanswered: a job of the same millisecond that has another payload or key does not belong to the put', async t => {
  const fateOf = (more: JobRowExtras): unknown =>
    resolutionOf(putOf(['a'], [[0, { ...given, key: 'k' }]]), true, async () => rowOf(7, 0, more))
  t.is(await fateOf({ fingerprint: 'g', key: 'k' }), 'resend')
  t.is(await fateOf({ fingerprint: 'f', key: 'l' }), 'resend')
  t.is(await fateOf(given), 'resend')
  t.like(await fateOf({ fingerprint: 'f', key: 'k', error: 'of its first run' }), { first: 7, existed: [] })
})

test('unanswered: a put of given ids is sent again if one of them is not stored, or all existed before', async t => {
  const put = putOf(
    ['a', 'b'],
    [0, 1].map(i => [i, given]),
  )
  t.is(await resolutionOf(put, false, having({ a: 7 })), 'resend')
  t.is(await resolutionOf(put, false, having({ b: 7 })), 'resend')
  t.is(await resolutionOf(put, false, having({ a: 3, b: 4 })), 'resend')
})

test('unanswered: puts of given ids alone that were not stored, queries, exchanges and commands that set a value are sent again; other commands are not', async t => {
  const change = (command: object): Request => ({ kind: 'control', queue: 1, now: 0, wall: 0, command }) as never
  const again: readonly Request[] = [
    putOf(['a'], [[0, given]]),
    { kind: 'find', queue: 1, target: 'a' },
    { kind: 'turn' } as Request,
    change({ kind: 'pause', paused: true }),
    change({ kind: 'rate', rules: [] }),
  ]
  for (const request of again) t.is(await resolutionOf(request, true, having({})), 'resend')
  for (const kind of ['cancel', 'retry', 'remove', 'reprioritize', 'clear']) {
    t.is(await resolutionOf(change({ kind, target: 'a' }), false, having({ a: 1 })), 'unknown')
  }
})
