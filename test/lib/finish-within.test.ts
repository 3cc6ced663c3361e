/** What a run makes of a transaction of its user, where its backlog records the ending later. */
import test from 'ava'
import type { Backlog, BacklogSession, ExchangeResult } from '../../lib/backlog.ts'
import { DispatchQueue, MemoryBacklog } from '../../lib/index.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'

/** A backlog that records endings when the test says so, and notes with which endings exchanges come. */
function recording() {
  const memory = new MemoryBacklog()
  const settled: string[] = []
  const recordings: { readonly transaction: unknown; done(error?: Error): void }[] = []
  const attach: Backlog['attach'] = async options => {
    const session = await memory.attach(options)
    const exchange: BacklogSession['exchange'] = exchange => {
      for (const { kind, within, value } of exchange.settled) settled.push(`${kind} ${value}${within ? ' within' : ''}`)
      return memoryExchange.call(session, exchange)
    }
    const memoryExchange = session.exchange as (
      this: BacklogSession,
      ...requested: Parameters<BacklogSession['exchange']>
    ) => ExchangeResult | Promise<ExchangeResult>
    const finishWithin = (transaction: unknown): Promise<void> =>
      new Promise((resolve, reject) => {
        recordings.push({ transaction, done: error => (error ? reject(error) : resolve()) })
      })
    return Object.assign(session, { exchange, finishWithin })
  }
  return { backlog: { durable: false, strict: false, attach } satisfies Backlog, settled, recordings }
}

test('finishWithin: an ending that is recorded later is awaited, and settles as recorded', async t => {
  const { backlog, settled, recordings } = recording()
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, number>(
    async (_, task) => {
      await task.finishWithin('a transaction', 7)
      return 8
    },
    { backlog, clock },
  )

  const result = queue.run('a')
  await clock.settle()
  t.deepEqual(settled, [])
  t.is(recordings[0]?.transaction, 'a transaction')
  recordings[0]?.done()
  await result

  t.deepEqual(settled, ['finished 7 within'])
})

test('finishWithin: if it rejects, the job ends as the handler decides', async t => {
  const { backlog, settled, recordings } = recording()
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, string>(
    async (_, task) => {
      try {
        await task.finishWithin('a transaction', 7)
        return 'recorded'
      } catch (error) {
        return (error as Error).message
      }
    },
    { backlog, clock },
  )

  const result = queue.run('a')
  await clock.settle()
  recordings[0]?.done(new Error('rolled back'))

  t.is(await result, 'rolled back')
  t.deepEqual(settled, ['finished rolled back'])
})

test('finishWithin: an ending recorded after its run is over affects no other job', async t => {
  const { backlog, settled, recordings } = recording()
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, string>(
    async (payload, task) => {
      if (payload === 'first') void task.finishWithin('a transaction', 'of the first')
      else await new Promise<void>(resolve => clock.at(clock.now() + 10, resolve))
      return payload
    },
    { backlog, clock },
  )

  t.is(await queue.run('first'), 'first')
  const second = queue.run('second')
  await clock.settle()
  recordings[0]?.done()
  await clock.advance(10)

  t.is(await second, 'second')
  t.deepEqual(settled, ['finished first', 'finished second'])
})

test('finishWithin: a backlog that cannot record endings rejects with that reason', async t => {
  const queue = new DispatchQueue<string, void>(async (_, task) => task.finishWithin('a transaction'), {
    retry: { attempts: 1 },
  })

  await t.throwsAsync(queue.run('a'), { code: 'OPTION', message: /the backlog of this queue records no ending/ })
})
