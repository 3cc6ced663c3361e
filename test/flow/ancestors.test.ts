/**
 * What txRDQ promised its users, and what it got wrong: each behaviour of it that a queue of ours must have, each wart
 * of it that ours must not have. Its words → ours: clearQueue → clear, reprioritize → reprioritize, size → counts.
 *
 * Behaviours held elsewhere already:
 * - data, not closures → put.test.ts, "a function or symbol at … is refused with its path"
 * - put after stop, put at the bound, put while paused → pause-stop.test.ts, "after stop puts reject, …"; put.test.ts,
 *   "a full queue rejects puts until there is room, …"; pause-stop.test.ts, "pause starts nothing more, …"
 * - width: wider at once, narrower never interrupts, reads as the target, 0 is legal, bad ones refused, set while paused,
 *   resume(width) → width.test.ts, "a wider queue starts more …", "a narrower queue reads as its target …", "a width of
 *   0 …", "a width that is not legal …", "a width that is set while paused …"
 * - pause and stop wait for what is underway; stop returns the backlog; with cancelUnderway also what was cut short; while
 *   paused; twice → pause-stop.test.ts, "pause starts nothing more …", "stop lets bodies finish …", "stop partitions …",
 *   "stop while paused is fine …"
 * - underway() is a copy; reprioritize only what waits → look.test.ts, "underway gives a copy …", "reprioritize moves …"
 * Warts held elsewhere already:
 * - 1, stale entries of reprioritized jobs, and a loss on a full queue → look.test.ts, "reprioritize moves waiting jobs and
 *   keeps counts, get and the order of put"; put.test.ts, "reprioritize on a full queue loses no job"
 * - 3, pause twice, resume without pause → pause-stop.test.ts, "two pauses and one resume leave the width as it was, …"
 * - 4, a pause that is superseded → pause-stop.test.ts, "a pause resolves false when resume or stop comes first"
 * - 5, a cancelled job's slot, and cancel of a finished job → retry.test.ts, "cancelling a running job settles it at once
 *   and frees no slot"; look.test.ts, "cancel changes waiting jobs, and none that has ended"
 * - 6, promises after stop → pause-stop.test.ts, "every promise settles when the queue stops"
 * - 7, widths by counting stops → faults-listener.test.ts, "F47: the last of a storm of widths, …"; invariants.test.ts
 * - 8, times of the wall clock → faults-handler.test.ts, "F11: jumps of the wall clock move neither the rate, …"
 */
import type { Job } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, test, unrun } from '../support/backlog-under-test.ts'

function parts(width = 1) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, width })
  return { clock, handler, queue }
}

test('txRDQ: a job goes pending, underway, finished, and knows when each began, by the wall clock', async t => {
  const { clock, handler, queue } = parts()
  const began = clock.wall()
  const job = await queue.put('a', { delay: 100 })
  const states: string[] = [job.state]
  t.deepEqual([job.queuedAt, job.startedAt, job.stoppedAt], [began, undefined, undefined])

  await clock.advance(100)
  states.push(job.state)
  t.deepEqual([job.startedAt, job.stoppedAt], [began + 100, undefined])
  await clock.advance(50)
  handler.underway[0]?.finish('')
  await clock.settle()
  states.push(job.state)

  t.deepEqual(states, ['delayed', 'underway', 'finished'])
  t.deepEqual([job.queuedAt, job.startedAt, job.stoppedAt], [began, began + 100, began + 150])
})

test('txRDQ: the three times of a job that is attempted again are those of its last attempt', async t => {
  const clock = new VirtualClock()
  const began = clock.wall()
  const queue = new DispatchQueue<string, void>(
    (_, task) => {
      if (task.attempt === 1) throw new Error('no')
    },
    { clock, retry: { attempts: 2, delay: '1s', jitter: false } },
  )
  const job = await queue.put('a')

  await drain(queue as DispatchQueue, clock)

  t.deepEqual([job.queuedAt, job.startedAt, job.stoppedAt], [began, began + 1_000, began + 1_000])
})

test('txRDQ: every watcher gets the job itself, with its result or its failure', async t => {
  const { clock, handler, queue } = parts(2)
  const problem = new Error('no')
  const observed: [Job<string, string>, string][] = []
  queue.on('settled', job => observed.push([job, 'first']))
  queue.on('settled', job => observed.push([job, 'second']))
  const [good, bad] = (await queue.putMany(['good', 'bad'])) as [Job<string, string>, Job<string, string>]
  const watchers = [good.result, good.result, bad.result, bad.result].map(result => result.catch(error => error))
  await clock.settle()

  handler.underway[0]?.finish('sent')
  await clock.settle()
  handler.underway[0]?.fail(problem)

  t.deepEqual(await Promise.all(watchers), ['sent', 'sent', problem, problem])
  t.deepEqual(observed, [
    [good, 'first'],
    [good, 'second'],
    [bad, 'first'],
    [bad, 'second'],
  ])
  t.deepEqual([good.error, bad.error], [undefined, problem])
})

test('txRDQ: a watcher that throws, or cancels the job that it watches, disturbs no other', async t => {
  const { clock, handler, queue } = parts()
  const job = await queue.put('a')
  const seen: unknown[] = []
  const first = job.result.then(() => {
    throw new Error('a watcher')
  })
  const second = job.result.then(async value => seen.push(value, await job.cancel()))
  const third = job.result.then(value => seen.push(value))
  await clock.settle()

  handler.underway[0]?.finish('sent')

  await t.throwsAsync(first, { message: 'a watcher' })
  await Promise.all([second, third])
  t.deepEqual(seen.sort(), [false, 'sent', 'sent'])
  t.is(job.state, 'finished')
})

test('txRDQ: pending jobs are listed as a copy, in the order in which they will start', async t => {
  const { clock, queue } = parts(0)
  await queue.putMany(['b', 'c'])
  await queue.put('a', { priority: -1 })
  const jobs = await queue.jobs({ state: 'pending' })

  t.deepEqual(
    jobs.splice(0).map(({ payload }) => payload),
    ['a', 'b', 'c'],
  )

  t.is((await queue.jobs({ state: 'pending' })).length, 3)
  t.is(queue.counts.pending, 3)
  queue.width = 1
  await clock.settle()
  queue.underway().splice(0)
  t.is(queue.underway().length, 1)
})

test('txRDQ: the rate is adjusted at run time, and jobs that had not run are put again at the next start', async t => {
  const { clock, handler, queue } = parts(1)
  const sent: string[] = []
  queue.on('finished', job => sent.push(job.payload))
  const messages = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  await queue.putMany(messages, message => ({ priority: message === 'h' ? -1 : 0 }))
  const goOn = async (width: number): Promise<void> => {
    queue.width = width
    await clock.settle()
    for (const call of [...handler.underway]) call.finish('')
    await clock.settle()
  }
  await goOn(1)
  await goOn(3)
  const stop = queue.stop({ cancelUnderway: true })
  for (const call of [...handler.underway]) call.fail(new Error('cut short'))
  await stop
  const returned = await unrun(queue)

  const next = parts(9)
  next.queue.on('finished', job => sent.push(job.payload))
  await next.queue.putMany(
    returned.map(job => job.payload),
    (_, i) => ({ priority: returned[i]?.priority ?? 0 }),
  )
  await next.clock.settle()
  for (const call of [...next.handler.underway]) call.finish('')
  await next.clock.settle()

  t.true(returned.length > 0 && returned.length < messages.length)
  t.deepEqual([...sent].sort(), messages, 'each once')
})

test('txRDQ: cut-short jobs are returned first, in the order of their launch, then what waited, most important first', async t => {
  const { clock, handler, queue } = parts(2)
  await queue.put('run late', { priority: 5 })
  await queue.put('run early', { priority: 1 })
  await clock.settle()
  await queue.put('waits', { priority: 0 })
  await queue.put('waits, urgent', { priority: -1 })
  const launched = [...handler.called]

  const stop = queue.stop({ cancelUnderway: true })
  for (const call of [...handler.underway]) call.fail(new Error('cut short'))

  await stop
  t.deepEqual(
    (await unrun(queue)).map(job => job.payload),
    durable() ? ['waits, urgent', 'waits', 'run early', 'run late'] : [...launched, 'waits, urgent', 'waits'],
  )
})

test('wart 1: however often a job is reprioritized, it is counted once and starts once', async t => {
  const { clock, handler, queue } = parts(0)
  const jobs = await queue.putMany(['a', 'b', 'c', 'd', 'e'])
  for (let i = 0; i < 200; i++) {
    await queue.reprioritize(jobs[(i * 7) % 5] as Job<string, string>, ((i * 13) % 11) - 5)
    if (queue.counts.pending !== 5) return t.fail(`${queue.counts.pending} counted after ${i}`)
  }
  const order = (await queue.jobs({ state: 'pending' })).map(job => job.payload)
  queue.width = 9
  await clock.settle()

  t.deepEqual(handler.called, order)
  t.is(queue.counts.pending, 0)
})

test('wart 2: cleared and removed jobs can be put again, even the same object, and a removed id is forgotten', async t => {
  const clock = new VirtualClock()
  const handler = scripted<object, string>()
  const queue = new DispatchQueue<object, string>(handler, { clock, width: 0 })
  const payload = { to: 'you' }
  await queue.put(payload)
  await queue.clear()
  const job = await queue.put(payload, { id: 'once' })
  await queue.remove(job)

  t.is(await queue.get('once'), undefined)
  const again = await queue.put({ to: 'somebody else' }, { id: 'once' })
  await queue.put(payload)
  queue.width = 9
  await clock.settle()

  t.false(again.existed)
  t.deepEqual(handler.called, [{ to: 'somebody else' }, payload])
  if (!durable()) t.is(handler.called[1], payload)
})

test('wart 3: any number of pauses is undone by one resume, at the width that was set meanwhile', async t => {
  const { clock, handler, queue } = parts(3)
  const pauses = [queue.pause(), queue.pause(), queue.pause()]
  await queue.putMany(['a', 'b', 'c', 'd'])
  queue.width = 2
  t.deepEqual(await Promise.all(pauses), [true, true, true])

  queue.resume()
  await clock.settle()

  t.is(queue.width, 2)
  t.deepEqual(handler.called, ['a', 'b'])
})

test('wart 6: the promises of jobs that stop hands back reject, and say whether they will run later', async t => {
  const { queue } = parts(0)
  const jobs = await queue.putMany(['a', 'b'])
  const run = queue.run('c')
  const results = [...jobs.map(job => job.result), run]
  const settled = Promise.allSettled(results)

  t.is((await unrun(queue)).length, 3)
  for (const outcome of await settled) {
    t.like(outcome, { status: 'rejected', reason: { code: 'QUEUE_STOPPED', willRunLater: durable() } })
  }
})
