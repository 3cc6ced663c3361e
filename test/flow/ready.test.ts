/** What reads at once (`paused`, `rate`, `counts`) is true once `ready()` has resolved; and which of two queues lives. */
import { VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, sharedBacklog, test } from '../support/backlog-under-test.ts'

for (const [kind, handler] of [
  ['with', () => {}],
  ['without', null],
] as const) {
  test(`ready: a queue ${kind} a handler reads the shared pause, the rate that was set, and the counts`, async t => {
    const clock = new VirtualClock()
    const backlog = sharedBacklog()
    const options = { clock, backlog, name: 'n' }
    const operator = new DispatchQueue<string, void>(null, { ...options, rate: { limit: 1, per: '1s' } })
    await operator.put('a')
    await operator.put('b', { delay: '1h' })
    await operator.pause({ shared: true })
    operator.rate = { limit: 7, per: '1min' }
    // A put is answered behind the change that was asked for before it.
    await operator.put('c')

    const declared = { rate: { limit: 1, per: '1s' } } as const
    const queue = new DispatchQueue<string, void>(handler, { ...options, ...declared })
    const seen: string[] = []
    queue.on('paused', () => seen.push('paused'))
    await queue.ready()

    t.true(queue.paused)
    t.like(queue.rate, { 0: { limit: 7, perMs: 60_000 }, length: 1 })
    t.like(queue.counts, { pending: 2, delayed: 1, underway: 0 })
    await clock.advance(1_000)
    t.deepEqual(seen, ['paused'])
    t.is(queue.counts.pending, 2)
    queue.resume({ shared: true })
    await clock.advance(1_000)
    t.false(queue.paused)
  })
}

test('ready: the constructor refuses a second queue with a handler for one name and backlog, and the first goes on', async t => {
  const clock = new VirtualClock()
  const options = { clock, backlog: sharedBacklog(), name: 'n' }
  const first = new DispatchQueue<string, void>(() => {}, options)

  t.throws(() => new DispatchQueue<string, void>(() => {}, options), { code: 'QUEUE_NAME_TAKEN' })

  t.notThrows(() => new DispatchQueue(null, options))
  t.notThrows(() => new DispatchQueue(() => {}, { ...options, name: 'other' }))
  t.notThrows(() => new DispatchQueue(() => {}, { ...options, backlog: sharedBacklog() }))
  await first.ready()
  await t.notThrowsAsync(first.put('a'))
})
