/** A store in this process behind a link: what it is asked together, and what becomes of its faults. */
import test from 'ava'
import { DispatchError } from '../../../lib/errors.ts'
import { Link } from '../../../persistence/durable/link.ts'
import type { LinkClient } from '../../../persistence/durable/link-client.ts'
import { LocalConnection } from '../../../persistence/durable/local-connection.ts'
import {
  type ExchangeRequest,
  type PutRequest,
  ReplyLostError,
  type Request,
  type RequestResult,
  type Store,
  StoreBusyError,
} from '../../../persistence/durable/store.ts'
import { VirtualClock } from '../../../testing/virtual-clock.ts'

/** A store that answers each request with its number in the order of all, unless the test makes it fail. */
class ScriptedStore implements Store {
  readonly transactions: Request[][] = []
  readonly recovered: string[] = []
  /** What the next transactions throw; undefined lets one succeed. */
  faults: (Error | undefined)[] = []
  refuses: (request: Request) => boolean = () => false
  wait: Promise<void> | undefined
  others: string[] = []
  surrendered = 0
  closed = 0
  changed: () => void = () => {}
  #done = 0

  async transact(requests: readonly Request[]): Promise<readonly RequestResult[]> {
    await this.wait
    const fault = this.faults.shift()
    if (fault) throw fault
    if (requests.some(this.refuses)) throw new Error('cannot be stored')
    this.transactions.push([...requests])
    return requests.map(({ kind }) => ({ ok: kind === 'put' ? { first: ++this.#done, existed: [] } : ++this.#done }))
  }
  query(request: Request): unknown {
    if (this.refuses(request)) throw new UnknownError()
    return request.kind
  }
  workers(): readonly string[] {
    return this.others
  }
  recover(worker: string): readonly number[] {
    this.recovered.push(worker)
    return [1]
  }
  surrender(): void {
    this.surrendered++
  }
  close(): boolean {
    this.closed++
    return true
  }
  onChange(changed: () => void): void {
    this.changed = changed
  }
}
class UnknownError extends DispatchError {
  static override readonly name: string = 'UnknownError'
  readonly code = 'UNKNOWN_TO_TEST'
}

const putOf = (id: string): PutRequest => ({
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
  ...{ ids: [id], payloads: ['1'], queuedAt: [0] },
})
const exchangeOf = (number: number): ExchangeRequest =>
  ({ kind: 'exchange', queue: 1, now: 0, wall: 0, number }) as ExchangeRequest
const find: Request = { kind: 'find', queue: 1, target: 'any' }
const first = (seq: number) => ({ first: seq, existed: [] })
const kinds = (requests: readonly Request[]): string => requests.map(({ kind }) => kind).join(' ')

async function scene(store = new ScriptedStore()) {
  const clock = new VirtualClock()
  const seen: string[] = []
  const connection = new LocalConnection({ clock, open: () => store })
  const link = new Link({ connection, clock, name: 'scripted' })
  const client = {
    ...{ name: 'q', works: true, running: 0, attachRequest: { kind: 'attach', name: 'q' } },
    attached: () => seen.push('attached'),
    wake: () => seen.push('wake'),
    stalled: () => seen.push('stalled'),
    failed: (error: Error) => seen.push(`failed: ${error.message}`),
    counted: () => {},
  } as unknown as LinkClient
  link.enter(client, clock)
  await link.opened
  return { clock, connection, link, client, store, seen }
}

test('local connection: requests that come while a transaction is under way go into the next one', async t => {
  const { clock, link, store } = await scene()
  let go = (): void => {}
  store.wait = new Promise(resolve => {
    go = resolve
  })
  const requested = [link.request(exchangeOf(1))]
  await clock.settle()
  requested.push(link.request({ kind: 'command' } as Request), link.request(putOf('a')))
  await clock.settle()
  requested.push(link.request(exchangeOf(2)))
  await clock.settle()

  go()
  await clock.settle()

  t.deepEqual(store.transactions.map(kinds), ['exchange', 'command put exchange'])
  t.deepEqual(await Promise.all(requested), [1, 2, first(3), 4])
})

test('local connection: requests to a busy store are repeated, in the same order, and queries wait behind them', async t => {
  const { clock, link, store } = await scene()
  store.faults = [new StoreBusyError('locked'), new StoreBusyError('locked')]

  const requested = [link.request(putOf('a')), link.request(exchangeOf(1)), link.request(find)]
  await clock.settle()
  t.deepEqual(store.transactions, [])
  await clock.advance(20)

  t.deepEqual(await Promise.all(requested), [first(1), 2, 'find'])
  t.deepEqual(store.transactions.map(kinds), ['put exchange'])
})

test('local connection: requests that only read go into no transaction', async t => {
  const { link, store } = await scene()

  const kinds = ['find', 'list', 'explain', 'keys'] as const
  await Promise.all(kinds.map(kind => link.request({ kind, queue: 1 } as Request)))

  t.deepEqual(store.transactions, [])
})

test('local connection: puts to a store that stays busy are refused, and exchanges go on waiting', async t => {
  const { clock, link, store } = await scene()
  store.faults = Array.from(
    { length: 100_000 },
    () => new StoreBusyError('locked', { cause: new UnknownError('held') }),
  )
  const put = t.throwsAsync(link.request(putOf('a')), { code: 'UNKNOWN_TO_TEST' })
  const exchange = link.request(exchangeOf(1))

  await clock.advance(11_000)
  await put
  store.faults = []
  await clock.advance(20)

  t.is(await exchange, 1)
})

test('local connection: a request that cannot be stored is refused alone, and those sent with it are executed', async t => {
  const { link, store } = await scene()
  store.refuses = request => request.kind === 'put' && request.ids[0] === 'bad'

  const requested = [link.request(putOf('a')), link.request(putOf('bad')), link.request(exchangeOf(1))]

  t.deepEqual(await requested[0], first(1))
  await t.throwsAsync(requested[1] as Promise<unknown>, { code: 'STORE', message: /job bad .*cannot be stored/ })
  t.is(await requested[2], 2)
})

test('local connection: a query that is refused rejects with the error of the store', async t => {
  const { link, store } = await scene()
  store.refuses = () => true

  await t.throwsAsync(link.request(find), { code: 'UNKNOWN_TO_TEST' })
})

test('local connection: after a lost reply names are attached again, and an exchange is repeated by its number', async t => {
  const { clock, link, store, seen } = await scene()
  store.faults = [new ReplyLostError('the connection broke')]

  t.is(await link.request(exchangeOf(7)), 2)
  await clock.settle()

  const done = store.transactions.flat()
  t.is(kinds(done), 'attach exchange')
  t.like(done[1], { number: 7 })
  t.deepEqual(seen, ['attached'])
})

test('local connection: a put whose reply was lost gets it again if it was committed, and is sent again if not', async t => {
  for (const replay of [undefined, first(7)]) {
    const { link, store } = await scene()
    store.query = () => replay
    store.faults = [new ReplyLostError('the connection broke')]

    t.deepEqual(await link.request(putOf('a')), replay ?? first(2))
  }
})

test('local connection: requests to a store that cannot be opened are refused; one that was open is retried for a minute', async t => {
  const clock = new VirtualClock()
  let opens = 0
  let isShut = true
  const store = new ScriptedStore()
  const open = (): Store => {
    opens++
    if (isShut) throw new UnknownError('shut')
    return store
  }
  const refused = new Link({ connection: new LocalConnection({ clock, open }), clock, name: 'shut' })
  await t.throwsAsync(refused.opened, { code: 'UNKNOWN_TO_TEST' })
  await t.throwsAsync(refused.request(find), { code: 'UNKNOWN_TO_TEST' })

  isShut = false
  const link = new Link({ connection: new LocalConnection({ clock, open }), clock, name: 'shuts' })
  await link.opened
  isShut = true
  opens = 0
  store.faults = [new ReplyLostError('the server has gone')]
  const put = t.throwsAsync(link.request(putOf('a')), { code: 'OUTCOME_UNKNOWN' })
  const exchange = t.throwsAsync(link.request(exchangeOf(1)), { code: 'UNKNOWN_TO_TEST' })
  await clock.advance(61_000)

  await Promise.all([put, exchange])
  t.is(opens, 242)
  t.is(clock.next, undefined)
})

test('local connection: changes wake queues, dead workers are recovered, and a queue that lost its claims is notified', async t => {
  const { clock, connection, store, seen } = await scene()

  store.changed()
  connection.recover('dead')
  connection.surrender()
  await clock.settle()

  t.deepEqual(store.recovered, ['dead'])
  t.is(store.surrendered, 1)
  t.deepEqual(seen, ['wake', 'wake', 'stalled'])
})

test('local connection: the last queue that leaves unregisters the worker, after its own requests', async t => {
  const { link, client, store } = await scene()
  const requested = link.request(exchangeOf(1))

  await link.leave(client, false)

  t.is(await requested, 1)
  t.is(store.closed, 1)
  await t.throwsAsync(link.request(find), { code: 'QUEUE_STOPPED' })
})
