/**
 * A link over a connection that does what the test says: each state, what leads out of it, and what requests meet in
 * it.
 */
import test from 'ava'
import { systemClock } from '../../../lib/clock.ts'
import { StoreError } from '../../../lib/errors.ts'
import type { Connection, ConnectionEvents } from '../../../persistence/durable/connection.ts'
import { Link } from '../../../persistence/durable/link.ts'
import type { LinkClient } from '../../../persistence/durable/link-client.ts'
import type {
  ExchangeRequest,
  NumberedRequest,
  PutRequest,
  Request,
  RequestResult,
} from '../../../persistence/durable/store.ts'
import { VirtualClock } from '../../../testing/virtual-clock.ts'

class ScriptedConnection implements Connection {
  readonly mapping = { toStore: (now: number) => now + 500, fromStore: (at: number) => at - 500, errorMs: 0 }
  readonly outside = false
  events!: ConnectionEvents
  sent: NumberedRequest[] = []
  keepsAlive = false
  closed: (() => void) | undefined

  start(events: ConnectionEvents): void {
    this.events = events
  }
  send(requests: readonly NumberedRequest[]): void {
    structuredClone(requests)
    this.sent.push(...requests)
  }
  isTransient(error: unknown): boolean {
    return (error as { code?: unknown }).code === 'PASSES'
  }
  ref(): void {
    this.keepsAlive = true
  }
  unref(): void {
    this.keepsAlive = false
  }
  close(): Promise<void> {
    return new Promise(closed => {
      this.closed = closed
    })
  }
  /** Answers what was sent of that kind, and takes it from the list. */
  reply(kind: Request['kind'], answered: RequestResult = { ok: undefined }): void {
    const found = this.sent.filter(([, request]) => request.kind === kind)
    this.sent = this.sent.filter(([, request]) => request.kind !== kind)
    this.events.replies(found.map(([id]) => [id, answered] as const))
  }
  /** The kinds of what was sent, and the numbers of exchanges. */
  get list(): string {
    const nameOf = (request: Request): string =>
      request.kind === 'exchange' ? `exchange ${request.number}` : request.kind
    return this.sent.map(([, request]) => nameOf(request)).join(', ')
  }
}

const put: PutRequest = {
  ...{
    kind: 'put',
    queue: 1,
    number: 1,
    acknowledged: 0,
    now: 0,
    wall: 0,
    size: Infinity,
    priorities: undefined,
    extras: [],
  },
  ...{ ids: ['a'], payloads: ['1'], queuedAt: [0] },
}
const exchange = (number: number): Request =>
  ({ kind: 'exchange', queue: 1, now: 0, wall: 0, number }) as ExchangeRequest
const find: Request = { kind: 'find', queue: 1, target: 'any' }
const cancel = { kind: 'command', queue: 1, now: 0, wall: 0, command: { kind: 'clear', reason: '' } } as Request
const passes = { error: { name: 'Error', code: 'PASSES', message: 'not now', fields: {} } }

function setup() {
  const clock = new VirtualClock()
  const connection = new ScriptedConnection()
  const reports: string[] = []
  let isOver = false
  const link = new Link({
    ...{ connection, clock, name: 'scripted' },
    over: () => {
      isOver = true
    },
  })
  const clientOf = (name: string, works = true): LinkClient =>
    ({
      ...{ name, works, running: 0, attachRequest: { kind: 'attach', name, now: 0, wall: 0 } },
      attached: () => reports.push(`${name} is attached`),
      wake: () => reports.push(`${name} wakes`),
      counted: () => reports.push(`${name} is counted`),
      stalled: () => reports.push(`${name} has stalled`),
      failed: ({ message }: Error) => reports.push(`${name}: ${message}`),
    }) as unknown as LinkClient
  /** Asks, and notes how each request ends. */
  const ends: string[] = []
  const send = (...requests: readonly Request[]): void => {
    for (const request of requests) {
      link.request(request).then(
        () => ends.push(`${request.kind} is done`),
        ({ code }) => ends.push(`${request.kind}: ${code}`),
      )
    }
  }
  const isEnded = (): boolean => isOver
  return { clock, connection, link, clientOf, send, ends, reports, isEnded }
}

async function opened() {
  const made = setup()
  const client = made.clientOf('q')
  made.link.enter(client, made.clock)
  made.connection.events.opened()
  await made.link.opened
  return { ...made, client }
}

test('link: requests made before the connection is open are sent in order once it is', async t => {
  const { clock, connection, link, send } = setup()
  send(put, exchange(1), find)
  await clock.settle()
  t.is(connection.list, '')

  connection.events.opened()
  await link.opened
  await clock.settle()

  t.is(connection.list, 'put, exchange 1, find')
})

test('link: a connection that never opens refuses all requests, and reports nothing else', async t => {
  const { clock, connection, link, clientOf, send, ends, reports, isEnded } = setup()
  link.enter(clientOf('q'), clock)
  send(put)

  connection.events.failed(new StoreError('anything'))
  await t.throwsAsync(link.opened, { code: 'STORE' })
  send(exchange(1))
  await clock.settle()

  t.deepEqual(ends, ['put: STORE', 'exchange: STORE'])
  t.deepEqual(reports, [])
  t.true(isEnded())
})

test('link: after a disconnect names are attached with the current instant, and requests follow the unanswered ones in order', async t => {
  const { clock, connection, send, reports } = await opened()
  send(exchange(1), find)
  await clock.settle()
  connection.sent = []
  await clock.advance(100)

  connection.events.disconnected(new Error('broken'))
  send(exchange(2))
  await clock.settle()
  t.is(connection.list, '')
  connection.events.opened()
  await clock.settle()

  t.is(connection.list, 'attach, exchange 1, find, exchange 2')
  t.like(connection.sent[0]?.[1], { now: 600, wall: clock.wall() })
  connection.reply('attach')
  await clock.settle()
  t.deepEqual(reports, ['q is attached'])
})

test('link: while the fate of a put is looked up, nothing is sent behind it, also after another disconnect', async t => {
  const { clock, connection, send, ends } = await opened()
  send(put, exchange(1))
  await clock.settle()
  for (let i = 0; i < 2; i++) {
    connection.events.disconnected(new Error('broken'))
    connection.sent = []
    connection.events.opened()
    send(exchange(2 + i))
    await clock.settle()
    t.regex(connection.list, /^(attach, )+replay$/)
    t.notRegex(connection.list, /exchange|put/)
  }

  connection.reply('replay', { ok: undefined })
  await clock.settle()
  t.is(connection.list.replaceAll('attach, ', ''), 'put, exchange 1, exchange 2, exchange 3')
  connection.reply('put', { ok: { first: 1, existed: [] } })
  await clock.settle()
  t.deepEqual(ends, ['put is done'])
})

test('link: a stored put whose reply was lost is answered before any exchange is sent again, because that may claim its job', async t => {
  const { clock, connection, send, ends } = await opened()
  send(exchange(1), put, exchange(2))
  await clock.settle()
  connection.events.disconnected(new Error('broken'))
  connection.sent = []
  connection.events.opened()
  await clock.settle()
  t.is(connection.list, 'attach, replay')

  connection.reply('replay', { ok: { first: 7, existed: [] } })
  await clock.settle()

  t.deepEqual(ends, ['put is done'])
  t.is(connection.list, 'attach, exchange 1, exchange 2')
})

test('link: a connection that fails while it is open has answered every executed request', async t => {
  const { clock, connection, send, ends, reports, isEnded } = await opened()
  send(put, cancel, exchange(1))
  await clock.settle()

  connection.events.failed(new StoreError('anything'))
  await clock.settle()

  t.deepEqual(ends, ['put: STORE', 'command: STORE', 'exchange: STORE'])
  t.is(reports.length, 1)
  t.true(isEnded())
  t.false(connection.keepsAlive)
})

test('link: the outcome of requests that a connection lost for good has not answered is unknown', async t => {
  const { clock, connection, send, ends } = await opened()
  send(put, cancel, exchange(1), find)
  await clock.settle()
  connection.events.disconnected(new Error('broken'))
  send(put)

  connection.events.failed(new StoreError('anything'))
  await clock.settle()

  t.deepEqual(ends, [
    'put: OUTCOME_UNKNOWN',
    'command: OUTCOME_UNKNOWN',
    ...['exchange: STORE', 'find: STORE', 'put: STORE'],
  ])
})

for (const [what, breaks] of [
  [
    'is lost and open again',
    ({ disconnected, opened }: ConnectionEvents) => [disconnected(new Error('broken')), opened()],
  ],
  ['fails', ({ failed }: ConnectionEvents) => [failed(new StoreError('anything'))]],
] as [string, (events: ConnectionEvents) => void][]) {
  test(`link: a reply that has arrived counts, although the connection ${what} before it is passed on`, async t => {
    const { clock, connection, send, ends } = await opened()
    send(exchange(1), cancel)
    await clock.settle()

    connection.reply('exchange')
    connection.reply('command')
    breaks(connection.events)
    await clock.settle()

    t.deepEqual(ends, ['exchange is done', 'command is done'])
  })
}

test('link: an opening, a disconnect, a working queue and a request keep the process alive', async t => {
  const { clock, connection, link, clientOf, send } = setup()
  const keeps = [connection.keepsAlive]
  const note = (): void => void keeps.push(connection.keepsAlive)
  const looks = clientOf('looks', false)
  link.enter(looks, clock)
  connection.events.opened()
  await link.opened
  note()
  send(find)
  note()
  await clock.settle()
  connection.reply('find')
  await clock.settle()
  note()
  connection.events.disconnected(new Error('broken'))
  note()
  connection.events.opened()
  await clock.settle()
  connection.reply('attach')
  await clock.settle()
  note()
  link.enter(clientOf('works'), clock)
  note()

  t.deepEqual(keeps, [true, false, true, false, true, false, true])
})

test('link: it closes with its last queue: sent requests are answered, and no more are taken', async t => {
  const { clock, connection, link, client, send, ends, isEnded } = await opened()
  send(exchange(1), exchange(2))
  await clock.settle()

  const left = link.leave(client, false)
  t.true(isEnded())
  send(find)
  connection.events.replies([[connection.sent[0]?.[0] ?? 0, { ok: undefined }]])
  await clock.settle()
  connection.closed?.()
  await left
  await clock.settle()

  t.deepEqual(ends, ['find: QUEUE_STOPPED', 'exchange is done', 'exchange: QUEUE_STOPPED'])
  t.false(connection.keepsAlive)
})

test('link: it stays open for bodies that keep their leases after their queue has left', async t => {
  const { connection, link, client, isEnded } = await opened()

  await link.leave(client, true)

  t.is(connection.closed, undefined)
  t.false(isEnded())
})

test('link: attaching a name is retried through a passing fault, which is reported once', async t => {
  const { clock, connection, reports } = await opened()
  connection.events.disconnected(new Error('broken'))
  connection.events.opened()
  for (let i = 0; i < 3; i++) {
    await clock.settle()
    t.is(connection.list, 'attach')
    connection.reply('attach', passes)
    await clock.advance(250)
  }
  connection.reply('attach')
  await clock.advance(10_000)

  t.is(connection.list, '')
  t.deepEqual(reports, ['q: not now', 'q is attached'])
})

test('link: a name works once, and all clocks of a link are of one kind', async t => {
  const { clock, link, clientOf } = await opened()

  t.throws(() => link.enter(clientOf('q'), clock), { code: 'QUEUE_NAME_TAKEN' })
  t.throws(() => link.enter(clientOf('other'), systemClock), { code: 'OPTION', message: /'scripted'/ })
  t.notThrows(() => link.enter(clientOf('q', false), clock))
})

test('link: a change by one queue object wakes the others of its name, and no other name', async t => {
  const { clock, link, client, clientOf, reports } = await opened()
  link.enter(clientOf('q', false), clock)
  link.enter(clientOf('other'), clock)

  link.notifyOthers(client, { pending: 1 } as never, true)

  t.deepEqual(reports, ['q is counted', 'q wakes'])
})

test('link: changes and trouble concern all its queues, and a stall those that work', async t => {
  const { clock, connection, link, clientOf, reports } = await opened()
  link.enter(clientOf('looks', false), clock)

  connection.events.changed()
  connection.events.trouble(new Error('no room'))
  connection.events.stalled()

  t.deepEqual(reports, ['q wakes', 'looks wakes', 'q: no room', 'looks: no room', 'q has stalled'])
})

for (const [first, second] of [
  ['put', 'exchange'],
  ['exchange', 'find'],
  ['exchange', 'put'],
] as const) {
  test(`link: if a ${first} and a ${second} are answered together, all callbacks of the first run before the second resolves`, async t => {
    const { clock, connection, send, ends } = await opened()
    const requests = { put, exchange: exchange(1), find }
    send(requests[first])
    await clock.settle()
    send(requests[second])
    await clock.settle()
    await clock.advance(10)
    const ok = { first: 1, existed: [] }

    connection.events.replies(connection.sent.map(([id]) => [id, { ok }] as const))
    for (let ticks = 0; ticks < 100; ticks++) await undefined

    t.deepEqual(ends, [`${first} is done`])
    await clock.settle()
    t.deepEqual(ends, [`${first} is done`, `${second} is done`])
  })
}
