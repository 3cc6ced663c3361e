/** The contract of lib/backlog.ts, sentence by sentence, for any backlog. */
import test, { type ExecutionContext } from 'ava'
import type {
  Backlog,
  BacklogSession,
  DueTime,
  Exchange,
  ExchangeResult,
  SessionOptions,
  SettleKind,
  Settlement,
} from '../../lib/backlog.ts'
import { CostError, IdConflictError, JobUnknownError, QueueFullError, QueueNameTakenError } from '../../lib/errors.ts'
import { type JobExtras, JobRecord } from '../../lib/job.ts'
import { fingerprint } from '../../lib/put/fingerprint.ts'
import { parseRate } from '../../lib/rate/rate.ts'
import { CheckpointValue } from '../../lib/run/checkpoint-value.ts'
import { VirtualClock } from '../../testing/index.ts'

const keep = { finishedMs: 0, failedMs: 1_000, cancelledMs: 1_000, idsMs: 1_000, results: false, most: Infinity }
const wall = 1_000_000

const job = (payload: unknown, extras: Partial<JobExtras> & { id?: string; priority?: number } = {}): JobRecord => {
  const { id = '', priority = 0, ...more } = extras
  const record = new JobRecord(id, payload, priority, wall)
  if (Object.keys(more).length > 0) Object.assign(record.ensureExtras(), more)
  if (id !== '') record.ensureExtras().fingerprint = fingerprint(payload)
  return record
}
const payloads = (jobs: readonly JobRecord[]): unknown[] => jobs.map(({ payload }) => payload)
const settle = (record: JobRecord, kind: SettleKind, parts: Partial<Settlement> = {}): Settlement => {
  const { fence } = record
  return {
    record,
    fence,
    kind,
    grant: 0,
    value: undefined,
    error: undefined,
    waitMs: 0,
    heldKey: undefined,
    within: false,
    ...parts,
  }
}

export function backlogContract(name: string, make: () => Backlog): void {
  const declare = (parts: Partial<SessionOptions> = {}): SessionOptions => ({
    name: 'q',
    works: true,
    clock: new VirtualClock(),
    rate: undefined,
    size: Infinity,
    keep,
    afterCrash: 'again',
    crashLimit: 3,
    wake: () => {},
    endedElsewhere: () => {},
    stalled: () => {},
    failed: () => {},
    runningBodies: () => 0,
    ...parts,
  })
  const shelves: BacklogSession[] = []
  const attach = async (backlog: Backlog, parts: Partial<SessionOptions> = {}): Promise<BacklogSession> => {
    const session = await backlog.attach(declare(parts))
    shelves.push(session)
    return session
  }
  const open = (parts: Partial<SessionOptions> = {}): Promise<BacklogSession> => attach(make(), parts)
  test.after.always(`${name}: all names are given up`, () => Promise.all(shelves.map(session => session.close())))
  const turn = async (session: BacklogSession, parts: Partial<Exchange> = {}): Promise<ExchangeResult> =>
    session.turn({
      now: 0,
      wall,
      room: 0,
      settled: [],
      mayLaunch: true,
      launched: [],
      launchReports: [],
      spent: [],
      checkpoints: [],
      endedBodies: [],
      ...parts,
    })
  const claim = async (session: BacklogSession, room = 100, now = 0): Promise<readonly JobRecord[]> =>
    (await turn(session, { room, now, wall: wall + now })).claimed
  const it = (title: string, run: (t: ExecutionContext) => Promise<void>): void => test(`${name}: ${title}`, run)

  it('a put is accepted whole and in order, or not at all', async t => {
    const session = await open({ size: 3 })
    await session.put([job(1), job(2)], 0, wall)
    await t.throwsAsync(async () => session.put([job(3), job(4)], 0, wall), { instanceOf: QueueFullError })
    t.is(session.counts.pending, 2)
    t.deepEqual(payloads(await claim(session)), [1, 2])
  })
  it('a cost that no window holds is refused, with all that came with it', async t => {
    const session = await open({ rate: parseRate('rate', { limit: 10, per: 1_000, of: 'tokens' }) })
    await t.throwsAsync(async () => session.put([job(1), job(2, { cost: { tokens: 11 } })], 0, wall), {
      instanceOf: CostError,
    })
    t.is(session.counts.pending, 0)
  })
  it('the most important are claimed first, at most as many as there is room for', async t => {
    const session = await open()
    await session.put([job('a', { priority: 1 }), job('b'), job('c'), job('d', { priority: -1 })], 0, wall)
    const claimed = await claim(session, 3)
    t.deepEqual(payloads(claimed), ['d', 'b', 'c'])
    t.deepEqual(
      claimed.map(r => [r.state, r.attempt]),
      Array(3).fill(['underway', 1]),
    )
    t.deepEqual([session.counts.pending, session.counts.underway], [1, 3])
  })
  it('an ending of another claim changes nothing', async t => {
    const session = await open()
    const a = job('a')
    await session.put([a], 0, wall)
    await claim(session)
    await turn(session, { settled: [settle(a, 'finished', { fence: 2 })] })
    t.is(a.state, 'underway')
    await turn(session, { settled: [settle(a, 'finished'), settle(a, 'failed')] })
    t.is(a.state, 'finished')
    t.deepEqual([session.counts.finished, session.counts.failed], [1, 0])
  })
  for (const kind of ['retry', 'snooze', 'throttled', 'interrupted', 'notLaunched'] as const) {
    it(`${kind} ${kind === 'retry' ? 'uses an attempt' : 'uses no attempt'} and takes the old place`, async t => {
      const session = await open()
      const [a, b] = [job('a'), job('b')]
      await session.put([a, b], 0, wall)
      await claim(session, 1)
      await turn(session, { settled: [settle(a, kind)] })
      t.is(a.attempt, kind === 'retry' ? 1 : 0)
      t.deepEqual(payloads(await claim(session)), ['a', 'b'])
    })
  }
  it('again and back wait from the exchange on', async t => {
    const session = await open()
    const a = job('a')
    await session.put([a], 0, wall)
    for (const [kind, now] of [
      ['retry', 0],
      ['snooze', 100],
    ] as const) {
      await claim(session, 1, now)
      const { nextLookAt } = await turn(session, { now, wall: wall + now, settled: [settle(a, kind, { waitMs: 50 })] })
      t.is(nextLookAt, now + 50)
      t.is(a.state, 'delayed')
      t.is((await claim(session, 1, now + 49)).length, 0)
    }
    t.deepEqual(await claim(session, 1, 150), [a])
  })
  it('throttled holds the rate of the queue, or of its key alone', async t => {
    const session = await open()
    const [a, b, c] = [job('a', { key: 'k' }), job('b', { key: 'k' }), job('c')]
    await session.put([a, b, c], 0, wall)
    await claim(session, 1)
    await turn(session, { settled: [settle(a, 'throttled', { waitMs: 50, heldKey: 'k' })] })
    t.deepEqual(await claim(session, 9, 49), [c])
    t.is((await session.explain(a, 49, wall))?.why, 'key')
    t.deepEqual(await claim(session, 9, 50), [a, b])
    await turn(session, { now: 50, settled: [settle(a, 'throttled', { waitMs: 50 })] })
    t.deepEqual(await claim(session, 9, 99), [])
    t.deepEqual(await claim(session, 9, 100), [a])
  })
  it('a delay is by the steady clock and runAt by the wall', async t => {
    const session = await open()
    const [a, b] = [job('a', { dueAt: 100 }), job('b', { runAt: wall + 100 })]
    await session.put([a, b], 0, wall)
    t.is(session.counts.delayed, 2)
    t.deepEqual((await turn(session, { now: 99, wall: wall + 100, room: 9 })).claimed, [b])
    t.deepEqual((await turn(session, { now: 100, wall, room: 9 })).claimed, [a])
  })
  it('the rate is charged in the claim, refunded for unlaunched, and counts from the confirmed launch', async t => {
    const session = await open({ rate: parseRate('rate', { limit: 1, per: 1_000 }) })
    const [a, b] = [job('a'), job('b')]
    await session.put([a, b], 0, wall)
    const first = await turn(session, { room: 9 })
    t.deepEqual(first.claimed, [a])
    t.is(first.nextLookExact, true)
    const grant = first.grants?.[0] as number
    const second = await turn(session, { now: 10, room: 9, settled: [settle(a, 'notLaunched', { grant })] })
    t.deepEqual(second.claimed, [a])
    const launched = [{ grant: second.grants?.[0] as number, at: 20 }]
    t.is((await turn(session, { now: 20, room: 9, launched })).nextLookAt, 1_020)
    t.deepEqual(await claim(session, 9, 1_019), [])
    t.deepEqual(await claim(session, 9, 1_020), [b])
  })
  it('a job that a lowered limit makes impossible fails instead of being claimed', async t => {
    const session = await open({ rate: parseRate('rate', { limit: 10, per: 1_000, of: 'tokens' }) })
    const a = job('a', { cost: { tokens: 5 } })
    await session.put([a], 0, wall)
    await session.control({ kind: 'rate', rules: parseRate('rate', { limit: 4, per: 1_000, of: 'tokens' }) }, 0, wall)
    t.deepEqual((await turn(session, { room: 9 })).endedUnrun, [a])
    t.true(a.state === 'failed' && a.extras?.error instanceof CostError)
  })
  it('a shared pause holds for all, who are woken, as by puts and rates', async t => {
    const backlog = make()
    let woken = 0
    const session = await attach(backlog, { wake: () => woken++ })
    const other = await attach(backlog, { works: false })
    await other.put([job('a')], 0, wall)
    await other.control({ kind: 'pause', held: true }, 0, wall)
    await other.control({ kind: 'rate', rules: [] }, 0, wall)
    t.is(woken, 3)
    const { sharedPaused, claimed } = await turn(session, { room: 9 })
    t.deepEqual([sharedPaused, claimed.length], [true, 0])
    await other.control({ kind: 'pause', held: false }, 0, wall)
    t.is((await claim(session)).length, 1)
  })
  it('a declaration that is as before leaves what was set in force, and is heard again once that is cleared', async t => {
    const backlog = make()
    const rule = (limit: number) => ({ limit, perMs: 100, unit: undefined, burst: undefined })
    const rulesAfter = async (set: readonly ReturnType<typeof rule>[]): Promise<readonly unknown[]> => {
      const session = await attach(backlog, { rate: [rule(1)] })
      const { rules } = session
      await session.control({ kind: 'rate', rules: set }, 0, wall)
      await session.close()
      return rules
    }
    t.deepEqual(await rulesAfter([rule(5)]), [rule(1)])
    t.deepEqual(await rulesAfter([]), [rule(5)])
    t.deepEqual(await rulesAfter([rule(5)]), [rule(1)])
  })
  it('a name that works is taken until it is closed, and its jobs stay', async t => {
    const backlog = make()
    const session = await attach(backlog)
    await session.put([job('a')], 0, wall)
    await t.throwsAsync(attach(backlog), { instanceOf: QueueNameTakenError })
    await session.close()
    t.is((await attach(backlog)).counts.pending, 1)
  })
  it('cancel, retry, reprioritize and remove change what waits or has ended, and counts are conserved', async t => {
    const session = await open()
    const [a, b, c] = [job('a'), job('b'), job('c')]
    await session.put([a, b, c], 0, wall)
    t.deepEqual((await session.control({ kind: 'cancel', target: a, reason: 'no' }, 0, wall)).changed, [a])
    t.is(a.extras?.error, 'no')
    await session.control({ kind: 'reprioritize', target: c, priority: -1 }, 0, wall)
    await session.control({ kind: 'retry', target: a.id }, 0, wall)
    await session.control({ kind: 'remove', target: b }, 0, wall)
    t.is(await session.find(b), undefined)
    t.deepEqual(session.counts, { pending: 2, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 })
    t.deepEqual(await claim(session), [c, a])
    t.deepEqual((await session.control({ kind: 'cancel', target: a, reason: 0 }, 0, wall)).changed, [])
  })
  it('reschedule and promote change when a waiting job comes due, and it keeps its place', async t => {
    const session = await open()
    const [a, b, c] = [job('a'), job('b', { dueAt: 500 }), job('c', { runAt: wall + 500 })]
    await session.put([a, b, c], 0, wall)
    const change = (kind: 'reschedule' | 'promote', target: JobRecord, when: DueTime = {}) =>
      session.control({ kind, target, ...when }, 0, wall)

    t.deepEqual((await change('reschedule', a, { waitMs: 100 })).changed, [a])
    t.deepEqual((await change('reschedule', b, { runAt: wall + 200 })).changed, [b])
    t.deepEqual((await change('promote', c)).changed, [c])
    t.deepEqual((await change('promote', c)).changed, [])
    t.deepEqual([a.state, b.state, c.state], ['delayed', 'delayed', 'pending'])
    t.like(session.counts, { pending: 1, delayed: 2 })
    t.deepEqual([c.extras?.dueAt, c.extras?.runAt], [undefined, undefined])
    t.is((await turn(session, {})).nextLookAt, 100)
    t.deepEqual(await claim(session), [c])
    t.deepEqual((await turn(session, { now: 100, wall: wall + 100, room: 9 })).claimed, [a])
    t.deepEqual((await turn(session, { now: 200, wall: wall + 200, room: 9 })).claimed, [b])
    for (const kind of ['reschedule', 'promote'] as const) {
      await t.throwsAsync(async () => change(kind, a), { code: 'JOB_STATE' })
      await t.throwsAsync(async () => session.control({ kind, target: 'none' }, 0, wall), { code: 'JOB_UNKNOWN' })
    }
  })
  it('remove frees the id, also of a job that is gone', async t => {
    const session = await open()
    const [waits, ended] = [job('a', { id: 'waits' }), job('b', { id: 'ended', priority: -1 })]
    await session.put([waits, ended], 0, wall)
    await turn(session, { room: 1 })
    await turn(session, { settled: [settle(ended, 'finished')] })

    t.is((await session.control({ kind: 'remove', target: waits }, 0, wall)).count, 1)
    t.is((await session.control({ kind: 'remove', target: 'ended' }, 0, wall)).count, 1)
    t.is((await session.control({ kind: 'remove', target: 'ended' }, 0, wall)).count, 0)
    t.like(session.counts, { pending: 0, finished: 0 })
    t.is(await session.put([job('x', { id: 'waits' }), job('y', { id: 'ended' })], 0, wall), undefined)
  })
  // What a durable backlog holds is given back to nobody.
  for (const kind of make().durable ? (['clear'] as const) : (['clear', 'return'] as const)) {
    it(`${kind} takes all that waits, most important first, and leaves what is underway`, async t => {
      const session = await open()
      const [a, b, c] = [job('a'), job('b', { dueAt: 9 }), job('c', { priority: -1 })]
      await session.put([job('u', { priority: -2 })], 0, wall)
      await claim(session)
      await session.put([a, b, c], 0, wall)
      t.deepEqual((await session.control({ kind }, 0, wall)).changed, [c, a, b])
      const cancelled = kind === 'clear' ? 3 : 0
      t.deepEqual(session.counts, { pending: 0, delayed: 0, underway: 1, finished: 0, failed: 0, cancelled })
    })
  }
  it('an id is remembered while its job is kept and longer, and conflicts with another payload', async t => {
    const session = await open()
    const a = job('a', { id: 'x' })
    t.is(await session.put([a], 0, wall), undefined)
    const twin = job('a', { id: 'x' })
    t.is((await session.put([twin], 0, wall))?.get(twin), a)
    await t.throwsAsync(async () => session.put([job(1), job('b', { id: 'x' })], 0, wall), {
      instanceOf: IdConflictError,
    })
    t.is(session.counts.pending, 1)
    await claim(session)
    await turn(session, { settled: [settle(a, 'finished')] })
    t.true((await session.put([job('a', { id: 'x' })], 999, wall))?.size === 1)
    t.is(await session.put([job('b', { id: 'x' })], 1_000, wall), undefined)
  })
  it('ended jobs are kept for their time, and stay counted when forgotten', async t => {
    const session = await open()
    const [a, b] = [job('a'), job('b')]
    await session.put([a, b], 0, wall)
    await claim(session)
    await turn(session, { settled: [settle(a, 'finished'), settle(b, 'failed', { error: 'e' })] })
    t.deepEqual([await session.find(a), await session.find(b)], [undefined, b])
    await turn(session, { now: 1_000 })
    t.is(await session.find(b), undefined)
    t.deepEqual([session.counts.finished, session.counts.failed], [1, 1])
  })
  it('of ended jobs no more are kept than the most, and the oldest go first', async t => {
    const session = await open({ keep: { ...keep, most: 3 } })
    const jobs = Array.from({ length: 8 }, (_, i) => job(i))
    await session.put(jobs, 0, wall)
    await claim(session)
    const found = async (): Promise<number[]> => {
      const all = await Promise.all(jobs.map(one => session.find(one)))
      return all.flatMap((one, i) => (one && one.state !== 'underway' ? i : []))
    }
    for (const [i, one] of jobs.slice(0, 6).entries()) {
      await turn(session, { now: i, settled: [settle(one, i % 2 ? 'failed' : 'cancelled', { error: 'e' })] })
    }
    t.deepEqual(await found(), [3, 4, 5])
    await turn(session, { now: 6, settled: jobs.slice(6).map(one => settle(one, 'failed', { error: 'e' })) })
    t.deepEqual(await found(), [5, 6, 7])
    t.deepEqual([session.counts.failed, session.counts.cancelled], [5, 3])
    const query = { state: 'failed', key: undefined, limit: 9, after: undefined } as const
    t.deepEqual(payloads(await session.list(query)), [7, 6, 5])
  })
  it('of ids no more are remembered than the most, and the oldest go first', async t => {
    const session = await open({ keep: { ...keep, most: 2 } })
    const ids = ['a', 'b', 'c', 'd']
    for (const [now, id] of ids.entries()) {
      const one = job(id, { id })
      await session.put([one], now, wall)
      await claim(session)
      await turn(session, { now, settled: [settle(one, 'finished')] })
    }
    const existed = await Promise.all(ids.map(async id => (await session.put([job(id, { id })], 9, wall))?.size === 1))
    t.deepEqual(existed, [false, false, true, true])
  })
  it('what is more than the most of a new declaration goes in bounded steps', async t => {
    const backlog = make()
    const first = await attach(backlog)
    const jobs = Array.from({ length: 400 }, (_, i) => job(i))
    await first.put(jobs, 0, wall)
    await claim(first, 400)
    await turn(first, { settled: jobs.map(one => settle(one, 'failed', { error: 'e' })) })
    await first.close()
    const second = await attach(backlog, { keep: { ...keep, most: 10 } })
    const left = async (): Promise<number> => {
      const query = { state: 'failed', key: undefined, limit: 500, after: undefined } as const
      return (await second.list(query)).length
    }
    await turn(second)
    t.true((await left()) >= 200, 'a turn forgets a bounded number')
    for (let i = 0; i < 5; i++) await turn(second)
    t.is(await left(), 10)
  })
  it('a list of what waits is in the order of start, any other has the latest first, and a cursor goes on', async t => {
    const session = await open()
    const [a, b, c] = [job('a', { priority: 1 }), job('b', { key: 'k' }), job('c')]
    await session.put([a, b, c], 0, wall)
    const query = { state: undefined, key: undefined, limit: 9, after: undefined }
    t.deepEqual(await session.list(query), [c, b, a])
    t.deepEqual(await session.list({ ...query, state: 'pending', limit: 2 }), [b, c])
    t.deepEqual(await session.list({ ...query, state: 'pending', after: c.id }), [a])
    t.deepEqual(await session.list({ ...query, key: 'k' }), [b])
  })
  it('a list has the few of a key among many others, and as many as are asked for', async t => {
    const session = await open()
    const many = Array.from({ length: 2_500 }, (_, i) => job(i, { key: 'many' }))
    const [first, last] = [job('first', { key: 'few', priority: -1 }), job('last', { key: 'few', priority: 1 })]
    await session.put([last, ...many, first], 0, wall)
    const query = { state: undefined, key: 'few', limit: 9, after: undefined }
    t.deepEqual(payloads(await session.list({ ...query, state: 'pending' })), ['first', 'last'])
    t.deepEqual(payloads(await session.list({ ...query, state: 'pending', after: first })), ['last'])
    t.deepEqual(payloads(await session.list(query)), ['first', 'last'])
    t.deepEqual(await session.list({ ...query, key: 'none' }), [])
    const page = await session.list({ ...query, state: 'pending', key: 'many', limit: 2_400 })
    t.deepEqual(payloads(page), payloads(many.slice(0, 2_400)))
  })
  it('a cursor goes on from where its job stood, also when that is gone', async t => {
    const session = await open()
    const [a, b, c, d] = [job('a'), job('b', { priority: 1 }), job('c', { priority: 1 }), job('d', { priority: 2 })]
    const [x, y, z] = [0, 1, 2].map(i => job(i, { dueAt: 70, priority: i })) as [JobRecord, JobRecord, JobRecord]
    await session.put([d, c, b, a, x, y, z], 0, wall)
    await session.control({ kind: 'remove', target: y }, 0, wall)
    const query = { state: 'pending', key: undefined, limit: 9, after: undefined } as const
    t.deepEqual(await session.list({ ...query, state: 'delayed', after: y }), [z])
    t.deepEqual(await session.list({ ...query, state: undefined, after: y }), [x, a, b, c, d])

    const page = await claim(session, 2)
    t.deepEqual(await session.list({ ...query, after: page[1] }), [b, d])
    await turn(session, { settled: page.map(record => settle(record, 'finished')) })
    t.deepEqual(await session.list({ ...query, after: page[1] }), [b, d])
    t.deepEqual(await session.list({ ...query, state: undefined, after: c }), [d])
  })
  it('a cursor by id goes on while its job is kept, and is refused when none is', async t => {
    const session = await open()
    const [a, b, c, d] = [job('a'), job('b', { id: 'given' }), job('c'), job('d')]
    await session.put([a, b, c, d], 0, wall)
    const query = { state: 'pending', key: undefined, limit: 9, after: undefined } as const
    const page = await claim(session, 2)
    t.deepEqual(await session.list({ ...query, after: a.id }), [c, d])
    await turn(session, { settled: [settle(a, 'failed'), settle(b, 'finished')] })
    t.deepEqual(await session.list({ ...query, after: page[0]?.id }), [c, d])
    await session.control({ kind: 'remove', target: c }, 0, wall)
    const again = job('b', { id: 'given' })
    t.is((await session.put([again], 0, wall))?.get(again), again)
    for (const [after, id] of [
      ...['none', 'given', c.id].map(gone => [gone, gone] as const),
      [again, 'given'] as const,
    ]) {
      for (const state of ['pending', undefined] as const) {
        await t.throwsAsync(async () => session.list({ ...query, state, after }), {
          instanceOf: JobUnknownError,
          message: RegExp(id),
        })
      }
    }
  })
  it('explain tells the position, and what holds a job until when', async t => {
    const session = await open()
    const [a, b, c] = [job('a'), job('b'), job('c', { dueAt: 70 })]
    await session.put([a, b, c], 0, wall)
    t.like(await session.explain(b, 0, wall), { position: 1, why: undefined })
    t.like(await session.explain(c.id, 0, wall), { position: undefined, why: 'delay', notBefore: 70 })
    t.is(await session.explain('none', 0, wall), undefined)
  })
  it('a finished value is kept where results are, and a checkpoint is of the claim that runs', async t => {
    const session = await open({ keep: { ...keep, finishedMs: 10, results: true } })
    const a = job('a')
    await session.put([a], 0, wall)
    await claim(session)
    await turn(session, { checkpoints: [{ record: a, fence: 2, value: CheckpointValue.of('no', true) }] })
    t.is(a.extras?.checkpoint, undefined)
    await turn(session, { checkpoints: [{ record: a, fence: 1, value: CheckpointValue.of('yes', true) }] })
    await turn(session, { settled: [settle(a, 'finished', { value: 7, text: '7' })] })
    t.deepEqual([a.extras?.checkpoint?.read(), a.extras?.resultKept, a.extras?.value], ['yes', true, 7])
  })
  it('what is underway is neither retried, reprioritized nor removed', async t => {
    const session = await open()
    const a = job('a')
    await session.put([a], 0, wall)
    await claim(session)
    for (const kind of ['retry', 'remove'] as const) {
      await t.throwsAsync(async () => session.control({ kind, target: a }, 0, wall), { code: 'JOB_STATE' })
    }
    const change = { kind: 'reprioritize', target: a, priority: 1 } as const
    await t.throwsAsync(async () => session.control(change, 0, wall), { code: 'JOB_STATE' })
    await t.throwsAsync(async () => session.control({ ...change, target: 'none' }, 0, wall), { code: 'JOB_UNKNOWN' })
  })
}
