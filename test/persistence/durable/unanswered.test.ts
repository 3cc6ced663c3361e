/** What becomes of requests whose connection was lost, by what the store has kept of their puts. */
import test, { type ExecutionContext } from 'ava'
import type { PutReplay, PutRequest, ReplayRequest, Request } from '../../../persistence/durable/store.ts'
import { isRepeatable, type UnansweredRequest, UnansweredRequests } from '../../../persistence/durable/unanswered.ts'

const put = (number: number): Request => ({ kind: 'put', queue: 1, number, ids: ['a'] }) as unknown as PutRequest
const exchange = { kind: 'exchange', queue: 1 } as Request
const command = (change: object): Request => ({ kind: 'command', queue: 1, command: change }) as Request
const clear = command({ kind: 'clear' })
const replay: PutReplay = { first: 7, existed: [] }

/** `stored` are the numbers of the puts that were committed. */
function setup(stored: readonly number[], refusal?: Error) {
  const events: string[] = []
  const unanswered = new UnansweredRequests<UnansweredRequest>()
  const nameOf = (request: Request): string => (request.kind === 'put' ? `put ${request.number}` : request.kind)
  const sent = (...requests: readonly Request[]): UnansweredRequest[] =>
    requests.map(request => ({
      request,
      resolve: answer => events.push(`${nameOf(request)} resolves with ${(answer as PutReplay).first}`),
      reject: error => events.push(`${nameOf(request)} rejects: ${(error as { code?: string }).code}`),
    }))
  const resolve = (
    requests: readonly UnansweredRequest[],
    query = async ({ number }: ReplayRequest): Promise<PutReplay | undefined> =>
      stored.includes(number) ? replay : undefined,
  ): Promise<void> =>
    unanswered.resolve(requests, {
      query,
      resend: ({ request }) => events.push(`${nameOf(request)} is sent again`),
      refusal: () => refusal,
      cause: () => new Error('broken'),
      resolved: () => events.push('resolved'),
    })
  return { events, unanswered, sent, resolve }
}

test('unanswered: a committed put gets the reply that the store has kept, before anything is sent again', async t => {
  const { events, sent, resolve } = setup([2])

  await resolve(sent(exchange, put(1), put(2), exchange))

  t.deepEqual(events, [
    'put 2 resolves with 7',
    ...['exchange is sent again', 'put 1 is sent again', 'exchange is sent again', 'resolved'],
  ])
})

test('unanswered: the outcome of a put is unknown if the store cannot be queried', async t => {
  const { events, sent, resolve } = setup([])

  await resolve(sent(put(1), exchange), async () => {
    throw new Error('a fault of the disk')
  })

  t.deepEqual(events, ['put 1 rejects: OUTCOME_UNKNOWN', 'exchange is sent again', 'resolved'])
})

test('unanswered: a loss during the queries leaves all requests to the next call, in order', async t => {
  const { events, unanswered, sent, resolve } = setup([2])
  let answer = (_: PutReplay | undefined): void => {}
  const first = resolve(sent(put(1), exchange), () => new Promise(done => (answer = done)))

  const second = resolve(sent({ kind: 'replay', queue: 1, number: 1 }, put(2)))
  answer(replay)
  await Promise.all([first, second])

  t.deepEqual(events, ['put 2 resolves with 7', 'put 1 is sent again', 'exchange is sent again', 'resolved'])
  t.is(unanswered.count, 0)
})

test('unanswered: nothing is sent again over a link that shuts down or has ended', async t => {
  const { events, sent, resolve } = setup([2], Object.assign(new Error('closed'), { code: 'CLOSED' }))

  await resolve(sent(put(1), put(2), exchange, clear))

  t.deepEqual(events, [
    ...['put 2 resolves with 7', 'put 1 rejects: CLOSED', 'exchange rejects: CLOSED'],
    ...['command rejects: OUTCOME_UNKNOWN', 'resolved'],
  ])
})

test('unanswered: queries, exchanges, attaches and commands that set a value can be repeated; other commands cannot', t => {
  const check = (expected: boolean, requests: readonly Request[], assert: ExecutionContext['is']): void => {
    for (const request of requests) assert(isRepeatable(request), expected, JSON.stringify(request))
  }
  const values = ['rate', 'globalWidth', 'pause', 'key', 'clearOverrides'].map(kind => command({ kind }))
  check(
    true,
    [put(1), exchange, { kind: 'find', queue: 1, target: 'a' }, { kind: 'attach' } as Request, ...values],
    t.is,
  )
  const changes = ['cancel', 'retry', 'remove', 'reprioritize', 'reschedule', 'promote', 'clear']
  check(
    false,
    changes.map(kind => command({ kind })),
    t.is,
  )
})
