/**
 * A run as its handler sees it: the members of `task`, and what of them outlives the run. The rest is
 * task-control.test.ts.
 *
 * Held elsewhere already:
 * - progress after the end: events.test.ts, "progress is emitted while the run is open"
 * - pause({ tasks: true }): pause-stop.test.ts, "pause of tasks parks generators at their next yield, slots kept, …"
 * - a key held by Throttled: retry.test.ts, "Throttled with a key holds the jobs of that key alone"
 */
import { expectTypeOf } from 'expect-type'
import { type Job, RetryLater, type Task, Throttled } from '../../lib/index.ts'
import { drain, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, strict, test } from '../support/backlog-under-test.ts'

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

test('crashes: the count is 0 where no process has died', async t => {
  const clock = new VirtualClock()
  const found: number[] = []
  const queue = new DispatchQueue<string, void>((_, task) => void found.push(task.crashes), { clock })

  const job = await queue.put('a')
  await drain(queue as DispatchQueue, clock)

  t.deepEqual([found, job.crashes], [[0], 0])
})
test('checkpoint: a later attempt finds the last checkpoint in task.restored, whatever sent the job back', async t => {
  const clock = new VirtualClock()
  const found: unknown[] = []
  const queue = new DispatchQueue<string, string>(
    async (_, task) => {
      found.push(task.restored)
      const step = found.length
      await task.checkpoint({ step: step - 0.5 })
      await task.checkpoint({ step })
      if (step === 1) throw new Error('no')
      if (step === 2) throw new RetryLater('1s')
      if (step === 3) throw new Throttled('1s')
      return 'done'
    },
    { clock, retry: { attempts: 2, delay: '1s' } },
  )
  const reported: unknown[] = []
  queue.on('checkpoint', (job, value) => reported.push([job.payload, value]))
  const result = queue.run('a')
  const other = await queue.put('b', { delay: '1h' })

  await clock.advance(10_000)

  t.is(await result, 'done')
  t.deepEqual(found, [undefined, { step: 1 }, { step: 2 }, { step: 3 }])
  t.is(reported.length, 8)
  t.deepEqual(reported.at(-1), ['a', { step: 4 }])
  t.is(other.state, 'delayed')
})

test('checkpoint: a job never gets the checkpoint of another job', async t => {
  const clock = new VirtualClock()
  const found: unknown[] = []
  const queue = new DispatchQueue<string, void>(
    async (payload, task) => {
      found.push(task.restored)
      await task.checkpoint(payload)
    },
    { clock },
  )
  await queue.putMany(['a', 'b'])

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(found, [undefined, undefined])
})

test('checkpoint: a checkpoint that is not awaited is stored too if the attempt then fails', async t => {
  const clock = new VirtualClock()
  const found: unknown[] = []
  let stored = 0
  const queue = new DispatchQueue<string, void>(
    (_, task) => {
      found.push(task.restored)
      void task.checkpoint('half').then(() => stored++)
      if (task.attempt === 1) throw new Error('no')
    },
    { clock, retry: { attempts: 2, delay: 0 } },
  )
  await queue.put('a')

  await drain(queue as DispatchQueue, clock)

  t.is(stored, 2)
  t.deepEqual(found, [undefined, 'half'])
})

test('checkpoint: a checkpoint after the end of its run rejects, and the next attempt does not get it', async t => {
  const clock = new VirtualClock()
  const tasks: Task[] = []
  const queue = new DispatchQueue<string, unknown>(
    async (_, task) => {
      tasks.push(task)
      await task.checkpoint('good')
      if (task.attempt === 1) throw new Error('no')
      await t.throwsAsync(tasks[0]?.checkpoint('late') as Promise<void>)
      return task.restored
    },
    { clock, retry: { attempts: 2, delay: '1s' } },
  )
  const result = queue.run('a')

  await clock.advance(1_000)

  t.is(await result, 'good')
  await t.throwsAsync(tasks[1]?.checkpoint('late') as Promise<void>)
})

test('checkpoint: a strict backlog refuses what JSON would change', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, void>((_, task) => task.checkpoint({ at: new Date(0) }), {
    clock,
    ...strict(),
  })

  await t.throwsAsync(queue.run('a'), { code: 'PAYLOAD' })
})

test('spent: a smaller real cost frees the rest of the reserved cost at once', async t => {
  const clock = new VirtualClock()
  const starts: [string, number][] = []
  const queue = new DispatchQueue<string, void>(
    async (payload, task) => {
      starts.push([payload, clock.now()])
      if (payload === 'a') {
        await turn()
        task.spent({ tokens: 2 })
      }
    },
    { clock, width: 9, rate: { limit: 10, per: '1s', of: 'tokens' } },
  )
  await queue.put('a', { cost: { tokens: 10 } })
  await queue.put('b', { cost: { tokens: 8 } })
  await queue.put('c', { cost: { tokens: 1 } })

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(
    starts.map(([payload, at]) => [payload, Math.floor(at / 1_000)]),
    [
      ['a', 0],
      ['b', 0],
      ['c', 1],
    ],
  )
})

test('spent: a larger real cost delays later jobs until its window is over', async t => {
  const clock = new VirtualClock()
  const starts: [string, number][] = []
  const queue = new DispatchQueue<string, void>(
    (payload, task) => {
      starts.push([payload, clock.now()])
      if (payload === 'a') task.spent({ tokens: 25 })
    },
    { clock, rate: { limit: 10, per: '1s', of: 'tokens' } },
  )
  await queue.putMany(['a', 'b', 'c'], { cost: { tokens: 1 } })

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(
    starts.map(([payload, at]) => [payload, at >= 1_000]),
    [
      ['a', false],
      ['b', true],
      ['c', true],
    ],
  )
  t.is(starts[1]?.[1], starts[2]?.[1])
})

test('spent: an invalid cost is refused at the call', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<number, void>((n, task) => task.spent({ tokens: n }), { clock })

  await t.throwsAsync(queue.run(-1), { code: 'OPTION', message: /^spent\.tokens/ })
})

test('keep.results: a finished job gives its result for as long as it is kept, and to puts of its id', async t => {
  const clock = new VirtualClock()
  const keep = { finished: '1h', results: true } as const
  const queue = new DispatchQueue<string, string>(payload => `${payload}!`, { clock, keep })
  await queue.put('a', { id: 'a' })
  await queue.put('b', { id: 'b' })
  await drain(queue as DispatchQueue, clock)

  t.is(await (await queue.get('a'))?.result, 'a!')
  const again = await queue.put('b', { id: 'b' })
  t.deepEqual([again.existed, await again.result], [true, 'b!'])
  await clock.advance(3_600_001)
  await queue.run('c')

  t.is(await queue.get('a'), undefined)
})

test('a key that Throttled holds keeps its jobs in place, and they can be listed and changed while others go on', async t => {
  const clock = new VirtualClock()
  const log: [string, number][] = []
  const queue = new DispatchQueue<string, void>(
    (payload, task) => {
      log.push([payload, clock.now()])
      if (log.length === 1) throw new Throttled('30s', { key: task.key as string })
    },
    { clock },
  )
  const [x1, x2, x3, x4] = (await queue.putMany(['x1', 'x2', 'x3', 'x4'], { key: 'x' })) as [Key, Key, Key, Key]
  await queue.putMany(['y1', 'y2'], { key: 'y' })
  await clock.advance(10_000)
  t.deepEqual(
    log.map(([payload]) => payload),
    ['x1', 'y1', 'y2'],
  )
  t.like(await queue.explain(x1), { state: 'pending', why: 'hold', key: 'x', notBefore: clock.wall() + 20_000 })
  t.is(queue.counts.pending, 4)

  await x2.cancel()
  await queue.reprioritize(x4, -1)
  await queue.put('x0', { key: 'x', priority: -2 })
  await queue.remove(x3)
  t.is(await queue.run('none'), undefined)
  await drain(queue as DispatchQueue, clock)

  t.deepEqual(log.slice(3), [
    ['none', 10_000],
    ['x0', 30_000],
    ['x4', 30_000],
    ['x1', 30_000],
  ])
  t.is(x1.attempt, 1)
})

test('breathe gives the loop a turn when the slice is used up, and returns at once before that', async t => {
  const clock = new VirtualClock()
  const turned: boolean[] = []
  const queue = new DispatchQueue<string, void>(
    async (_, task) => {
      for (const ms of [0, 6, 0]) {
        let loop = false
        setImmediate(() => {
          loop = true
        })
        clock.block(ms)
        await task.breathe()
        turned.push(loop)
      }
    },
    { clock },
  )

  await queue.run('a')

  t.deepEqual(turned, [false, true, false])
})

test('wait returns what a promise resolves to with its type, throws its rejection, and delays no other task', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  let open: (value: number) => void = () => {}
  const gate = new Promise<number>(resolve => {
    open = resolve
  })
  const queue = new DispatchQueue(
    function* (name: string, task: Task) {
      if (name === 'other') return log.push('other')
      const n = yield* task.wait(gate)
      expectTypeOf(n).toEqualTypeOf<number>()
      log.push(`${n}`)
      try {
        yield* task.wait(Promise.reject(new Error('no')))
      } catch (error) {
        log.push((error as Error).message)
      }
      return n
    },
    { clock, width: 2 },
  )

  const waits = queue.run('waits')
  await queue.run('other')
  open(7)

  t.is(await waits, 7)
  expectTypeOf(waits).resolves.toEqualTypeOf<number>()
  t.deepEqual(log, ['other', '7', 'no'])
})

test('wait returns a value that is not a promise, as its type says', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue(
    function* (_: string, task: Task) {
      const word = yield* task.wait('no promise')
      expectTypeOf(word).toEqualTypeOf<string>()
      return word
    },
    { clock },
  )

  t.is(await queue.run('a'), 'no promise')
})

test('token and id are the same in all attempts of a job, and its own', async t => {
  const clock = new VirtualClock()
  const seen: { payload: string; token: string; attempt: number }[] = []
  const queue = new DispatchQueue<string, void>(
    (payload, task) => {
      seen.push({ payload, token: task.token, attempt: task.attempt })
      if (task.attempt < 3) throw new Error('no')
    },
    { clock, retry: { attempts: 3, delay: 10 } },
  )
  const [a, b] = await queue.putMany(['a', 'b'])

  await drain(queue as DispatchQueue, clock)

  for (const job of [a, b]) {
    const mine = seen.filter(({ payload }) => payload === job?.payload)
    t.deepEqual(
      mine.map(({ attempt }) => attempt),
      [1, 2, 3],
    )
    t.is(new Set(mine.map(({ token }) => token)).size, 1)
  }
  t.is(new Set(seen.map(({ token }) => token)).size, 2)
})

test('progress of an attempt that is over is ignored while a later one runs', async t => {
  const clock = new VirtualClock()
  const reported: unknown[] = []
  const tasks: Task[] = []
  const queue = new DispatchQueue<string, void>(
    (_, task) => {
      tasks.push(task)
      tasks[0]?.progress(`first, in attempt ${task.attempt}`)
      if (task.attempt === 1) throw new Error('no')
      task.progress('second')
    },
    { clock, retry: { attempts: 2, delay: 10 } },
  )
  queue.on('progress', (_, value) => reported.push(value))
  await queue.put('a')

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(reported, ['first, in attempt 1', 'second'])
})

type Key = Job<string, void>

test('a task object kept after its run does not affect the next job', async t => {
  const clock = new VirtualClock()
  const tasks: Task[] = []
  const queue = new DispatchQueue<number>(
    async (n, task) => {
      tasks.push(task)
      if (n === 2) await new Promise(resolve => task.signal.addEventListener('abort', resolve))
    },
    { clock },
  )
  const first = await queue.put(1)
  await drain(queue, clock)
  t.is(first.state, 'finished')
  // Asked for only now.
  t.false((tasks[0] as Task).signal.aborted)

  const second = await queue.put(2)
  await clock.settle()
  await second.cancel()
  await clock.settle()

  t.deepEqual(
    tasks.map(({ signal }) => signal.aborted),
    [false, true],
  )
})
