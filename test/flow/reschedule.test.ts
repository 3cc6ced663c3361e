/** Another time to start: reschedule and promote; and the id that a remove sets free. */
import type { Job } from '../../lib/index.ts'
import { type ScriptedHandler, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, sharedBacklog, test } from '../support/backlog-under-test.ts'

const call = (handler: ScriptedHandler<string, string>, payload: string) =>
  handler.underway.find(each => each.payload === payload)

function parts(options: object = {}) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, ...options })
  const seen: string[] = []
  for (const event of ['pending', 'delayed'] as const) queue.on(event, job => seen.push(`${event} ${job.payload}`))
  return { clock, handler, queue, seen }
}

test('reschedule: a delayed job starts at the new time, sooner or later than before', async t => {
  const { clock, handler, queue, seen } = parts({ width: 9 })
  const [sooner, later] = await queue.putMany(['sooner', 'later'], { delay: '1h' })
  seen.length = 0

  await queue.reschedule(sooner as Job<string, string>, '10s')
  await queue.reschedule(later?.id as string, new Date(clock.wall() + 7_200_000))

  t.deepEqual(seen, ['delayed sooner', 'delayed later'])
  t.is(queue.counts.delayed, 2)
  await clock.advance(9_999)
  t.deepEqual(handler.called, [])
  await clock.advance(1)
  t.deepEqual(handler.called, ['sooner'])
  await clock.advance(7_200_000 - 10_001)
  t.deepEqual(handler.called, ['sooner'])
  await clock.advance(1)
  t.deepEqual(handler.called, ['sooner', 'later'])
})

test('reschedule: a pending job waits, and comes back to its old place when it is due', async t => {
  const { clock, handler, queue, seen } = parts({ paused: true })
  const [a, b] = await queue.putMany(['a', 'b', 'c'])
  seen.length = 0

  await queue.reschedule(a as Job<string, string>, '1s')
  await queue.reschedule(b as Job<string, string>, 0)

  t.is(a?.state, 'delayed')
  t.deepEqual(seen, ['delayed a'])
  t.like(queue.counts, { pending: 2, delayed: 1 })
  await clock.advance(1_000)
  queue.resume()
  queue.width = 3
  await clock.settle()
  t.deepEqual(handler.called, ['a', 'b', 'c'])
})

test('promote: a delayed job is due at once, whatever it waited for', async t => {
  const { clock, handler, queue, seen } = parts({ width: 9, retry: { attempts: 2, delay: '1h', jitter: false } })
  const [delayed, dated, failing, pending] = [
    await queue.put('delayed', { delay: '1h' }),
    await queue.put('dated', { runAt: clock.wall() + 3_600_000 }),
    await queue.put('failing'),
    await queue.put('pending'),
  ]
  await clock.settle()
  call(handler, 'failing')?.fail(new Error('once'))
  await clock.settle()
  t.is(failing.state, 'delayed')
  t.is(pending.state, 'underway')
  seen.length = 0

  for (const job of [delayed, dated, failing]) await queue.promote(job)
  await clock.settle()

  t.deepEqual(seen, ['pending delayed', 'pending dated', 'pending failing'])
  t.deepEqual(handler.called.slice(2).sort(), ['dated', 'delayed', 'failing'])
  t.is(failing.attempt, 2)
  t.like(queue.counts, { pending: 0, delayed: 0, underway: 4 })
})

test('promote: a pending job stays where it is, and is not announced again', async t => {
  const { clock, queue, handler, seen } = parts({ paused: true })
  const [a] = await queue.putMany(['a', 'b'])
  seen.length = 0

  await queue.promote(a as Job<string, string>)
  queue.resume()
  await clock.settle()

  t.deepEqual(seen, [])
  t.deepEqual(handler.called, ['a'])
})

test('reschedule and promote: jobs that do not wait are refused, and so are invalid times', async t => {
  const { clock, handler, queue } = parts({ keep: { finished: '1d' } })
  const [runs, waits] = await queue.putMany(['runs', 'waits'])
  const ended = await queue.put('ended', { delay: '1d' })
  await clock.settle()
  await queue.cancel(ended)

  for (const job of [runs, ended] as Job<string, string>[]) {
    const { message = '' } = (await t.throwsAsync(queue.reschedule(job, '1s'), { code: 'JOB_STATE' })) ?? {}
    t.regex(message, /reschedule.*pending or delayed/)
    await t.throwsAsync(queue.promote(job), { code: 'JOB_STATE', message: /promote/ })
  }
  await t.throwsAsync(queue.reschedule('nobody', '1s'), { code: 'JOB_UNKNOWN' })
  await t.throwsAsync(queue.promote('nobody'), { code: 'JOB_UNKNOWN' })
  for (const when of ['soon', -1, Date.now(), '2050-01-01', new Date(Number.NaN), undefined, null]) {
    await t.throwsAsync(queue.reschedule(waits as Job<string, string>, when as Date), {
      code: 'OPTION',
      message: /^when /,
    })
  }
  handler.underway[0]?.finish('')
  await queue.stop({ cancelUnderway: true })
  await t.throwsAsync(queue.promote(waits as Job<string, string>), { code: 'QUEUE_STOPPED' })
})

test('reschedule: a call on another queue object of the name changes the job of the worker', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const backlog = sharedBacklog()
  const worker = new DispatchQueue<string, string>(handler, { clock, name: 'q', backlog, width: 9 })
  const web = new DispatchQueue<string, string>(null, { clock, name: 'q', backlog })
  const [a, b] = await web.putMany(['a', 'b'], { delay: '1h' })
  await worker.ready()
  await clock.settle()

  await web.promote(a as Job<string, string>)
  await web.reschedule(b as Job<string, string>, '5s')
  await clock.settle()
  t.deepEqual(handler.called, ['a'])
  await clock.advance(5_000)

  t.deepEqual(handler.called, ['a', 'b'])
  for (const { finish } of [...handler.underway]) finish('')
  await Promise.all([worker.stop(), web.stop()])
})

test('promote: an earlier delay has no effect any more, even after the job goes back', async t => {
  const { clock, handler, queue } = parts({ retry: { attempts: 2, delay: 0 } })
  const job = await queue.put('a', { runAt: clock.wall() + 3_600_000 })
  await queue.promote(job)
  await clock.settle()
  handler.underway[0]?.fail(new Error('once'))
  await clock.settle()

  t.deepEqual(handler.called, ['a', 'a'])
})

test('remove: frees the id of a waiting job and of an ended one', async t => {
  const { clock, handler, queue } = parts({ width: 2 })
  const put = (payload: string, id: string): Promise<Job<string, string>> => queue.put(payload, { id })
  await queue.put('waits', { id: 'waits', delay: '1h' })
  await put('ended', 'ended')
  await clock.settle()
  call(handler, 'ended')?.finish('')
  await clock.settle()
  t.is(await queue.get('ended'), undefined)
  t.true((await put('ended', 'ended')).existed)

  t.true(await queue.remove('waits'))
  t.true(await queue.remove('ended'))
  t.false(await queue.remove('ended'))

  t.false((await put('another', 'waits')).existed)
  t.false((await put('another', 'ended')).existed)
})
