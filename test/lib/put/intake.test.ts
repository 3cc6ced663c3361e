/**
 * The way in: what goes together to the backlog and when, what waits for room, and what a refusal does to its
 * neighbours.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import type { BacklogSession, PutBatch } from '../../../lib/backlog.ts'
import { OutcomeUnknownError, QueueFullError, StoreError } from '../../../lib/errors.ts'
import type { JobRecord } from '../../../lib/job.ts'
import { Lifecycle } from '../../../lib/lifecycle.ts'
import type { PutOptions } from '../../../lib/options/options.ts'
import type { PutCall } from '../../../lib/put/entries.ts'
import { Intake, type IntakeParts, maxCommandsInLoopTurn } from '../../../lib/put/intake.ts'
import { PlainJobs } from '../../../lib/put/plain-jobs.ts'
import { Deferred } from '../../../lib/support/deferred.ts'
import { VirtualClock } from '../../../testing/index.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** An intake before a backlog that is a script: `batches` says what went together, `log` what became of it. */
const setup = (parts: Partial<IntakeParts> = {}) => {
  const clock = new VirtualClock()
  const lifecycle = new Lifecycle(true, false)
  const log: string[] = []
  const batches: string[][] = []
  /** The jobs of the puts that were accepted one by one. */
  const accepted: JobRecord[] = []
  const name = (record: JobRecord): string => `${record.payload}`
  const intake = new Intake({
    clock,
    lifecycle,
    strict: false,
    transport: { batchSize: Infinity, batchesInFlight: 4, exchangesInFlight: 4 },
    waits: false,
    size: Infinity,
    context: 'queue',
    cost: undefined,
    ...parts,
  })
  intake.listen({
    accepted: record => {
      accepted.push(record)
      log.push(`accepted ${name(record)}`)
    },
    allAccepted: jobs =>
      log.push(jobs instanceof PlainJobs ? `accepted ${jobs.length} plain` : `accepted ${jobs.map(name)}`),
    refused: (record, error) => log.push(`refused ${name(record)}: ${(error as Error).name}`),
    waitsForSpace: record => log.push(`${name(record)} waits`),
    emptied: () => log.push('empty'),
    perhapsPut: () => log.push('perhaps put'),
  })
  /** What the backlog does with a batch. */
  const backlog = { put: (_: readonly string[]): unknown => undefined }
  const put = (batch: PutBatch): unknown => {
    const names = batch instanceof PlainJobs ? [`${batch.length} plain`] : (batch as readonly JobRecord[]).map(name)
    batches.push(names)
    return backlog.put(names)
  }
  /** As of the last answer of the backlog. */
  const counts = { pending: 0, delayed: 0 }
  const open = (): void => intake.open({ put, counts } as unknown as BacklogSession)
  const one = (payload: string, options?: PutOptions): void => intake.addOne(intake.record(payload, options))
  /** Jobs that are put together, all or none. */
  const many = (...payloads: string[]): PutCall => {
    const records = payloads.map(payload => intake.record(payload, undefined))
    const call: PutCall = {
      record: undefined,
      records,
      accepted: () => log.push(`accepted ${payloads}`),
      refused: error => log.push(`refused ${payloads}: ${(error as Error).name}`),
    }
    intake.add(call)
    return call
  }
  return { clock, lifecycle, intake, log, batches, accepted, backlog, counts, open, one, many }
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 30; i++) await undefined
}

test('intake: the puts of one turn of the event loop go to the backlog as one batch, in order', async t => {
  const { batches, log, open, one, many } = setup()
  open()
  one('a')
  many('b', 'c')
  one('d')
  t.deepEqual(batches, [])
  await settle()

  t.deepEqual(batches, [['a', 'b', 'c', 'd']])
  t.deepEqual(log, ['accepted a', 'accepted b,c', 'accepted d', 'empty'])
})

test('intake: nothing is sent before the backlog is open', async t => {
  const { batches, intake, open, one } = setup()
  one('a')
  await settle()
  t.deepEqual(batches, [])
  t.false(intake.empty)
  open()
  await settle()

  t.deepEqual(batches, [['a']])
  t.true(intake.empty)
})

test('intake: a backlog that cannot be opened refuses earlier puts and later ones', async t => {
  const { intake, log, one } = setup()
  one('a')
  intake.fail(new Error('no file'))
  t.true(intake.failureReported)
  one('b')
  await settle()

  t.deepEqual(log, ['refused a: Error', 'refused b: Error'])
})

test('intake: many jobs without options are sent in columns, few as records', async t => {
  const { intake, batches, open } = setup()
  open()
  const plain = (count: number): void => {
    for (let i = 0; i < count; i++) t.true(intake.addPlain(i, () => {}))
  }
  plain(16)
  await settle()
  plain(2)
  await settle()

  t.deepEqual(batches, [['16 plain'], ['0', '1']])
})

test('intake: a batch holds no more jobs than the backlog wants at a time, and up to four are in flight', async t => {
  const { batches, backlog, open, one } = setup({
    transport: { batchSize: 2, batchesInFlight: 4, exchangesInFlight: 4 },
  })
  const replies: Deferred<undefined>[] = []
  backlog.put = () => {
    const reply = new Deferred<undefined>()
    replies.push(reply)
    return reply.promise
  }
  open()
  for (const payload of 'abcdefghij') one(payload)
  await settle()
  t.deepEqual(batches, [
    ['a', 'b'],
    ['c', 'd'],
    ['e', 'f'],
    ['g', 'h'],
  ])

  replies[1]?.resolve(undefined)
  await settle()
  t.deepEqual(batches[4], ['i', 'j'])
})

/**
 * An intake with more puts than its batches hold, so that some always wait. Each round answers a batch and puts again.
 */
const alwaysOutstanding = (turns: number) => {
  const made = setup({ transport: { batchSize: 1, batchesInFlight: 1, exchangesInFlight: 1 } })
  const replies: Deferred<undefined>[] = []
  made.backlog.put = () => {
    const reply = new Deferred<undefined>()
    replies.push(reply)
    return reply.promise
  }
  made.open()
  for (let i = 0; i < turns; i++) made.one(`first ${i}`)
  const round = async (payload: string): Promise<JobRecord> => {
    replies.shift()?.resolve(undefined)
    await settle()
    const record = made.intake.record(payload, undefined)
    made.intake.addOne(record)
    await settle()
    return record
  }
  return { ...made, round }
}

test('intake: a job is queued at the instant of its put, though earlier puts are still outstanding', async t => {
  const { clock, round } = alwaysOutstanding(3)
  await settle()
  for (let i = 1; i <= 5; i++) {
    await clock.advance(1_000)
    t.is((await round(`later ${i}`)).queuedAt, clock.wall())
  }
})

test('intake: a job is queued at the instant of its put, though the backlog is not open', async t => {
  const { clock, intake } = setup()
  for (let i = 0; i < 3; i++) {
    const record = intake.record(i, undefined)
    intake.addOne(record)
    t.is(record.queuedAt, clock.wall())
    await clock.advance(1_000)
  }
})

test('intake: jobs in columns are queued at the instants of their puts, though the backlog is not open', async t => {
  const { clock, intake, accepted, open } = setup()
  const start = clock.wall()
  intake.addPlain('a', () => {})
  intake.addPlain('b', () => {})
  await clock.advance(1_000)
  intake.addPlain('c', () => {})
  open()
  await settle()

  t.deepEqual(
    accepted.map(({ payload, queuedAt }) => [payload, queuedAt - start]),
    [
      ['a', 0],
      ['b', 0],
      ['c', 1_000],
    ],
  )
})

test('intake: the clock is read once for the puts of one turn, also after a put that was refused', async t => {
  const { clock, intake, open } = setup()
  let reads = 0
  const { wall } = clock
  clock.wall = () => {
    reads++
    return wall.call(clock)
  }
  open()
  t.throws(() => intake.record(0, { priority: Number.NaN }))
  const records = [1, 2, 3].map(payload => intake.record(payload, undefined))
  t.is(reads, 1)
  t.is(new Set(records.map(({ queuedAt }) => queuedAt)).size, 1)
  await clock.advance(1_000)
  t.is(intake.record(4, undefined).queuedAt, clock.wall())
})

test('intake: sent puts are released, though earlier ones are always outstanding', async t => {
  const { round } = alwaysOutstanding(3)
  const sent: WeakRef<JobRecord>[] = []
  for (let i = 0; i < 20; i++) sent.push(new WeakRef(await round(`${i}`)))
  const released = (): number => sent.filter(reference => reference.deref() === undefined).length
  for (let i = 0; i < 10 && released() < 10; i++) {
    await new Promise(setImmediate)
    gc()
  }

  t.true(released() >= 10, `${released()} of 20 records were released`)
})

test('intake: the jobs of a putMany stay in one batch, however small batches are', async t => {
  const { batches, open, one, many } = setup({ transport: { batchSize: 2, batchesInFlight: 4, exchangesInFlight: 4 } })
  open()
  one('a')
  many('b', 'c', 'd')
  one('e')
  await settle()

  t.deepEqual(batches, [['a', 'b', 'c', 'd'], ['e']])
})

test('intake: a command is sent in its order among the puts', async t => {
  const { intake, batches, log, open, one } = setup()
  open()
  one('a')
  const command = intake.command(() => {
    log.push('command')
    return 'done'
  })
  one('b')
  await settle()

  t.deepEqual(batches, [['a'], ['b']])
  t.deepEqual(log, ['accepted a', 'command', 'accepted b', 'empty'])
  t.is(await command, 'done')
})

test('intake: it is empty once its last entry, a command, has run', async t => {
  const { intake, open, one } = setup()
  open()
  one('a')
  await intake.command(() => {})

  t.true(intake.empty)
})

test('intake: very many commands are sent over several turns of the loop, in order with the puts between them', async t => {
  const { clock, intake, batches, open, one } = setup()
  open()
  const ran: number[] = []
  for (let i = 0; i < 2 * maxCommandsInLoopTurn + 1; i++) void intake.command(() => void ran.push(i))
  one('a')
  let isDrained = false
  void intake.drained().then(() => (isDrained = true))
  const inTurn: number[] = []
  for (let turn = 0; turn < 3; turn++) {
    await settle()
    inTurn.push(ran.length - inTurn.reduce((sum, count) => sum + count, 0))
    if (turn < 2) t.deepEqual([batches, isDrained], [[], false])
    await new Promise<void>(resolve => clock.soon(resolve))
  }

  t.deepEqual(inTurn, [maxCommandsInLoopTurn, maxCommandsInLoopTurn, 1])
  t.deepEqual(ran, [...ran.keys()])
  t.deepEqual([batches, isDrained], [[['a']], true])
})

test('intake: a command waits until the batches before it are answered', async t => {
  const { intake, backlog, log, open, one } = setup()
  const reply = new Deferred<undefined>()
  backlog.put = () => reply.promise
  open()
  one('a')
  void intake.command(() => void log.push('command'))
  await settle()
  t.deepEqual(log, [])
  reply.resolve(undefined)
  await settle()

  t.is(log[0], 'accepted a')
  t.true(log.includes('command'))
})

test('intake: nothing is sent while a command of several steps goes on', async t => {
  const { intake, batches, open, one } = setup()
  open()
  const steps = new Deferred<void>()
  void intake.command(
    () => steps.promise,
    () => true,
  )
  one('a')
  await settle()
  t.deepEqual(batches, [])
  t.false(intake.empty)
  steps.resolve()
  await settle()

  t.deepEqual(batches, [['a']])
})

test('intake: a batch with an id is sent alone, because the backlog may refuse it', async t => {
  const { batches, backlog, open, one } = setup({
    transport: { batchSize: 1, batchesInFlight: 4, exchangesInFlight: 4 },
  })
  const first = new Deferred<undefined>()
  backlog.put = () => (batches.length === 1 ? first.promise : undefined)
  open()
  one('a', { id: 'given' })
  await settle()
  one('b', { id: 'other' })
  await settle()
  t.deepEqual(batches, [['a']])
  first.resolve(undefined)
  await settle()

  t.deepEqual(batches, [['a'], ['b']])
})

test('intake: if the backlog can never accept a batch, only the put at fault is refused', async t => {
  const { batches, backlog, log, open, one, many } = setup()
  backlog.put = names => {
    if (names.includes('bad')) throw new StoreError('the jobs', { cause: new Error('no such value') })
    return undefined
  }
  open()
  one('a')
  many('b', 'bad')
  one('c')
  await settle()

  t.deepEqual(batches, [['a', 'b', 'bad', 'c'], ['a'], ['b', 'bad'], ['c']])
  t.deepEqual(log, ['accepted a', 'refused b,bad: StoreError', 'accepted c', 'empty'])
})

test('intake: a batch whose outcome is unknown is refused and not sent again', async t => {
  const { batches, backlog, log, open, one } = setup()
  backlog.put = () => Promise.reject(new OutcomeUnknownError('the job was stored', []))
  open()
  one('a', { id: 'given' })
  await settle()

  t.deepEqual(batches, [['a']])
  t.deepEqual(log, ['refused a: OutcomeUnknownError', 'perhaps put', 'empty'])
})

/** A backlog with room for `room` jobs more. */
const bounded = (room: number) => {
  const made = setup({ waits: true, size: 3 })
  const state = { room }
  made.backlog.put = names => {
    if (names.length > state.room) throw new QueueFullError(names.length, 3, 3)
    state.room -= names.length
    return undefined
  }
  made.open()
  return { ...made, state }
}

test('intake: puts without space wait in order, and smaller ones behind them wait too', async t => {
  const { log, one, many, intake, state } = bounded(1)
  one('a')
  many('b', 'c')
  one('d')
  await settle()
  t.deepEqual(log, ['accepted a'])
  t.false(intake.empty)

  state.room = 3
  intake.spaceFreed()
  await settle()
  t.deepEqual(log, ['accepted a', 'accepted b,c', 'accepted d', 'empty'])
})

test('intake: very many waiting puts are sent to the backlog once each, plus one try for each time that space is freed', async t => {
  const size = 10
  const { batches, backlog, counts, intake, one, log, open } = setup({ waits: true, size })
  backlog.put = names => {
    if (counts.pending + names.length > size) throw new QueueFullError(names.length, size, counts.pending)
    counts.pending += names.length
    return undefined
  }
  open()
  const all = [...Array(2_000).keys()].map(String)
  for (const name of all) one(name)
  await settle()
  t.is(counts.pending, size)
  let made = 0
  for (; !intake.empty && made < all.length; made++) {
    counts.pending--
    intake.spaceFreed()
    await settle()
  }

  t.is(made, all.length - size)
  t.deepEqual(
    log.slice(0, -1).flatMap(line => line.replace('accepted ', '').split(',')),
    all,
  )
  const handed = batches.reduce((sum, { length }) => sum + length, 0)
  t.true(handed <= all.length + made + 1, `${handed} jobs were handed over to put ${all.length}`)
  t.true(batches.length <= 2 * made + 2, `${batches.length} calls for ${made} times of room`)
})

test('intake: a put while others wait tries only the first of them', async t => {
  const { batches, counts, one } = bounded(0)
  counts.pending = 3
  for (const name of ['a', 'b', 'c']) one(name)
  await settle()
  batches.length = 0
  one('d')
  await settle()
  t.deepEqual(batches, [['a']])
})

test('intake: if another process has taken the space, a put that does not fit waits before all later ones', async t => {
  const { batches, intake, log, one, state } = bounded(0)
  for (const name of ['a', 'b', 'c', 'd']) one(name)
  await settle()
  batches.length = 0
  state.room = 1
  intake.spaceFreed()
  await settle()
  t.deepEqual(batches, [['a', 'b', 'c'], ['a'], ['b']])
  state.room = 3
  intake.spaceFreed()
  await settle()

  t.deepEqual(log, ['accepted a', 'accepted b', 'accepted c', 'accepted d', 'empty'])
})

test("intake: without overflow 'wait' each put that finds no space is refused", async t => {
  const { backlog, log, open, one } = setup({ size: 1 })
  let room = 1
  backlog.put = names => {
    if (names.length > room) throw new QueueFullError(names.length, 1, 1)
    room -= names.length
    return undefined
  }
  open()
  one('a')
  one('b')
  await settle()

  t.deepEqual(log, ['accepted a', 'refused b: QueueFullError', 'empty'])
})

test('intake: more jobs together than the queue can hold are refused, because they would wait for ever', async t => {
  const { log, many } = bounded(3)
  many('a', 'b', 'c', 'd')
  await settle()

  t.deepEqual(log, ['refused a,b,c,d: QueueFullError', 'empty'])
})

test('intake: a job with a signal is withdrawn before it is sent, with all jobs of the same putMany', async t => {
  const { intake, batches, log, open, one, many } = setup()
  open()
  one('a')
  const call = many('b', 'c')
  const record = call.records[0] as JobRecord
  intake.makeWithdrawable(record, call)
  t.true(intake.withdraw(record, new Error('aborted')))
  await settle()

  t.deepEqual(batches, [['a']])
  t.deepEqual(log, ['refused b,c: Error', 'accepted a', 'empty'])
  t.false(intake.withdraw(record, new Error('again')))
})

test('intake: a job that waits for space is found by its id', async t => {
  const { intake, log, one } = bounded(0)
  one('a', { id: 'given' })
  await settle()
  t.true(intake.isWaiting('given'))
  intake.withdrawWaiting('given', new Error('cancelled'))

  t.false(intake.isWaiting('given'))
  t.deepEqual(log, ['refused a: Error', 'empty'])
})

test('intake: puts that were taken for a clear that failed wait again, before later ones', async t => {
  const { intake, log, one, state } = bounded(0)
  one('a')
  await settle()
  const waiting = intake.takeWaiting()
  one('b')
  await settle()
  intake.putBackWaiting(waiting)
  state.room = 2
  intake.spaceFreed()
  await settle()

  t.deepEqual(log, ['accepted a', 'accepted b', 'empty'])
})

test('intake: after a stop no waiting put is sent, and the stop takes them out', async t => {
  const { intake, lifecycle, log, one, batches, state } = bounded(0)
  one('a')
  await settle()
  lifecycle.stop()
  const sent = batches.length
  state.room = 1
  intake.spaceFreed()
  await settle()

  t.is(batches.length, sent)
  t.is(intake.takeWaiting().length, 1)
  t.deepEqual(log, [])
})

test('intake: a put that finds no space after a stop waits to be taken out', async t => {
  const { intake, lifecycle, log, one, backlog } = bounded(0)
  const reply = new Deferred<undefined>()
  const { put } = backlog
  backlog.put = names => reply.promise.then(() => put(names))
  one('a')
  await settle()
  lifecycle.stop()
  t.is(intake.takeWaiting().length, 0)
  reply.resolve(undefined)
  await intake.drained()

  t.is(intake.takeWaiting().length, 1)
  t.deepEqual(log, [])
})

test('intake: drained resolves once no sendable put is in flight', async t => {
  const { intake, backlog, open, one } = setup()
  const reply = new Deferred<undefined>()
  backlog.put = () => reply.promise
  open()
  one('a')
  let drained = false
  void intake.drained().then(() => {
    drained = true
  })
  await settle()
  t.false(drained)
  reply.resolve(undefined)
  await settle()

  t.true(drained)
})
