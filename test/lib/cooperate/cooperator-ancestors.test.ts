/**
 * What Twisted's Cooperator promises, and what it gets wrong: each behaviour of it that ours must have, each wart of it
 * that ours must not have. Its Deferred → our promise; its termination predicate → our slice; its LoopingCall has no
 * heir here.
 *
 * Behaviours held in cooperator.test.ts already:
 * - round robin, a place in the ring that outlives the tick, at least one step a tick → "tasks take turns round robin", "the
 *   place in the ring outlives the tick", "at least one step is taken a tick, however long it takes"
 * - scheduler of one's own, one tick for all, cancelled with the last task → "any number of tasks ask for one tick, …"
 * - started: false → "started: false holds all steps until start()"
 * - a yielded promise pauses, pauses nest, both must be released → "a waiting task delays no other task", "pauses nest: …", "a
 *   pause and a wait are apart: neither frees the other"
 * - errors of ended tasks, resume of what is not paused, or was stopped → "pause and stop of an ended task say how it ended",
 *   "a stray resume of a task that waits is refused …", "resume of a task that was paused and then stopped is harmless"
 * - adding to a stopped one, start after stop → "a cooperator that is stopped fails new tasks, and start() makes it usable again"
 * - whenDone is fresh a call, before and after → "whenDone gives what the iterator returned, …", "whenDone rejects with …"
 * - a watcher may stop all; separate ones do not cooperate → "a watcher may stop the whole cooperator", "separate cooperators …"
 * Warts held there already:
 * - 1 and 6, a stop that not all hear → "stop of the cooperator settles every whenDone and runs every finally, parked or waiting"
 * - 2, a lost turn after an ending → "when a task ends, the next one keeps its turn"
 * - 3, a stray resume → "a stray resume of a task that waits is refused and does not release it"
 * - 5, a generator left open → "stop of a task runs its finally, be it in the ring, parked or waiting"
 * - 7, results not sent back → "what a yielded promise resolves to is sent back", "what a yielded promise rejects with is thrown in"
 * - 8, slices by the wall clock → "a wall clock that is set back does not lengthen a slice"
 */
import test from 'ava'
import fc from 'fast-check'
import { type CooperativeTask, Cooperator, TaskDone, TaskFailed, TaskStopped } from '../../../lib/cooperate/index.ts'
import { VirtualClock } from '../../../testing/index.ts'

/** A cooperator whose ticks come when the test says so. */
function cranked(slice = 5) {
  const clock = new VirtualClock()
  const waiting = new Set<() => void>()
  const schedule = (tick: () => void): (() => void) => {
    waiting.add(tick)
    return () => void waiting.delete(tick)
  }
  const crank = async (): Promise<void> => {
    const ticks = [...waiting]
    waiting.clear()
    for (const tick of ticks) tick()
    await clock.settle()
  }
  return { clock, crank, scheduled: () => waiting.size, cooperator: new Cooperator({ clock, slice, schedule }) }
}

/** Steps without end; each takes `ms` and may do something else before. */
function* endless(
  log: string[],
  name: string,
  clock: VirtualClock,
  act: () => void = () => {},
): Generator<void, unknown> {
  for (;;) {
    log.push(name)
    clock.block(1)
    act()
    yield
  }
}

test('Cooperator: each tick has a whole slice of its own, however late it comes', async t => {
  const { clock, cooperator, crank } = cranked(3)
  const log: string[] = []
  cooperator.cooperate(endless(log, 'A', clock))
  for (const steps of [3, 6, 9]) {
    await crank()
    t.is(log.length, steps)
    clock.block(1_000)
  }
})

test('Cooperator: a watcher of the end of a task finds it ended', async t => {
  const { cooperator, crank, scheduled } = cranked()
  const found: unknown[] = []
  const failing = cooperator.cooperate(
    // biome-ignore lint/correctness/useYield: it throws first
    (function* () {
      throw new Error('no')
    })(),
  )
  const done = cooperator.cooperate([])
  const stopped = cooperator.cooperate([new Promise(() => {})])
  for (const task of [done, failing, stopped] as CooperativeTask<unknown>[]) {
    const look = (): void => {
      found.push(t.throws(() => task.stop())?.constructor)
      t.is(scheduled(), 0)
    }
    void task.whenDone().then(look, look)
  }

  await crank()
  stopped.stop()
  await crank()

  t.is(found.length, 3)
  for (const error of [TaskDone, TaskFailed, TaskStopped]) t.true(found.includes(error), error.name)
})

test('Cooperator: a watcher that throws, or is slow, disturbs no other', async t => {
  const { cooperator, crank } = cranked()
  const task = cooperator.cooperate([])
  const first = task.whenDone().then(() => {
    throw new Error('a watcher')
  })
  void task.whenDone().then(() => new Promise(() => {}))
  const third = task.whenDone()

  await crank()

  await t.throwsAsync(first, { message: 'a watcher' })
  t.is(await third, undefined)
})

test('Cooperator: tasks that are added at each step starve no other task', async t => {
  const { clock, cooperator, crank } = cranked(50)
  const log: string[] = []
  cooperator.cooperate(endless(log, 'parent', clock, () => void cooperator.cooperate(endless(log, 'child', clock))))
  cooperator.cooperate(endless(log, 'other', clock))

  await crank()

  const turns = log.map((name, i) => (name === 'other' ? i : -1)).filter(i => i >= 0)
  t.true(turns.length >= 6, `${turns.length} turns`)
  // With so many children the ring is as long as that; nobody comes twice in one round.
  for (const [i, at] of turns.entries()) {
    const children = log.slice(0, at).filter(name => name === 'parent').length
    t.true(at - (turns[i - 1] ?? 0) <= children + 2, `turn ${i} came after ${at - (turns[i - 1] ?? 0)} steps`)
  }
})

for (const how of ['ends', 'throws', 'pauses itself', 'waits', 'stops itself'] as const) {
  test(`wart 2: when a task ${how} in the middle of a round, the one after it keeps its turn`, async t => {
    const { clock, cooperator, crank } = cranked(9)
    const log: string[] = []
    cooperator.cooperate(endless(log, 'A', clock))
    function* leaves(): Generator<unknown, void> {
      log.push('B')
      clock.block(1)
      yield
      log.push('B')
      clock.block(1)
      if (how === 'throws') throw new Error('no')
      if (how === 'pauses itself') task.pause()
      if (how === 'stops itself') task.stop()
      if (how !== 'ends') yield how === 'waits' ? new Promise(() => {}) : undefined
    }
    const task = cooperator.cooperate(leaves())
    task.whenDone().catch(() => {})
    for (const name of 'CD') cooperator.cooperate(endless(log, name, clock))

    await crank()

    t.is(log.join(''), 'ABCDABCDA')
    await crank()
    t.is(log.join(''), 'ABCDABCDACDACDACDA')
  })
}

test('wart 2: a task that stops, pauses or resumes its neighbours costs no other task a turn', async t => {
  const { clock, cooperator, crank } = cranked(20)
  const log: string[] = []
  const tasks: CooperativeTask<unknown>[] = []
  let round = 0
  const meddle = (): void => {
    round++
    if (round === 2) tasks[1]?.stop()
    if (round === 3) tasks[3]?.pause()
    if (round === 4) tasks[3]?.resume()
  }
  tasks.push(cooperator.cooperate(endless(log, 'A', clock, meddle)))
  for (const name of 'BCDE') tasks.push(cooperator.cooperate(endless(log, name, clock)))

  await crank()

  t.is(log.join(''), 'ABCDEACDEACEACEADCEA', 'who is resumed goes to the end of the ring')
})

test('wart 4: a promise that fails after its task was stopped notifies no watcher, and each was notified once', async t => {
  for (const [when, what] of [
    ['before', 'a yield'],
    ['after', 'a yield'],
    ['before', 'a step'],
    ['after', 'a step'],
  ] as const) {
    const { cooperator, crank } = cranked()
    let fail: (error: Error) => void = () => {}
    const gate = new Promise<never>((_, reject) => {
      fail = reject
    })
    gate.catch(() => {})
    const task = cooperator.cooperate<unknown>(what === 'a yield' ? [gate] : { next: () => gate })
    const seen: unknown[] = []
    for (let i = 0; i < 2; i++) void task.whenDone().catch(error => seen.push(error.constructor))
    await crank()

    if (when === 'before') fail(new Error('late'))
    task.stop()
    if (when === 'after') fail(new Error('late'))
    await crank()
    await crank()

    t.deepEqual(seen, [TaskStopped, TaskStopped], `${when} ${what}`)
    t.throws(() => task.pause(), { instanceOf: TaskStopped })
  }
})

test('wart 9: a scheduler whose schedule() returns no way to cancel works', async t => {
  const clock = new VirtualClock()
  const ticks: (() => void)[] = []
  const schedule = ((tick: () => void) => void ticks.push(tick)) as unknown as (tick: () => void) => () => void
  const cooperator = new Cooperator({ clock, slice: 2, schedule })
  const log: string[] = []
  const tasks = [...'ABC'].map(name => cooperator.cooperate(endless(log, name, clock)))
  const crank = async (): Promise<void> => {
    for (const tick of ticks.splice(0)) tick()
    await clock.settle()
  }
  for (let i = 0; i < 6; i++) await crank()
  const { length } = log
  tasks[0]?.pause()
  tasks[1]?.stop()
  await crank()
  t.deepEqual(log.slice(length).join('').replaceAll('C', ''), '', 'neither the paused nor the stopped one goes on')

  cooperator.stop()
  const before = log.length
  await crank()
  await crank()

  t.is(log.length, before)
  t.regex(log.slice(0, length).join(''), /^(ABC)+A?B?$/)
})

test('Clock: alarms ring in the order in which they are due, then in which they were set, and cancelled ones do not', async t => {
  const clock = new VirtualClock()
  const rung: [string, number][] = []
  const set = (name: string, at: number) => clock.at(at, () => rung.push([name, clock.now()]))
  set('late', 30)
  set('early', 10)
  const cancelled = set('cancelled', 20)
  set('same', 10)
  set('past', -5)
  clock.at(15, () => {
    set('set while turning', 18)
    set('set for the past', 3)
    cancelled.cancel()
  })

  await clock.advance(29)
  t.deepEqual(rung, [
    ['past', 0],
    ['early', 10],
    ['same', 10],
    ['set for the past', 15],
    ['set while turning', 18],
  ])
  await clock.advance(1)

  t.deepEqual(rung.at(-1), ['late', 30])
})

test('fairness: every runnable task steps once before another steps twice, whatever is paused, stopped or added', async t => {
  const act = fc.record({
    who: fc.nat(20),
    what: fc.constantFrom('pause', 'resume', 'stop', 'add', 'tick', 'tick', 'tick'),
  })
  let steps = 0
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 9 }),
      fc.array(act, { maxLength: 60, size: 'max' }),
      async (slice, acts) => {
        const { clock, cooperator, crank } = cranked(slice)
        const log: string[] = []
        const tasks: { task: CooperativeTask<unknown>; name: string; pauses: number; stopped: boolean }[] = []
        const add = (): void => {
          const name = `${tasks.length}`
          tasks.push({ name, pauses: 0, stopped: false, task: cooperator.cooperate(endless(log, name, clock)) })
        }
        for (let i = 0; i < 4; i++) add()
        /** Who could step since the last change, and how often each did. */
        let could = new Set<string>()
        let counts = new Map<string, number>()
        const changed = (): void => {
          could = new Set(tasks.filter(one => one.pauses === 0 && !one.stopped).map(one => one.name))
          counts = new Map([...could].map(name => [name, 0]))
        }
        changed()
        for (const { who, what } of acts) {
          const one = tasks[who % tasks.length] as (typeof tasks)[number]
          if (what === 'tick') {
            log.length = 0
            await crank()
            steps += log.length
            if (log.length !== (could.size > 0 ? slice : 0))
              throw new Error(`${log.length} steps in a slice of ${slice}`)
            for (const name of log) {
              if (!could.has(name)) throw new Error(`${name} stepped while it could not`)
              counts.set(name, (counts.get(name) ?? 0) + 1)
              const all = [...counts.values()]
              if (Math.max(...all) - Math.min(...all) > 1) throw new Error(`unfair: ${log.join(' ')}`)
            }
            continue
          }
          if (what === 'add') add()
          else if (one.stopped) continue
          else if (what === 'pause') one.pauses += 1
          else if (what === 'resume' && one.pauses > 0) one.pauses -= 1
          else if (what === 'stop') one.stopped = true
          else continue
          if (what !== 'add') one.task[what]()
          one.task.whenDone().catch(() => {})
          changed()
        }
      },
    ),
    { numRuns: 300 },
  )

  t.true(steps > 10_000, `${steps} steps`)
})
