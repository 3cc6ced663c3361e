import test, { type ExecutionContext } from 'ava'
import { type CooperativeIterator, Cooperator, type CooperatorOptions } from '../../../lib/cooperate/cooperator.ts'
import {
  NotPaused,
  SchedulerError,
  SchedulerStopped,
  TaskDone,
  TaskFailed,
  TaskFinished,
  TaskStopped,
} from '../../../lib/cooperate/errors.ts'
import { coiterate, cooperate } from '../../../lib/cooperate/index.ts'
import { OptionError } from '../../../lib/errors.ts'
import { Deferred } from '../../../lib/support/deferred.ts'
import { VirtualClock } from '../../../testing/index.ts'

/** A cooperator whose ticks come when the test says so. With `stepMs` each note of a log takes so long. */
const cranked = (options: CooperatorOptions = {}) => {
  const clock = new VirtualClock()
  const waiting = new Set<() => void>()
  let requested = 0
  const cooperator = new Cooperator({
    clock,
    schedule: tick => {
      requested++
      waiting.add(tick)
      return () => void waiting.delete(tick)
    },
    ...options,
  })
  return {
    clock,
    cooperator,
    scheduled: (): number => waiting.size,
    requested: (): number => requested,
    /** One tick, and all that promises bring about. */
    turn: async (): Promise<void> => {
      const ticks = [...waiting]
      waiting.clear()
      for (const tick of ticks) tick()
      await clock.settle()
    },
  }
}

/** So many steps, noted as `name`, each of `ms`. */
function* steps(log: string[], name: string, count: number, clock?: VirtualClock, ms = 1): Generator<unknown, string> {
  for (let step = 0; step < count; step++) {
    log.push(name)
    clock?.block(ms)
    yield
  }
  return name
}

/** Steps without end, and says when it is closed. */
function* endless(log: string[], name: string, first?: unknown): Generator<unknown, never> {
  try {
    yield first
    for (;;) yield
  } finally {
    log.push(`${name} closed`)
  }
}

const settled = async (promises: Promise<unknown>[]): Promise<string[]> =>
  (await Promise.allSettled(promises)).map(({ status, ...rest }) =>
    status === 'fulfilled' ? 'fulfilled' : ((rest as PromiseRejectedResult).reason as Error).name,
  )

const refusedOption = (t: ExecutionContext, option: string, options: object): void => {
  const error = t.throws(() => new Cooperator(options as CooperatorOptions), { instanceOf: OptionError })
  t.is(error?.option, option)
}

test('tasks take turns round robin', async t => {
  const { cooperator, turn } = cranked()
  const log: string[] = []
  for (const name of 'ABC') cooperator.cooperate(steps(log, name, 2))
  await turn()
  t.is(log.join(''), 'ABCABC')
})

test('when a task ends, the next one keeps its turn', async t => {
  const { cooperator, turn } = cranked()
  const log: string[] = []
  cooperator.cooperate(steps(log, 'A', 1))
  for (const name of 'BCD') cooperator.cooperate(steps(log, name, 3))
  await turn()
  t.is(log.join(''), 'ABCDBCDBCD')
})

test('the next tick continues with the task after the last one that stepped', async t => {
  const { cooperator, turn, clock } = cranked({ slice: 2 })
  const log: string[] = []
  for (const name of 'ABC') cooperator.cooperate(steps(log, name, 2, clock))
  await turn()
  t.is(log.join(''), 'AB')
  await turn()
  t.is(log.join(''), 'ABCA')
  await turn()
  t.is(log.join(''), 'ABCABC')
})

test('the first step comes in a later turn', async t => {
  const { cooperator, turn } = cranked()
  const log: string[] = []
  cooperator.cooperate(steps(log, 'A', 1))
  t.deepEqual(log, [])
  await Promise.resolve()
  t.deepEqual(log, [])
  await turn()
  t.deepEqual(log, ['A'])
})

test('by default a tick is a turn of the event loop', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  const whenDone = new Cooperator({ clock }).coiterate(steps(log, 'A', 3))
  await Promise.resolve()
  t.deepEqual(log, [])
  await clock.settle()
  t.deepEqual(log, ['A', 'A', 'A'])
  t.is(await whenDone, 'A')
})

test('a slice ends when its time has passed by the clock', async t => {
  const { cooperator, turn, clock } = cranked({ slice: '5ms' })
  const log: string[] = []
  cooperator.cooperate(steps(log, 'A', 12, clock))
  await turn()
  t.is(log.length, 5)
  await turn()
  t.is(log.length, 10)
})

test('a wall clock that is set back does not lengthen a slice', async t => {
  const { cooperator, turn, clock } = cranked({ slice: 5 })
  let count = 0
  cooperator.cooperate(
    (function* () {
      for (;;) {
        count++
        clock.block(1)
        clock.jumpWall(-1_000)
        yield
      }
    })(),
  )
  await turn()
  t.is(count, 5)
})

test('at least one step is taken a tick, however long it takes', async t => {
  const { cooperator, turn, clock } = cranked({ slice: 1 })
  const log: string[] = []
  for (const name of 'AB') cooperator.cooperate(steps(log, name, 2, clock, 100))
  for (const expected of ['A', 'AB', 'ABA', 'ABAB']) {
    await turn()
    t.is(log.join(''), expected)
  }
})

test('a clock that stands still does not hold the event loop for good', async t => {
  const { cooperator, turn, scheduled } = cranked()
  const task = cooperator.cooperate(endless([], 'A'))
  await turn()
  t.is(scheduled(), 1)
  task.stop()
  await t.throwsAsync(task.whenDone(), { instanceOf: TaskStopped })
})

test('any number of tasks request one tick, and removing the last one cancels it', t => {
  const { cooperator, scheduled, requested } = cranked()
  const log: string[] = []
  const a = cooperator.cooperate(endless(log, 'A'))
  const b = cooperator.cooperate(endless(log, 'B'))
  t.deepEqual([scheduled(), requested()], [1, 1])
  a.stop()
  t.is(scheduled(), 1)
  b.pause()
  t.is(scheduled(), 0)
  b.resume()
  t.is(scheduled(), 1)
  b.stop()
  t.is(scheduled(), 0)
})

test('a cooperator without work requests no tick', async t => {
  const { cooperator, turn, scheduled } = cranked()
  t.is(scheduled(), 0)
  cooperator.cooperate(steps([], 'A', 2))
  await turn()
  t.is(scheduled(), 0)
})

test('started: false holds all steps until start()', async t => {
  const { cooperator, turn, scheduled } = cranked({ started: false })
  const log: string[] = []
  cooperator.cooperate(steps(log, 'A', 1))
  t.false(cooperator.running)
  t.is(scheduled(), 0)
  cooperator.start()
  cooperator.start()
  t.true(cooperator.running)
  t.is(scheduled(), 1)
  await turn()
  t.deepEqual(log, ['A'])
})

test('a task added by a step goes to the end of the ring', async t => {
  const { cooperator, turn } = cranked()
  const log: string[] = []
  cooperator.cooperate(
    (function* () {
      log.push('A')
      yield
      cooperator.cooperate(steps(log, 'C', 2))
      log.push('A')
      yield
    })(),
  )
  cooperator.cooperate(steps(log, 'B', 3))
  await turn()
  t.is(log.join(''), 'ABABCBC')
})

test('whenDone gives what the iterator returned, in a fresh promise a call', async t => {
  const { cooperator, turn } = cranked()
  const task = cooperator.cooperate(steps([], 'A', 1))
  const [one, other] = [task.whenDone(), task.whenDone()]
  t.not(one, other)
  await turn()
  t.deepEqual(await Promise.all([one, other, task.whenDone()]), ['A', 'A', 'A'])
  t.not(task.whenDone(), task.whenDone())
})

test('whenDone rejects with what the iterator threw, before and after', async t => {
  const { cooperator, turn } = cranked()
  const error = new Error('broken')
  const task = cooperator.cooperate(
    // biome-ignore lint/correctness/useYield: it throws first
    (function* () {
      throw error
    })(),
  )
  const before = task.whenDone()
  await turn()
  t.is(await t.throwsAsync(before), error)
  t.is(await t.throwsAsync(task.whenDone()), error)
})

test('coiterate is the promise of a task', async t => {
  const { cooperator, turn } = cranked()
  const promise = cooperator.coiterate(steps([], 'A', 1))
  await turn()
  t.is(await promise, 'A')
})

test('the value of a yielded promise is sent back', async t => {
  const { cooperator, turn } = cranked()
  const first = new Deferred<number>()
  const promise = cooperator.coiterate(
    (function* (): Generator<unknown, unknown, unknown> {
      const got = yield first.promise
      return [got, yield 'no promise']
    })(),
  )
  await turn()
  first.resolve(7)
  await turn()
  await turn()
  t.deepEqual(await promise, [7, undefined])
})

test('the reason of a rejected yielded promise is thrown in', async t => {
  const { cooperator, turn } = cranked()
  const promise = cooperator.coiterate(
    (function* (): Generator<unknown, unknown, unknown> {
      try {
        return yield Promise.reject(new Error('no'))
      } catch (error) {
        return `caught ${(error as Error).message}`
      }
    })(),
  )
  await turn()
  await turn()
  t.is(await promise, 'caught no')
})

test('an iterator that cannot be thrown into fails with the error', async t => {
  const { cooperator, turn } = cranked()
  const promise = cooperator.coiterate({ next: () => ({ done: false, value: Promise.reject(new Error('no')) }) })
  await turn()
  await turn()
  await t.throwsAsync(promise, { message: 'no' })
})

test('a waiting task delays no other task', async t => {
  const { cooperator, turn, scheduled } = cranked()
  const log: string[] = []
  const gate = new Deferred<void>()
  const task = cooperator.cooperate([gate.promise])
  cooperator.cooperate(steps(log, 'B', 2))
  await turn()
  t.is(log.join(''), 'BB')
  t.is(scheduled(), 0)
  gate.resolve()
  await turn()
  t.is(scheduled(), 1)
  await turn()
  await t.notThrowsAsync(task.whenDone())
})

test('a thenable that answers at once and twice is waited for once', async t => {
  const { cooperator, turn } = cranked()
  const gate = new Deferred<string>()
  const hasty = {
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
    then(take: (value: string) => void) {
      take('one')
      take('two')
    },
  }
  const got: unknown[] = []
  const promise = cooperator.coiterate(
    (function* (): Generator<unknown, void, unknown> {
      got.push(yield hasty)
      got.push(yield gate.promise)
    })(),
  )
  await turn()
  await turn()
  t.deepEqual(got, ['one'])
  gate.resolve('gate')
  await turn()
  await turn()
  t.deepEqual(got, ['one', 'gate'])
  await promise
})

test('pauses nest: as many resumes as pauses', async t => {
  const { cooperator, turn, scheduled } = cranked()
  const log: string[] = []
  const task = cooperator.cooperate(steps(log, 'A', 1))
  task.pause()
  task.pause()
  task.resume()
  t.is(scheduled(), 0)
  await turn()
  t.deepEqual(log, [])
  task.resume()
  await turn()
  t.deepEqual(log, ['A'])
})

test('a pause and a wait are separate: the end of one does not end the other', async t => {
  for (const first of ['resume', 'settle']) {
    const { cooperator, turn } = cranked()
    const gate = new Deferred<string>()
    const got: unknown[] = []
    const task = cooperator.cooperate(
      (function* (): Generator<unknown, void, unknown> {
        got.push(yield gate.promise)
      })(),
    )
    await turn()
    task.pause()
    if (first === 'resume') task.resume()
    else gate.resolve('gate')
    await turn()
    await turn()
    t.deepEqual(got, [], first)
    if (first === 'resume') gate.resolve('gate')
    else task.resume()
    await turn()
    await turn()
    t.deepEqual(got, ['gate'], first)
    await t.notThrowsAsync(task.whenDone())
  }
})

test('a stray resume of a task that waits is refused and does not release it', async t => {
  const { cooperator, turn } = cranked()
  const gate = new Deferred<string>()
  const task = cooperator.cooperate([gate.promise])
  await turn()
  t.throws(() => task.resume(), { instanceOf: NotPaused, code: 'NOT_PAUSED' })
  gate.resolve('gate')
  await turn()
  await turn()
  await t.notThrowsAsync(task.whenDone())
})

test('a step may pause its own task, and resume it', async t => {
  const { cooperator, turn } = cranked()
  const log: string[] = []
  function* body(): Generator<unknown, void, unknown> {
    task.pause()
    task.resume()
    log.push('one')
    yield
    task.pause()
    log.push('two')
    yield
    log.push('three')
  }
  const task = cooperator.cooperate(body())
  await turn()
  t.deepEqual(log, ['one', 'two'])
  task.resume()
  await turn()
  t.deepEqual(log, ['one', 'two', 'three'])
})

test('pause and stop of an ended task say how it ended', async t => {
  const { cooperator, turn } = cranked()
  const error = new Error('broken')
  const done = cooperator.cooperate([])
  const failed = cooperator.cooperate({
    next() {
      throw error
    },
  })
  const stopped = cooperator.cooperate(endless([], 'A'))
  stopped.stop()
  await turn()
  for (const command of ['pause', 'stop'] as const) {
    t.throws(() => done[command](), { instanceOf: TaskDone, code: 'TASK_DONE' })
    const failure = t.throws(() => failed[command](), { instanceOf: TaskFailed, code: 'TASK_FAILED' })
    t.is(failure?.cause, error)
    const error2 = t.throws(() => stopped[command](), { instanceOf: TaskStopped, code: 'TASK_STOPPED' })
    t.true(error2 instanceof TaskFinished && error2 instanceof SchedulerError)
  }
  t.throws(() => done.resume(), { instanceOf: NotPaused })
})

test('a task of a cooperator that was stopped is stopped for pause and stop', t => {
  const { cooperator } = cranked()
  const task = cooperator.cooperate(endless([], 'A'))
  cooperator.stop()
  t.throws(() => task.pause(), { instanceOf: TaskStopped })
  t.throws(() => task.stop(), { instanceOf: TaskStopped })
})

test('resume of a task that was paused and then stopped is harmless', async t => {
  const { cooperator, turn, scheduled } = cranked()
  const task = cooperator.cooperate(endless([], 'A'))
  task.pause()
  task.stop()
  t.notThrows(() => task.resume())
  t.throws(() => task.resume(), { instanceOf: NotPaused })
  t.is(scheduled(), 0)
  await turn()
  await t.throwsAsync(task.whenDone(), { instanceOf: TaskStopped })
})

test('stop of a task runs its finally, whether the task is in the ring, parked or waiting', async t => {
  const { cooperator, turn } = cranked({ slice: 1 })
  const log: string[] = []
  const tasks = [
    cooperator.cooperate(endless(log, 'ring')),
    cooperator.cooperate(endless(log, 'parked')),
    cooperator.cooperate(endless(log, 'waiting', new Promise(() => {}))),
  ]
  await turn()
  tasks[1]?.pause()
  for (const task of tasks) task.stop()
  await turn()
  t.deepEqual(log, ['ring closed', 'parked closed', 'waiting closed'])
  t.deepEqual(await settled(tasks.map(task => task.whenDone())), ['TaskStopped', 'TaskStopped', 'TaskStopped'])
})

test('a task stopped from within its own step runs its finally', async t => {
  for (const stopAll of [false, true]) {
    const { cooperator, turn } = cranked()
    const log: string[] = []
    function* body(): Generator<unknown, void, unknown> {
      try {
        yield
        if (stopAll) cooperator.stop()
        else task.stop()
        yield
        log.push('went on')
      } finally {
        log.push('closed')
      }
    }
    const task = cooperator.cooperate(body())
    await turn()
    t.deepEqual(log, ['closed'])
    t.deepEqual(await settled([task.whenDone()]), [stopAll ? 'SchedulerStopped' : 'TaskStopped'])
  }
})

test('a finally that yields promises is walked to its end, in turns like any task', async t => {
  const { cooperator, turn, clock } = cranked()
  const log: unknown[] = []
  const task = cooperator.cooperate(
    (function* (): Generator<unknown, void, unknown> {
      try {
        for (;;) yield
      } finally {
        log.push(yield Promise.resolve('value'))
        try {
          yield Promise.reject(new Error('no'))
        } catch (error) {
          log.push((error as Error).message)
        }
      }
    })(),
  )
  await turn()
  task.stop()
  await clock.settle()
  t.deepEqual(log, [], 'no turn, no step')
  for (let i = 0; i < 3; i++) {
    await turn()
    await clock.settle()
  }
  t.deepEqual(log, ['value', 'no'])
})

test('an error thrown by a finally does not change how the task ended', async t => {
  const { cooperator, turn } = cranked()
  const task = cooperator.cooperate(
    (function* () {
      try {
        for (;;) yield
      } finally {
        // biome-ignore lint/correctness/noUnsafeFinally: that is what is tested
        throw new Error('late')
      }
    })(),
  )
  await turn()
  task.stop()
  await t.throwsAsync(task.whenDone(), { instanceOf: TaskStopped })
})

test('a promise that settles after its task was stopped changes nothing', async t => {
  for (const how of ['resolve', 'reject'] as const) {
    const { cooperator, turn, scheduled } = cranked()
    const gate = new Deferred<unknown>()
    const task = cooperator.cooperate(endless([], 'A', gate.promise))
    await turn()
    const whenDone = task.whenDone()
    task.stop()
    gate[how](new Error('late'))
    await turn()
    t.is(scheduled(), 0)
    await t.throwsAsync(whenDone, { instanceOf: TaskStopped })
    t.throws(() => task.stop(), { instanceOf: TaskStopped })
  }
})

test('stop of the cooperator settles every whenDone and runs every finally, parked or waiting', async t => {
  const { cooperator, turn, scheduled } = cranked()
  const log: string[] = []
  const tasks = [...'ABCDEF'].map(name =>
    cooperator.cooperate(endless(log, name, name > 'D' ? new Promise(() => {}) : undefined)),
  )
  await turn()
  tasks[2]?.pause()
  tasks[4]?.pause()
  const promises = tasks.map(task => task.whenDone())
  cooperator.stop()
  t.false(cooperator.running)
  t.is(scheduled(), 0)
  t.deepEqual(await settled(promises), Array(6).fill('SchedulerStopped'))
  t.deepEqual(
    log,
    [...'ABCDEF'].map(name => `${name} closed`),
  )
})

test('a watcher may stop the whole cooperator', async t => {
  const { cooperator, turn } = cranked({ slice: 1 })
  const log: string[] = []
  const done = cooperator.coiterate([]).then(() => cooperator.stop())
  const others = ['A', 'B'].map(name => cooperator.coiterate(endless(log, name, new Promise(() => {}))))
  await turn()
  await done
  t.deepEqual(await settled(others), ['SchedulerStopped', 'SchedulerStopped'])
})

test('a cooperator that is stopped fails new tasks, and start() makes it usable again', async t => {
  const { cooperator, turn, scheduled } = cranked()
  const log: string[] = []
  cooperator.stop()
  cooperator.stop()
  const error = await t.throwsAsync(cooperator.coiterate(steps(log, 'A', 1)), { instanceOf: SchedulerStopped })
  t.true(error instanceof SchedulerError)
  t.is(scheduled(), 0)
  cooperator.start()
  const promise = cooperator.coiterate(steps(log, 'B', 1))
  await turn()
  t.is(await promise, 'B')
  t.deepEqual(log, ['B'])
})

test('a failure without a watcher is no unhandled rejection', async t => {
  const { cooperator, clock } = cranked()
  cooperator.stop()
  void cooperator.coiterate([])
  await clock.settle()
  t.pass()
})

test('an async generator is stepped, its values are sent back and its finally runs', async t => {
  const { cooperator, turn } = cranked()
  const log: unknown[] = []
  const done = cooperator.coiterate(
    (async function* (): AsyncGenerator<unknown, string, unknown> {
      log.push(yield Promise.resolve('value'))
      return 'end'
    })(),
  )
  const task = cooperator.cooperate(
    (async function* () {
      try {
        for (;;) yield
      } finally {
        await Promise.resolve()
        log.push('closed')
      }
    })(),
  )
  const failed = t.throwsAsync(
    cooperator.coiterate(
      // biome-ignore lint/correctness/useYield: it throws first
      (async function* () {
        throw new Error('broken')
      })(),
    ),
    { message: 'broken' },
  )
  for (let count = 0; count < 4; count++) await turn()
  t.is(await done, 'end')
  await failed
  task.stop()
  await turn()
  t.deepEqual(log, ['value', 'closed'])
})

test('an async iterator that answers with no result fails its task', async t => {
  const { cooperator, turn } = cranked()
  const promise = cooperator.coiterate({ next: () => Promise.resolve(undefined) } as never)
  await turn()
  await t.throwsAsync(promise, { instanceOf: TypeError })
})

test('an iterable is iterated', async t => {
  const { cooperator, turn } = cranked()
  const log: string[] = []
  const iterable = { [Symbol.iterator]: () => steps(log, 'A', 3) }
  const promises = [cooperator.coiterate(iterable), cooperator.coiterate(new Set([1, 2, 3]))]
  await turn()
  t.deepEqual(await Promise.all<unknown>(promises), ['A', undefined])
  t.deepEqual(log, ['A', 'A', 'A'])
})

test('a value that cannot be iterated is refused', t => {
  const { cooperator, scheduled } = cranked()
  for (const bad of [undefined, null, 7, 'text', () => {}, {}, { next: 1 }, Promise.resolve()]) {
    const error = t.throws(() => cooperator.cooperate(bad as unknown as CooperativeIterator<void>), {
      instanceOf: OptionError,
    })
    t.is(error?.option, 'iterator')
  }
  t.is(scheduled(), 0)
})

test('options that are not legal are refused by name', t => {
  for (const slice of [0, -1, Number.NaN, '5', 'soon', null]) refusedOption(t, 'slice', { slice })
  for (const schedule of [null, 1, 'soon']) refusedOption(t, 'schedule', { schedule })
  for (const started of [null, 0, 'yes']) refusedOption(t, 'started', { started })
  refusedOption(t, 'slices', { slices: 5 })
})

test('separate cooperators do not take turns with one another', async t => {
  const [one, other] = [cranked(), cranked()]
  const log: string[] = []
  one.cooperator.cooperate(steps(log, 'A', 2))
  other.cooperator.cooperate(steps(log, 'B', 2))
  await other.turn()
  await one.turn()
  t.is(log.join(''), 'BBAA')
})

test('cooperate and coiterate share one cooperator of the process', async t => {
  const log: string[] = []
  const task = cooperate(steps(log, 'A', 2))
  const promise = coiterate(steps(log, 'B', 2))
  t.deepEqual(log, [])
  t.deepEqual(await Promise.all([task.whenDone(), promise]), ['A', 'B'])
  t.is(log.join(''), 'ABAB')
})
