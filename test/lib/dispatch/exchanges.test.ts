/**
 * Exchanges with a backlog that is a script: what each carries, how many are in flight, what becomes of a refused one.
 */
import test from 'ava'
import type { BacklogSession, Exchange, ExchangeResult, Settlement } from '../../../lib/backlog.ts'
import { Cooperator } from '../../../lib/cooperate/cooperator.ts'
import { type ExchangeListener, Exchanges } from '../../../lib/dispatch/exchanges.ts'
import { StoreError } from '../../../lib/errors.ts'
import { JobRecord } from '../../../lib/job.ts'
import { cleanContext } from '../../../lib/support/clean-context.ts'
import { Deferred } from '../../../lib/support/deferred.ts'
import { VirtualClock } from '../../../testing/index.ts'

const reply: ExchangeResult = {
  claimed: [],
  payloads: undefined,
  grants: undefined,
  graceUntil: Infinity,
  nextLookAt: Infinity,
  nextLookExact: false,
  sharedPaused: false,
  limited: undefined,
  endedUnrun: [],
} as unknown as ExchangeResult

const record = (id: string): JobRecord => new JobRecord(id, undefined, 0, 0)

const ending = (id: string): Settlement => ({
  record: record(id),
  fence: 1,
  kind: 'finished',
  grant: 0,
  value: undefined,
  error: undefined,
  waitMs: 0,
  heldKey: undefined,
  within: false,
})

/** Exchanges, and the backlog's side of them: `sent` says what each carried, and `replyTo` replies. */
const setup = (replyTo: (exchange: Exchange) => ExchangeResult | Promise<ExchangeResult> = () => reply) => {
  const clock = new VirtualClock()
  const cooperator = new Cooperator({ slice: 5, clock })
  const calls: string[] = []
  const sent: string[][] = []
  const reported: unknown[] = []
  const listener: ExchangeListener = {
    replied: (_, { settled }) => calls.push(`replied ${settled.map(one => one.record.id)}`),
    exchangeOver: () => calls.push('over'),
    roomUnclaimed: () => calls.push('room left'),
    reportsRemain: () => calls.push('more to report'),
    wake: () => calls.push('wake'),
    refused: () => calls.push('refused'),
    launchNotReported: begun => calls.push(`launch of ${begun.record.id} not reported`) > 0,
    endingNotStored: ({ id }) => calls.push(`ending of ${id} not stored`),
    report: error => reported.push(error),
  }
  const loopContext = cleanContext('test')
  const exchanges = new Exchanges({ clock, cooperator, loopContext, strict: false, maxExchangesInFlight: 4, listener })
  const session = {
    exchange: (exchange: Exchange) => {
      sent.push(exchange.settled.map(one => one.record.id))
      return replyTo(exchange)
    },
  } as unknown as BacklogSession
  exchanges.open(session)
  const settle = (...ids: string[]): void => {
    for (const id of ids) exchanges.next.settled.push(ending(id))
  }
  /** As a pass of the loop does it, but for how many endings one takes. */
  const send = (free = 0): void => {
    const piece = exchanges.nextPiece()
    if (piece) return exchanges.send(piece)
    const exchange = exchanges.take(clock.now())
    exchange.room = exchanges.roomWithin(free)
    exchanges.send(exchange)
  }
  return { clock, cooperator, exchanges, calls, sent, reported, settle, send }
}

/** A backlog that is elsewhere: each reply comes when the test gives it. */
const remote = () => {
  const replies: Deferred<ExchangeResult>[] = []
  const room: number[] = []
  const setUp = setup(exchange => {
    room.push(exchange.room)
    const answer = new Deferred<ExchangeResult>()
    replies.push(answer)
    return answer.promise
  })
  return { ...setUp, replies, room }
}

test('exchanges: each carries the reports made before it, and later reports are part of the next', t => {
  const { settle, send, sent, calls } = setup()
  settle('a', 'b')
  send()
  settle('c')
  send()
  send()

  t.deepEqual(sent, [['a', 'b'], ['c'], []])
  t.deepEqual(calls, ['replied a,b', 'over', 'replied c', 'over', 'replied ', 'over'])
})

test('exchanges: each has the time at which it was sent, by both clocks', async t => {
  const { clock, exchanges } = setup()
  const first = exchanges.take(clock.now())
  await clock.advance(5)
  const second = exchanges.take(clock.now())

  t.deepEqual([second.now - first.now, second.wall - first.wall], [5, 5])
})

test('exchanges: up to four are in flight, and a reply makes way for another', async t => {
  const { clock, exchanges, send, replies } = remote()
  for (let sent = 0; sent < 4; sent++) {
    t.true(exchanges.maySend)
    send()
  }
  t.is(exchanges.inFlight, 4)
  t.false(exchanges.maySend)

  replies[0]?.resolve(reply)
  await clock.settle()

  t.is(exchanges.inFlight, 3)
  t.true(exchanges.maySend)
})

test('exchanges: none is sent before the backlog is open, or after it is closed', t => {
  const { exchanges } = setup()
  t.true(exchanges.maySend)
  exchanges.close()

  t.false(exchanges.maySend)
})

test('exchanges: a slot that an exchange in flight may fill is requested again only when none is in flight', async t => {
  const { clock, send, replies, room, calls } = remote()
  send(3)
  send(4)
  t.deepEqual(room, [3, 1])

  replies[0]?.resolve(reply)
  await clock.settle()
  t.false(calls.includes('room left'))
  replies[1]?.resolve(reply)
  await clock.settle()

  t.deepEqual(calls, ['replied ', 'over', 'replied ', 'room left', 'over'])
})

test('exchanges: no slot stays free after the replies of exchanges that claimed for all free slots', async t => {
  const { clock, send, replies, calls } = remote()
  send(3)
  replies[0]?.resolve(reply)
  await clock.settle()
  send(3)
  replies[1]?.resolve(reply)
  await clock.settle()

  t.deepEqual(calls, ['replied ', 'over', 'replied ', 'over'])
})

test('exchanges: flush requests a pass, and resolves with the exchange that follows, not with one sent before', async t => {
  const { clock, exchanges, send, replies, calls } = remote()
  send()
  let flushed = false
  void exchanges.flush().then(() => {
    flushed = true
  })
  t.deepEqual(calls, ['wake'])
  send()

  replies[0]?.resolve(reply)
  await clock.settle()
  t.false(flushed)
  replies[1]?.resolve(reply)
  await clock.settle()
  t.true(flushed)
})

test('exchanges: the reports of a refused exchange are sent with the next one, before newer ones', async t => {
  let refuses = true
  const { exchanges, settle, send, sent, calls } = setup(() => {
    if (refuses) throw new Error('disk full')
    return reply
  })
  settle('a', 'b')
  const flushed = t.throwsAsync(exchanges.flush(), { message: 'disk full' })
  send()
  await flushed
  t.deepEqual(calls, ['wake', 'refused'])
  settle('c')
  refuses = false
  send()

  t.deepEqual(sent.at(-1), ['a', 'b', 'c'])
})

test('exchanges: flush rejects when the exchange before the one that it waits for is refused', async t => {
  const { exchanges, clock, cooperator, settle } = setup(() => {
    throw new Error('thread ended')
  })
  cooperator.openSlice()
  settle('a', 'b')
  const flushed = t.throwsAsync(exchanges.flush(), { message: 'thread ended' })
  const exchange = exchanges.take(clock.now())
  exchanges.shorten(exchange)
  t.is(exchange.settled.length, 1)
  exchanges.send(exchange)

  await flushed
})

test('exchanges: flush rejects when an item of a split exchange is refused for a reason that may pass', async t => {
  let error: Error = new StoreError('the exchange', { cause: new Error('no such value') })
  const { exchanges, settle, send, sent } = setup(() => {
    throw error
  })
  settle('a', 'b')
  const flushed = t.throwsAsync(exchanges.flush(), { message: 'thread ended' })
  send()
  error = new Error('thread ended')
  const flushedBehind = t.throwsAsync(exchanges.flush(), { message: 'thread ended' })
  send()

  await flushed
  await flushedBehind
  send()
  t.deepEqual(sent, [['a', 'b'], [], []])
})

test('exchanges: a run that waits for its launch report is notified that it was refused', t => {
  const { exchanges, send, calls } = setup(() => {
    throw new Error('disk full')
  })
  exchanges.next.launchReports.push({ record: record('a'), fence: 1, first: true })
  send()

  t.deepEqual(calls, ['launch of a not reported', 'refused'])
})

test('exchanges: an exchange that can never be stored is split, and only the ending at fault fails its job', t => {
  const { settle, send, sent, calls } = setup(({ settled }) => {
    if (settled.some(({ record, kind }) => record.id === 'bad' && kind === 'finished')) {
      throw new StoreError('the exchange', { cause: new Error('no such value') })
    }
    return reply
  })
  settle('a', 'bad', 'b')
  for (let i = 0; i < 6; i++) send()

  // Whole, then empty, because the fault may lie in none of its items, then one by one; 'bad' is sent again as a failure.
  t.deepEqual(sent, [['a', 'bad', 'b'], [], ['a'], ['bad'], ['bad'], ['b']])
  t.is(calls.filter(call => call === 'wake').length, 2)
  t.false(calls.includes('refused'))
})

test('exchanges: while the items of a split one are sent, one is in flight at a time', async t => {
  const { clock, exchanges, settle, send, replies } = remote()
  settle('a', 'b')
  send()
  replies[0]?.fail(new StoreError('the exchange', { cause: new Error('no such value') }))
  await clock.settle()
  t.true(exchanges.maySend)
  send()

  t.false(exchanges.maySend)
  replies[1]?.resolve(reply)
  await clock.settle()
  t.true(exchanges.maySend)
})

test('exchanges: a first long list of endings is spread over several, none of which but the last claims jobs', t => {
  const { exchanges, clock, cooperator, settle, sent, calls } = setup()
  cooperator.openSlice()
  settle('a', 'b', 'c')
  const rooms: number[] = []
  for (let i = 0; i < 3 && exchanges.next.settled.length > 0; i++) {
    const exchange = exchanges.take(clock.now())
    exchange.room = 5
    exchanges.shorten(exchange)
    rooms.push(exchange.room)
    exchanges.send(exchange)
  }

  t.deepEqual(sent, [['a'], ['b', 'c']])
  t.deepEqual(rooms, [0, 5])
  t.is(calls[0], 'more to report')
})

test('exchanges: flush waits for the endings that were moved to a later exchange', async t => {
  const { exchanges, clock, cooperator, settle } = setup()
  cooperator.openSlice()
  settle('a', 'b')
  let flushed = false
  void exchanges.flush().then(() => {
    flushed = true
  })
  for (const expected of [false, true]) {
    const exchange = exchanges.take(clock.now())
    exchanges.shorten(exchange)
    exchanges.send(exchange)
    await clock.settle()

    t.is(flushed, expected)
  }
})

test('exchanges: flush waits for the endings in a later exchange although this one is split', async t => {
  const { exchanges, clock, cooperator, settle, send, sent } = setup(({ settled }) => {
    if (settled.some(({ record, kind }) => record.id === 'bad' && kind === 'finished'))
      throw new StoreError('the exchange', { cause: new Error('no such value') })
    return reply
  })
  cooperator.openSlice()
  settle('bad', 'b')
  let flushed = false
  void exchanges.flush().then(() => {
    flushed = true
  })
  const exchange = exchanges.take(clock.now())
  exchanges.shorten(exchange)
  exchanges.send(exchange)
  for (let i = 0; i < 3; i++) send()
  await clock.settle()
  t.deepEqual([sent, flushed], [[['bad'], [], ['bad'], ['bad']], false])

  send()
  await clock.settle()

  t.deepEqual([sent.at(-1), flushed], [['b'], true])
})

test('exchanges: a reply that comes after the queue has closed is ignored', async t => {
  const { clock, exchanges, send, replies, calls } = remote()
  send()
  exchanges.close()
  replies[0]?.resolve(reply)
  await clock.settle()

  t.deepEqual(calls, [])
})

test('exchanges: a checkpoint resolves once its exchange is stored', async t => {
  const { clock, exchanges, send } = setup(exchange => {
    exchanges.answerCheckpoints(exchange as never, undefined, ({ id }) => stored.push(id))
    return reply
  })
  const stored: string[] = []
  let resolved = false
  const job = record('a')
  void exchanges.checkpoint({ record: job, fence: job.fence } as never, 'half').then(() => {
    resolved = true
  })
  await clock.settle()
  t.false(resolved)
  send()
  await clock.settle()

  t.true(resolved)
  t.deepEqual(stored, ['a'])
})
