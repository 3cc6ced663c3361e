/** What goes over to the thread together: puts behind the exchange that follows, and nothing later than it must. */
import test from 'ava'
import { Outbox } from '../../../persistence/durable/outbox.ts'
import type { NumberedRequest, Request } from '../../../persistence/durable/store.ts'
import { VirtualClock } from '../../../testing/virtual-clock.ts'

function scene() {
  const clock = new VirtualClock()
  const posted: string[] = []
  const refused: unknown[] = []
  const post = (requests: readonly NumberedRequest[]): void => {
    structuredClone(requests)
    posted.push(requests.map(([, { kind }]) => kind).join(' '))
  }
  const outbox = new Outbox(clock, post, reply => refused.push(reply))
  let last = 0
  const push = (...kinds: Request['kind'][]): void => {
    for (const kind of kinds) outbox.push([++last, { kind }] as unknown as NumberedRequest)
  }
  return { clock, outbox, posted, push, refused }
}

test('outbox: requests of one turn of the event loop are sent together, in order', async t => {
  const { clock, posted, push } = scene()
  push('put', 'exchange', 'command', 'put')
  t.deepEqual(posted, [])
  await clock.settle()
  push('find')
  await clock.settle()
  t.deepEqual(posted, ['put exchange command put', 'find'])
})

test('outbox: a request that cannot be sent is refused alone, and the others are sent', async t => {
  const { clock, outbox, posted, push, refused } = scene()
  push('put')
  outbox.push([99, { kind: 'put', ids: [() => {}] }] as unknown as NumberedRequest)
  push('exchange')
  await clock.settle()

  t.deepEqual(posted, ['put', 'exchange'])
  t.like(refused, [[99, { error: { code: 'STORE', cause: { name: 'DataCloneError' } } }]])
})

test('outbox: puts wait while an exchange is unanswered, and are sent behind the next one', async t => {
  const { clock, outbox, posted, push } = scene()
  push('exchange')
  await clock.settle()
  push('put', 'put')
  await clock.settle()
  t.deepEqual(posted, ['exchange'])

  outbox.exchangeAnswered()
  push('put', 'exchange')
  await clock.settle()
  outbox.loopTurnOver()

  t.deepEqual(posted, ['exchange', 'exchange put put put'])
})

test('outbox: puts are sent by themselves when no exchange follows the answered one', async t => {
  const { clock, outbox, posted, push } = scene()
  push('exchange')
  await clock.settle()
  push('put')
  outbox.exchangeAnswered()
  await clock.settle()
  t.deepEqual(posted, ['exchange'])

  outbox.loopTurnOver()
  t.deepEqual(posted, ['exchange', 'put'])
  push('put')
  await clock.settle()
  t.deepEqual(posted, ['exchange', 'put', 'put'])
})

test('outbox: puts wait as long as any exchange is unanswered', async t => {
  const { clock, outbox, posted, push } = scene()
  push('exchange', 'exchange')
  await clock.settle()
  push('put')
  outbox.exchangeAnswered()
  outbox.loopTurnOver()
  await clock.settle()
  t.deepEqual(posted, ['exchange exchange'])
  outbox.exchangeAnswered()
  outbox.loopTurnOver()
  t.deepEqual(posted, ['exchange exchange', 'put'])
})

test('outbox: a query sends the puts before it along, because it may be about them', async t => {
  const { clock, posted, push } = scene()
  push('exchange')
  await clock.settle()
  push('put', 'command')
  await clock.settle()
  t.deepEqual(posted, ['exchange', 'put command'])
})

test('outbox: puts do not wait long for an exchange that stays unanswered', async t => {
  const { clock, posted, push } = scene()
  push('exchange')
  await clock.settle()
  push('put')
  await clock.advance(4)
  t.deepEqual(posted, ['exchange'])
  await clock.advance(1)
  t.deepEqual(posted, ['exchange', 'put'])
})

test('outbox: requests for a lost connection are not sent', async t => {
  const { clock, outbox, posted, push } = scene()
  push('exchange')
  await clock.settle()
  push('put')
  outbox.clear()
  await clock.advance(10)
  push('put')
  await clock.settle()
  t.deepEqual(posted, ['exchange', 'put'])
})
