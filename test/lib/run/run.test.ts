/** One attempt: what each end of a body means for its job, in each of the states of a run. */
import test from 'ava'
import { Cooperator } from '../../../lib/cooperate/cooperator.ts'
import { CancelledError, LeaseLostError } from '../../../lib/errors.ts'
import { JobRecord } from '../../../lib/job.ts'
import { Run, type RunHost, stuckAfterMs } from '../../../lib/run/run.ts'
import { stateName } from '../../../lib/run/run-state.ts'
import type { Task } from '../../../lib/run/task.ts'
import { scripted, VirtualClock } from '../../../testing/index.ts'

/** A run that was granted, and what it reports to its host. */
const setup = (options: Partial<RunHost> = {}) => {
  const clock = new VirtualClock()
  const log: string[] = []
  const handler = scripted<string, unknown>()
  const host = {
    clock,
    cooperator: new Cooperator({ slice: 5, clock }),
    maxHoldMs: Infinity,
    ruleNames: () => [],
    retry: { attempts: 1, delayMs: 0, factor: 1, maxMs: 0, jitter: false },
    timeoutMs: Infinity,
    handler: handler as RunHost['handler'],
    parked: false,
    settled: (run: Run) => log.push(`settled ${run.kind}, ${stateName(run.state)}`),
    released: (run: Run) => log.push(`released ${stateName(run.state)}`),
    abandonedBodyEnded: () => log.push('left behind'),
    stuck: () => log.push('stuck'),
    progress: () => {},
    checkpoint: () => Promise.resolve(),
    spent: () => {},
    breathe: () => Promise.resolve(),
    finishWithin: () => {},
    ...options,
  } satisfies RunHost
  const run = new Run(host)
  const record = new JobRecord('a', 'payload', 0, 0)
  record.attempt = 1
  run.begin(record, record.payload, 0, Infinity)
  const state = (): string => stateName(run.state)
  return { clock, log, handler, run, record, state }
}

test('run: a body that returns finishes its job, and frees its slot with that', async t => {
  const { clock, log, handler, run, state } = setup()
  t.is(state(), 'granted')
  run.launch(5)
  t.is(state(), 'running')
  t.deepEqual([run.settled, run.launched, run.bodyEnded, run.startedAt], [false, true, false, 5])
  handler.underway[0]?.finish('value')
  await clock.settle()

  t.deepEqual(log, ['settled finished, ended', 'released ended'])
  t.is(run.value, 'value')
  t.deepEqual([run.settled, run.bodyEnded, run.bodyContinues], [true, true, false])
})

test('run: a body that throws fails its job, or has it retried while attempts are left', async t => {
  for (const [attempts, kind] of [
    [1, 'failed'],
    [2, 'retry'],
  ] as const) {
    const retry = { attempts, delayMs: 10, factor: 1, maxMs: 10, jitter: false }
    const { clock, log, handler, run } = setup({ retry })
    run.launch(0)
    handler.underway[0]?.fail(new Error('no'))
    await clock.settle()

    t.deepEqual(log, [`settled ${kind}, ended`, 'released ended'])
  }
})

test('run: a cancelled job settles at once, and what its body returns later changes nothing', async t => {
  const { clock, log, handler, run, state } = setup()
  run.launch(0)
  t.true(run.cancel('no need'))
  t.is(state(), 'closing')
  t.true(run.bodyContinues)
  t.false(run.cancel('again'))
  handler.underway[0]?.finish('too late')
  await clock.settle()

  t.deepEqual(log, ['settled cancelled, closing', 'released closed'])
  t.true(run.error instanceof CancelledError)
  t.is(run.value, undefined)
})

test('run: a job that is cancelled before its launch has no body to wait for', t => {
  const { log, run, handler } = setup()
  run.cancel('no need')
  t.deepEqual([run.settled, run.bodyContinues, run.launched], [true, false, false])
  run.endUnrun()

  t.deepEqual(log, ['settled cancelled, closing'])
  t.is(stateName(run.state), 'closed')
  t.is(handler.underway.length, 0)
})

test('run: a run that is handed back settles as not launched', t => {
  const { run, state } = setup()
  run.handBack()

  t.deepEqual([run.kind, state(), run.launched], ['notLaunched', 'ended', false])
})

test('run: a timed-out job with no attempt left fails at once, and one with attempts left waits for its body to end', async t => {
  for (const [attempts, expected] of [
    [1, ['settled failed, closing', 'released closed']],
    [2, ['settled retry, ended', 'released ended']],
  ] as const) {
    const retry = { attempts, delayMs: 10, factor: 1, maxMs: 10, jitter: false }
    const { clock, log, handler, run } = setup({ retry, timeoutMs: 100 })
    run.launch(0)
    await clock.advance(100)
    t.is(log.length, attempts === 1 ? 1 : 0)
    handler.underway[0]?.finish('too late')
    await clock.settle()

    t.deepEqual(log, [...expected])
  }
})

test('run: a body that heeds no signal is stuck, and fails its job if its time was over', async t => {
  const retry = { attempts: 2, delayMs: 10, factor: 1, maxMs: 10, jitter: false }
  const { clock, log, run } = setup({ retry, timeoutMs: 100 })
  run.launch(0)
  await clock.advance(100 + stuckAfterMs)

  t.deepEqual(log, ['stuck', 'settled failed, closing'])
})

test('run: a run that a stop interrupts goes back where its body throws, and finishes where it returns', async t => {
  for (const [end, kind] of [
    ['fail', 'interrupted'],
    ['finish', 'finished'],
  ] as const) {
    const { clock, log, handler, run, state } = setup()
    run.launch(0)
    run.interrupt()
    t.is(state(), 'interrupted')
    t.false(run.settled)
    handler.underway[0]?.[end](new Error('cut short') as never)
    await clock.settle()

    t.deepEqual(log, [`settled ${kind}, ended`, 'released ended'])
  }
})

test('run: only a body that runs can be interrupted', t => {
  const { run, state } = setup()
  run.interrupt()
  t.is(state(), 'granted')
  run.launch(0)
  run.cancel('no need')
  run.interrupt()

  t.is(state(), 'closing')
})

test('run: a run that lost its job settles nothing, and the signal of its body aborts', async t => {
  const { clock, log, handler, run, state } = setup()
  const { signal } = run
  run.launch(0)
  run.lose(new LeaseLostError('a'))
  t.deepEqual([state(), signal.aborted, run.bodyContinues], ['lost', true, false])
  handler.underway[0]?.finish('of no use')
  await clock.settle()

  t.deepEqual(log, ['released ended'])
})

test('run: an abandoned body frees no slot when it ends, and is reported as left behind once', async t => {
  const { clock, log, handler, run, state } = setup()
  run.launch(0)
  const ended = run.whenBodyEnded()
  run.abandon()
  await ended
  t.deepEqual([state(), run.settled, run.bodyEnded], ['abandoned', true, true])
  handler.underway[0]?.finish('at last')
  await clock.settle()

  t.deepEqual([log, state()], [['left behind'], 'ended'])
})

test('run: callers that await the end of a body are notified when it has ended, whatever became of its job', async t => {
  const { clock, handler, run } = setup()
  run.launch(0)
  run.cancel('no need')
  let over = false
  void run.whenBodyEnded().then(() => {
    over = true
  })
  await clock.settle()
  t.false(over)
  handler.underway[0]?.finish('too late')
  await clock.settle()

  t.true(over)
})

test('run: a generator that is closed ends once, when its finally has run', async t => {
  const steps: string[] = []
  function* handler() {
    try {
      for (;;) yield
    } finally {
      steps.push('finally')
    }
  }
  const { clock, log, run } = setup({ handler: handler as unknown as RunHost['handler'] })
  run.launch(0)
  run.cancel('no need')
  await clock.settle()
  await clock.advance(10)

  t.deepEqual(steps, ['finally'])
  t.deepEqual(log, ['settled cancelled, closing', 'released closed'])
})

test('run: a generator that is made while its job is cancelled never begins', async t => {
  const steps: string[] = []
  const own: { run?: Run } = {}
  const handler = (_: unknown, __: Task): unknown => {
    own.run?.cancel('no need')
    return (function* () {
      steps.push('begun')
      yield
    })()
  }
  const { clock, log, run } = setup({ handler })
  own.run = run
  run.launch(0)
  await clock.settle()
  await clock.advance(10)

  t.deepEqual(steps, [])
  t.deepEqual(log, ['settled cancelled, closing', 'released closed'])
})

test('run: an edge that the table of states does not have is refused', async t => {
  const { clock, handler, run } = setup()
  run.launch(0)
  t.throws(() => run.launch(0), { message: 'a run that is running cannot become running' })
  t.throws(() => run.reset(), { message: 'a run that is running cannot become free' })
  handler.underway[0]?.finish('done')
  await clock.settle()
  t.throws(() => run.handBack(), { message: 'a run that is ended cannot become ended' })

  run.reset()
  t.throws(() => run.launch(0), { message: 'a run that is free cannot become running' })
})

test('run: a run is reused only after an ordinary end of its body', async t => {
  const { clock, handler, run } = setup()
  t.false(run.reusable)
  run.launch(0)
  t.false(run.reusable)
  handler.underway[0]?.finish('done')
  await clock.settle()

  t.true(run.reusable)
})
