/** The store in the order of a job's way: put, claim, settle, look, change. Two processes are two stores on one file. */
import test from 'ava'
import type { JobMore, JobRow, ListRequest, Place } from '../../../persistence/durable/store.ts'
import { stepMost } from '../../../persistence/sqlite/look.ts'
import { endingsOf, fileName, keep, namesOf, Process, type Put, payloadsOf, wall } from '../../support/store.ts'

const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
/** All tables in which a job could be left behind. */
const tables = ['rdq_job', 'rdq_ready', 'rdq_delayed', 'rdq_aside', 'rdq_underway', 'rdq_ended', 'rdq_note', 'rdq_id']
const left = (process: Process): string[] => tables.filter(table => process.rows(table) > 0)

const opened = (parts: Parameters<Process['attach']>[0] = {}): Process => {
  const process = new Process()
  process.attach(parts)
  return process
}

test('put: jobs are taken in order, and all or none', t => {
  const p = opened()
  const { first } = p.put(['a', 'b'])

  const error = t.throws(() => p.put(['c', 'd'], { size: 3 }), { code: 'QUEUE_FULL' })

  t.like(error, { fields: { size: 3 } })
  t.is(p.find(first + 1)?.payload, '"b"')
  t.deepEqual(p.claimed(), ['a', 'b'])
})

test('put: the size counts what all processes have put', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  a.attach()
  b.attach({ works: false })

  a.put(['a'], { size: 2 })
  b.put(['b'], { size: 2 })

  t.throws(() => a.put(['c'], { size: 2 }), { code: 'QUEUE_FULL' })
})

test('put: the order is that of all processes together', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  for (const p of [a, b]) p.attach()

  a.put(['1'])
  b.put(['2'])
  a.put(['3'])

  t.deepEqual(b.claimed(), ['1', '2', '3'])
})

test('put: a refusal leaves nothing of its request and does not touch its neighbours', t => {
  const p = opened()
  const request = (ids: string[], size: number) =>
    ({
      kind: 'put',
      ...{ queue: p.queue, now: 0, wall, size, ids, priorities: undefined, more: [] },
      payloads: ids.map(id => JSON.stringify(id)),
      queuedAt: ids.map(() => wall),
    }) as const

  const answers = p.store.exchange([request(['a'], 9), request(['b', 'c', 'd'], 3), request(['e'], 9)])

  t.deepEqual(
    answers.map(answer => ('error' in answer ? answer.error.code : 'ok')),
    ['ok', 'QUEUE_FULL', 'ok'],
  )
  t.deepEqual(p.claimed(), ['a', 'e'])
})

test('put: an id stands for one job, within a batch, while it is kept, and for keep.ids after', t => {
  const p = opened()
  const x = { id: 'x', payload: 'a', more: { fingerprint: 'fa' } }
  const { first, existed } = p.put([x, x, 'b'])
  t.deepEqual(
    existed.map(([index, row]) => [index, row.seq]),
    [[1, first]],
  )
  t.is(p.put([x]).existed[0]?.[1].state, 'pending')

  p.turn({ settled: p.claim(1) })

  t.like(p.put([x]).existed[0]?.[1], { seq: 0, id: 'x', state: 'finished' })
  t.is(p.find('x'), undefined)
  const other = { id: 'x', payload: 'c', more: { fingerprint: 'fc' } }
  t.throws(() => p.put(['z', other]), { code: 'ID_CONFLICT' })
  p.pass(1_000)
  t.is(p.put([other]).existed.length, 0)
  t.deepEqual(p.claimed(), ['b', 'c'])
})

test('put: a cost that no window holds is refused with all that came with it', t => {
  const p = opened({ rate: [{ limit: 10, perMs: 1_000, unit: 'tokens', burst: undefined }] })

  const error = t.throws(() => p.put(['a', { payload: 'b', more: { cost: { tokens: 11 } } }]), { code: 'COST' })

  t.like(error, { fields: { unit: 'tokens', cost: 11, limit: 10 } })
  t.deepEqual(left(p), [])
})

test('put: one that is repeated with made ids, for its answer was lost, finds its jobs', t => {
  const p = opened()
  const { first } = p.put([{ id: 'made-1', payload: 'a' }])

  const again = p.put([
    { id: 'made-1', payload: 'a' },
    { id: 'made-2', payload: 'b' },
  ])

  t.deepEqual(
    again.existed.map(([index, row]) => [index, row.seq]),
    [[0, first]],
  )
  t.is(again.first, first + 1)
  t.deepEqual(again.counts, { ...zero, pending: 2 })
})

test('put: one that is repeated with made and given ids notes where the made ones are, and nothing of the others', t => {
  const p = opened()
  const given = (id: string) => ({ id, payload: 'b', more: { fingerprint: 'f' } })
  const put = () => p.put([{ id: 'made-1', payload: 'a' }, given('g-7'), { id: 'made-2', payload: 'c' }, given('g-9')])
  put()
  const rows = p.rows('rdq_made')

  put()

  t.is(p.rows('rdq_made'), rows)
})

test('claim: most important first, then in order of put, at most as many as there is room for', t => {
  const p = opened()
  p.put([{ payload: 'a', priority: 1.5 }, 'b', 'c', { payload: 'd', priority: -1 }])

  const { claimed, counts, graceUntil } = p.turn({ room: 3 })

  t.deepEqual(claimed.payloads, ['"d"', '"b"', '"c"'])
  t.deepEqual(
    [claimed.attempts, claimed.fences, claimed.priorities],
    [
      [1, 1, 1],
      [1, 1, 1],
      [-1, 0, 0],
    ],
  )
  t.deepEqual(counts, { ...zero, pending: 1, underway: 3 })
  t.is(graceUntil, Infinity)
})

test('claim: a job is given to one process', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  for (const p of [a, b]) p.attach()
  a.put(['1', '2', '3'])

  t.deepEqual([a.claimed(2), b.claimed(9), a.claimed(9)], [['1', '2'], ['3'], []])
})

test('claim: a turn gives out a thousand, and says when more may be had at once', t => {
  const p = opened()
  p.put(Array.from({ length: 1_500 }, (_, i) => String(i)))

  const first = p.turn({ room: 5_000 })
  const second = p.turn({ room: 5_000 })

  t.deepEqual([first.claimed.seqs.length, second.claimed.seqs.length], [1_000, 500])
  t.deepEqual([first.again, second.again], [0, Infinity])
})

test('claim: what few jobs have comes with it', t => {
  const p = opened()
  const more = { key: 'k', cost: { n: 2 }, retry: '{"attempts":3}', timeoutMs: 5, fingerprint: 'f' }
  p.put([{ payload: 'a', id: 'x', more }, 'b'])

  const { claimed } = p.turn({ room: 9 })

  t.deepEqual(claimed.more, [[0, more]])
  t.is(claimed.ids[0], 'x')
})

test('claim: texts come back as they were put, whatever is in them', t => {
  const p = opened()
  const hostile = [`'; drop table rdq_job; --`, 'a\0b', '😀 ñ 漢', 'x'.repeat(10_000), '', '{"a":1}', '?1 :a @b $c']
  for (const name of hostile) {
    p.attach({ name })
    const more = { key: name, fingerprint: name }
    const { first } = p.put([{ id: `id ${name}`, payload: name, more }])
    t.like(p.find(`id ${name}`), { seq: first, payload: JSON.stringify(name), more })
    t.deepEqual(p.claimed(), [name])
  }
})

test('claim: a payload that is no JSON fails its own job, and the rest goes on', t => {
  const p = opened()
  const { first } = p.put(['a', { payload: 'b', more: { key: 'k' } }, 'c'])
  p.db.prepare('update rdq_job set payload = ? where seq = ?').run('{oops', first + 1)

  const { claimed, impossible, counts } = p.turn({ room: 9 })

  t.deepEqual(claimed.payloads, ['"a"', '"c"'])
  t.deepEqual(
    impossible.map(row => [row.seq, row.state, JSON.parse(row.more?.error ?? '').code, row.payload]),
    [[first + 1, 'failed', 'UNREADABLE', 'null']],
  )
  t.deepEqual(counts, { ...zero, underway: 2, failed: 1 })
})

test('claim: a ready row whose body a stranger has deleted is passed over', t => {
  const p = opened()
  const { first } = p.put(['a', 'b'])
  p.db.prepare('delete from rdq_job where seq = ?').run(first)

  const { claimed, counts } = p.turn({ room: 9 })

  t.deepEqual(claimed.payloads, ['"b"'])
  t.deepEqual(counts, { ...zero, underway: 1 })
})

test('settle: finished jobs of which nothing is kept leave nothing behind, alone or in a row', t => {
  const p = opened()
  p.put(['1', '2', '3', '4', '5', '6', '7'])
  const claimed = p.claim()
  const pick = (...which: number[]) => which.map(i => claimed[i] as (typeof claimed)[number])

  // A row of three, one by itself, and the rest out of order.
  p.turn({ settled: pick(0, 1, 2, 5) })
  const { counts, news } = p.turn({ settled: pick(6, 3, 4) })

  t.deepEqual(counts, { ...zero, finished: 7 })
  t.is(news, undefined)
  t.deepEqual(left(p), [])
})

test('settle: a row of endings in which one is fenced off settles the others', t => {
  const p = opened()
  p.put(['1', '2', '3', '4'])
  const [a, b, c, d] = p.claim() as [Ending, Ending, Ending, Ending]
  p.turn({ settled: [{ ...b, kind: 'returned' }] })

  const { counts, news } = p.turn({ settled: [a, b, c, d] })

  t.deepEqual(news?.lost, [b.seq])
  t.deepEqual(counts, { ...zero, pending: 1, finished: 3 })
  t.deepEqual(p.claimed(), ['2'])
})

test('settle: a row of endings of an earlier claim changes nothing', t => {
  const p = opened()
  p.put(['1', '2', '3'])
  const settled = p.claim()
  p.turn({ settled: settled.map(job => ({ ...job, kind: 'returned' })), room: 3 })

  const { counts, news } = p.turn({ settled })

  t.is(news?.lost.length, 3)
  t.deepEqual(counts, { ...zero, underway: 3 })
})
type Ending = ReturnType<Process['claim']>[number]

test('settle: an ending of another claim, or of another process, changes nothing and is told as lost', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  for (const p of [a, b]) p.attach()
  a.put(['1'])
  const [job] = a.claim() as [Ending]

  t.deepEqual(b.turn({ settled: [job] }).news?.lost, [job.seq])
  t.deepEqual(a.turn({ settled: [{ ...job, fence: 2 }] }).news?.lost, [job.seq])
  t.is(a.find(job.seq)?.state, 'underway')

  const { counts, news } = a.turn({ settled: [job, { ...job, kind: 'failed' }] })
  t.deepEqual(counts, { ...zero, finished: 1 })
  t.deepEqual(news?.lost, [job.seq])
})

for (const kind of ['again', 'back', 'throttled', 'returned', 'unlaunched'] as const) {
  test(`settle: ${kind} ${kind === 'again' ? 'uses' : 'gives back'} the attempt, never the fence, and takes the old place`, t => {
    const p = opened()
    p.put(['a', 'b'])
    const [job] = p.claim(1) as [Ending]

    const { counts } = p.turn({ settled: [{ ...job, kind }] })

    t.deepEqual(counts, { ...zero, pending: 2 })
    t.like(p.find(job.seq), { attempt: kind === 'again' ? 1 : 0, fence: 1, state: 'pending' })
    const { claimed } = p.turn({ room: 9 })
    t.deepEqual(claimed.payloads, ['"a"', '"b"'])
    t.deepEqual(claimed.fences, [2, 1])
  })
}

test('settle: again and back wait from the exchange on, and again keeps what the run threw', t => {
  const p = opened()
  p.put(['a'])
  for (const kind of ['again', 'back'] as const) {
    const [job] = p.claim() as [Ending]
    const { again, counts } = p.turn({ settled: [{ ...job, kind, more: { waitMs: 50, error: '"e"' } }] })
    t.is(again, p.now + 50)
    t.is(counts.delayed, 1)
    t.like(p.find(job.seq), { state: 'delayed', more: { dueAt: p.now + 50, error: '"e"' } })
    p.pass(49)
    t.deepEqual(p.claimed(), [])
    p.pass(1)
  }
  const { claimed } = p.turn({ room: 1 })
  t.deepEqual(claimed.more, [[0, { error: '"e"' }]])
  t.deepEqual(claimed.attempts, [2])

  p.turn({ settled: [{ seq: claimed.seqs[0] as number, fence: claimed.fences[0] as number }] })
  t.deepEqual(left(p), [])
})

test('settle: what is kept is kept with its times, error and value, then forgotten, and stays counted', t => {
  const p = opened({ keep: { ...keep, finishedMs: 500, results: true } })
  const { first } = p.put(['a', 'b', 'c'])
  const [a, b, c] = p.claim() as [Ending, Ending, Ending]

  p.turn({
    settled: [
      { ...a, more: { value: '7' } },
      { ...b, kind: 'failed', more: { error: '"e"' } },
      { ...c, kind: 'cancelled', more: { error: '"c"' } },
    ],
  })

  const times = { startedAt: wall, stoppedAt: wall + 1, attempt: 1 }
  t.like(p.find(first), { state: 'finished', ...times, more: { value: '7' } })
  t.like(p.find(first + 1), { state: 'failed', ...times, more: { error: '"e"' } })
  t.like(p.find(first + 2), { state: 'cancelled', ...times, more: { error: '"c"' } })
  p.pass(500).turn()
  t.is(p.find(first), undefined)
  t.is(p.find(first + 1)?.state, 'failed')
  const { counts } = p.pass(500).turn()
  t.deepEqual(counts, { ...zero, finished: 1, failed: 1, cancelled: 1 })
  t.deepEqual(left(p), [])
})

test('settle: a value is not stored unless results are kept', t => {
  const p = opened({ keep: { ...keep, finishedMs: 500 } })
  const { first } = p.put(['a'])

  p.turn({ settled: [{ ...(p.claim()[0] as Ending), more: { value: '7' } }] })

  t.is(p.find(first)?.more, undefined)
})

test('settle: a null queue leaves what a working one said of keeping', t => {
  const path = fileName()
  const [worker, web] = [new Process(path), new Process(path)]
  worker.attach()
  web.attach({ works: false, keep: { ...keep, failedMs: 0 } })
  const { first } = web.put(['a'])

  worker.turn({ settled: [{ ...(worker.claim()[0] as Ending), kind: 'failed' }] })

  t.is(web.find(first)?.state, 'failed')
})

test('checkpoint: it is of the claim that runs, is there in the next, and is told as lost by any other', t => {
  const p = opened()
  const { first } = p.put(['a'])
  const [job] = p.claim() as [Ending]

  const { news } = p.turn({ checkpoints: [{ ...job, fence: 2, value: '"no"' }] })
  t.deepEqual(news?.lost, [first])
  // The last checkpoint and the ending of its run may come in one turn.
  p.turn({ checkpoints: [{ ...job, value: '"yes"' }], settled: [{ ...job, kind: 'again' }] })

  t.deepEqual(p.turn({ room: 1 }).claimed.more, [[0, { checkpoint: '"yes"' }]])
})

test('turn: one that was done is not done again, and tells what it claimed then', t => {
  const p = opened({ rate: [{ limit: 10, perMs: 1_000, unit: undefined, burst: undefined }] })
  p.put(['a', 'b', 'c', 'd'])
  const [a] = p.claim(1) as [Ending]
  const first = p.turn({ settled: [{ ...a, kind: 'failed' }], room: 2 })

  const again = p.turn({ number: p.number, settled: [{ ...a, kind: 'failed' }], room: 2 })

  t.deepEqual([again.claimed, again.grants, again.counts], [first.claimed, first.grants, first.counts])
  t.is(again.graceUntil, first.graceUntil)
  t.is(again.news, undefined)
  t.deepEqual(p.claimed(), ['d'])
})

test('turn: a repeated one leaves out what has been settled since', t => {
  const p = opened()
  p.put(['a', 'b'])
  const [a] = p.claim() as [Ending]
  const { number } = p
  p.turn({ settled: [a] })

  t.deepEqual(payloadsOf(p.turn({ number })), ['b'])
})

test('turn: one that changes nothing writes nothing', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  for (const p of [a, b]) p.attach()
  a.turn({ room: 9 })
  const version = b.db.pragma('data_version', { simple: true })

  a.turn({ room: 9 })

  t.is(b.db.pragma('data_version', { simple: true }), version)
})

test('exchange: an error of SQLite undoes all of it, in the file and in what the store holds', t => {
  const p = opened({ rate: [{ limit: 3, perMs: 1_000, unit: undefined, burst: undefined }] })
  p.put(['a', 'b'])
  const before = p.db.prepare('select * from rdq_queue').get()
  p.db.exec(`create temp trigger full before insert on rdq_underway begin select raise(abort, 'full'); end`)

  t.throws(() => p.turn({ room: 9 }), { any: true, message: 'full' })

  t.false(p.db.inTransaction)
  t.deepEqual(p.db.prepare('select * from rdq_queue').get(), before)
  p.db.exec('drop trigger full')
  const { claimed } = p.turn({ room: 9 })
  t.deepEqual(claimed.payloads, ['"a"', '"b"'])
})

test('detach: a queue object that is gone gives back what it held, unless its bodies still run', t => {
  const p = opened()
  p.put(['a', 'b'])
  p.claim(1)
  const detach = { kind: 'detach', queue: p.queue, works: true } as const

  p.ask({ ...detach, keepLeases: true })
  p.ask({ ...detach, works: false, keepLeases: false })
  t.is(p.attach().counts.underway, 1)
  p.ask({ ...detach, keepLeases: false })

  t.deepEqual(p.attach().counts, { ...zero, pending: 2 })
  t.deepEqual(
    endingsOf(p.turn({ room: 1 })).map(({ fence }) => fence),
    [2],
  )
})

test('close: a worker is struck off when it holds nothing', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  for (const p of [a, b]) p.attach()
  a.put(['1'])
  const settled = a.claim()

  a.store.close()
  t.deepEqual(b.store.workers(), [a.token])
  a.turn({ settled })
  a.store.close()

  t.deepEqual(b.store.workers(), [])
})

test('list: what waits in the order of start, any other the latest first, and a cursor goes on', t => {
  const p = opened()
  const { first } = p.put([{ payload: 'a', priority: 1 }, { payload: 'b', more: { key: 'k' } }, 'c'])
  t.deepEqual(namesOf(p.list()), ['c', 'b', 'a'])
  t.deepEqual(namesOf(p.list({ state: 'pending', limit: 2 })), ['b', 'c'])
  t.deepEqual(namesOf(p.list({ state: 'pending', after: { priority: 0, seq: first + 2 } })), ['a'])
  t.deepEqual(namesOf(p.list({ after: { priority: 0, seq: first + 2 } })), ['b', 'a'])
  t.deepEqual(namesOf(p.list({ key: 'k' })), ['b'])
  t.deepEqual(namesOf(p.list({ key: 'k', state: 'pending' })), ['b'])

  const [b, c, a] = p.claim() as [Ending, Ending, Ending]
  t.deepEqual(namesOf(p.list({ state: 'underway' })), ['c', 'b', 'a'])
  p.turn({ settled: [a, b, c].map(job => ({ ...job, kind: 'failed' })) })
  t.deepEqual(namesOf(p.list({ state: 'failed', limit: 2 })), ['c', 'b'])
  t.deepEqual(namesOf(p.list({ state: 'failed', after: { priority: 0, seq: first + 1 } })), ['a'])
})

test('list: a step looks at so many jobs, however few it finds, and the steps together are the list', t => {
  const p = opened()
  const jobs = Array.from({ length: 4_000 }, (_, i): Put => {
    const key = ['rare', 'held', 'many'][i % 1_000 === 0 ? 0 : i % 2 ? 1 : 2] as string
    const more: JobMore = { key, ...(i % 8 > 5 && { dueAt: 100 }) }
    return { payload: String(i), priority: (i % 7) - 3, ...(i % 5 ? { more } : {}) }
  })
  const { first } = p.put([{ payload: 'first', more: { key: 'held' } }])
  p.turn({ settled: p.claim().map(job => ({ ...job, kind: 'throttled', more: { waitMs: 50, heldKey: 'held' } })) })
  p.put(jobs)
  p.put(Array.from({ length: 1_499 }, (_, i) => `plain ${i}`))
  const running = p.claim(1_000)
  p.turn({ settled: running.slice(0, 500).map(job => ({ ...job, kind: 'failed' })) })
  t.true(p.rows('rdq_aside') > 500 && p.rows('rdq_stretch') === 1)
  const all = Array.from({ length: 5_500 }, (_, i) => p.find(first + i) as JobRow)

  for (const state of [undefined, 'pending', 'delayed', 'underway', 'failed'] as const) {
    for (const key of [undefined, 'many', 'held', 'rare', 'none']) {
      const waits = state === 'pending' || state === 'delayed'
      const wanted = all
        .filter(row => (state ?? row.state) === row.state && (key ?? row.more?.key) === row.more?.key)
        .sort((a, b) => (waits ? a.priority - b.priority || a.seq - b.seq : b.seq - a.seq))
      const got: number[] = []
      let after: ListRequest['after']
      do {
        const { rows, next } = p.listStep({ state, key, after, limit: 10_000 })
        t.true(rows.length <= stepMost)
        got.push(...rows.map(({ seq }) => seq))
        after = next
      } while (after !== undefined)
      t.deepEqual(
        got,
        wanted.map(({ seq }) => seq),
        `${state} ${key}`,
      )
    }
  }
  t.is(p.listStep({ limit: 2 }).next?.seq, first + 5_498)
  const steps: Place[] = []
  for (let next: Place | undefined; steps.length < 9; steps.push(next)) {
    ;({ next } = p.listStep({ key: 'none', after: next }))
    if (!next) break
  }
  t.deepEqual(
    steps.map(({ seq }) => first + 5_500 - seq),
    [1_000, 2_000, 3_000, 4_000, 5_000],
  )
})

test('list: jobs of other names are not in it, nor in the way', t => {
  const p = opened()
  p.put(['a'])
  p.attach({ name: 'other' })
  p.put(['o'])

  t.deepEqual(namesOf(p.list()), ['o'])
  p.attach()
  t.deepEqual(namesOf(p.list()), ['a'])
  t.is(p.find(p.list()[0]?.id as string)?.payload, '"a"')
})

test('seqs: when a name has used up its range it takes another, and the order goes on', t => {
  const p = opened()
  const { first } = p.put(['1'])
  p.db.prepare('update rdq_queue set next_seq = ?').run(2 ** 32 - 2)
  p.put(['2'])
  p.attach({ name: 'other' })
  p.put(['o'])
  p.attach()

  const next = p.put(['3', '4', '5'])

  t.is(next.first, 2 * 2 ** 32 + 1)
  t.deepEqual(namesOf(p.list()), ['5', '4', '3', '2', '1'])
  t.deepEqual(namesOf(p.list({ after: { priority: 0, seq: next.first } })), ['2', '1'])
  t.deepEqual(p.claimed(), ['1', '2', '3', '4', '5'])
  t.true(next.first > first)
})
