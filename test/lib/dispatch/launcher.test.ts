/** Slots and launches: which granted jobs begin, which go back, and until when each holds its slot. */
import test from 'ava'
import { Announcer } from '../../../lib/announce/announcer.ts'
import type { Results } from '../../../lib/announce/results.ts'
import type { BacklogSession, Exchange, ExchangeResult } from '../../../lib/backlog.ts'
import { type Caution, launchAlone } from '../../../lib/backlog.ts'
import { Cooperator } from '../../../lib/cooperate/cooperator.ts'
import { YieldPoint } from '../../../lib/cooperate/yield-point.ts'
import { type ExchangeListener, Exchanges } from '../../../lib/dispatch/exchanges.ts'
import { Launcher, type LaunchOptions } from '../../../lib/dispatch/launcher.ts'
import { SafeEmitter } from '../../../lib/events/events.ts'
import { type JobHost, JobRecord } from '../../../lib/job.ts'
import { Lifecycle } from '../../../lib/lifecycle.ts'
import { cleanContext } from '../../../lib/support/clean-context.ts'
import { scripted, VirtualClock } from '../../../testing/index.ts'

const retry = { attempts: 1, delayMs: 0, factor: 1, maxMs: 0, jitter: false }
const record = (id: string): JobRecord => {
  const made = new JobRecord(id, id, 0, 0)
  made.seq = made.fence = 1
  return made
}

interface Granted {
  graceUntil?: number
  caution?: Caution
  grant?: number
}

/**
 * A launcher of a queue that runs. `grant` claims jobs for it, `launch` calls all that may begin, `reported` is what it
 * would report.
 */
const setup = (width: number, options: Partial<LaunchOptions> = {}) => {
  const clock = new VirtualClock()
  const cooperator = new Cooperator({ slice: 5, clock })
  const handler = scripted<string, unknown>()
  const emitter = new SafeEmitter<unknown, unknown>('q', clock)
  const loopContext = cleanContext('test')
  const listener = { wake: () => {} } as unknown as ExchangeListener
  const exchanges = new Exchanges({ clock, cooperator, loopContext, strict: false, maxExchangesInFlight: 4, listener })
  exchanges.take(clock.now())
  const process = { bodies: 0 }
  exchanges.open({ bodiesInProcess: () => process.bodies } as unknown as BacklogSession)
  const lifecycle = new Lifecycle(true, false)
  const loop = { wakes: 0, wake: () => void loop.wakes++ }
  const launcher = new Launcher(
    {
      clock,
      cooperator,
      yieldPoint: new YieldPoint(cooperator, clock),
      loopContext,
      emitter,
      exchanges,
      lifecycle,
      loop,
      options: {
        strict: false,
        durable: false,
        keepsResults: false,
        reports: 'never',
        handler: handler as LaunchOptions['handler'],
        retry,
        timeoutMs: Infinity,
        maxHoldMs: Infinity,
        ruleNames: () => [],
        crashPolicy: { crashLimit: 3, afterCrash: 'again' },
        requestVerdict: () => {},
        ...options,
      },
      announcer: new Announcer({
        emitter,
        results: {} as Results,
        host: {} as JobHost,
        keep: { finishedMs: 0, results: false },
      }),
    },
    width,
  )
  const grant = (records: JobRecord[], { graceUntil = Infinity, caution, grant }: Granted = {}): void => {
    const cautions = caution === undefined ? undefined : new Map(records.map(one => [one, caution]))
    const grants = grant === undefined ? undefined : records.map(() => grant)
    launcher.addRuns({
      claimed: records,
      payloads: undefined,
      grants,
      graceUntil,
      cautions,
    } as unknown as ExchangeResult)
  }
  const launch = (): void => {
    while (launcher.step()) {}
  }
  const reported = (): Exchange => exchanges.take(clock.now())
  const settled = (): string[] => reported().settled.map(one => `${one.record.id} ${one.kind}`)
  const underway = (): unknown[] => handler.underway.map(call => call.payload)
  return { clock, launcher, handler, emitter, process, lifecycle, loop, grant, launch, reported, settled, underway }
}

test('launcher: jobs begin in the order of their grant, and hold a slot until their bodies have ended', async t => {
  const { clock, launcher, handler, grant, launch, settled, underway, loop } = setup(3)
  grant([record('a'), record('b')])
  t.deepEqual([launcher.slotsTaken, launcher.running], [2, 0])
  launch()
  t.deepEqual(underway(), ['a', 'b'])
  t.deepEqual([launcher.slotsTaken, launcher.running], [2, 2])

  const { wakes } = loop
  handler.underway[0]?.finish('done')
  await clock.settle()

  t.deepEqual([launcher.slotsTaken, launcher.running], [1, 1])
  t.true(loop.wakes > wakes)
  t.deepEqual(settled(), ['a finished'])
})

test('launcher: nothing begins while the queue is paused, and what was granted goes back', t => {
  const { launcher, grant, launch, settled, underway, lifecycle } = setup(2)
  grant([record('a')])
  lifecycle.pause()
  launch()

  t.deepEqual([underway(), settled(), launcher.slotsTaken], [[], ['a notLaunched'], 0])
})

test('launcher: above the width nothing begins, though it was granted when the queue was wider', t => {
  const { launcher, grant, launch, settled, underway } = setup(2)
  grant([record('a'), record('b')])
  launcher.width = 1
  launch()

  t.deepEqual([underway(), settled()], [['a'], ['b notLaunched']])
})

test('launcher: a job that was not launched within its grace goes back before more jobs are claimed', async t => {
  const { clock, launcher, grant, launch, settled, underway } = setup(2)
  grant([record('late')], { graceUntil: clock.now() + 10 })
  grant([record('in time')], { graceUntil: clock.now() + 50 })
  await clock.advance(20)
  launcher.returnExpired(clock.now())
  t.deepEqual([settled(), launcher.slotsTaken], [['late notLaunched'], 1])
  launch()

  t.deepEqual(underway(), ['in time'])
})

test('launcher: jobs granted before a suspension go back, and jobs granted after it begin', t => {
  const { launcher, grant, launch, settled, underway } = setup(3)
  grant([record('before')])
  launcher.suspend()
  t.true(launcher.isSuspended)
  launcher.endSuspension()
  grant([record('after')])
  launch()

  t.deepEqual([underway(), settled()], [['after'], ['before notLaunched']])
})

test('launcher: while one of two has not resumed, launches are suspended', t => {
  const { launcher, grant, launch, underway } = setup(3)
  launcher.suspend()
  launcher.suspend()
  launcher.endSuspension()
  grant([record('a')])
  launch()

  t.true(launcher.isSuspended)
  t.deepEqual(underway(), [])
})

test('launcher: a listener of `underway` that cancels the job comes in time: its body never begins', t => {
  const { launcher, emitter, grant, launch, settled, underway } = setup(1)
  emitter.on('underway', () => [...launcher.runs][0]?.cancel('no need'))
  grant([record('a')])
  launch()

  t.deepEqual([underway(), settled(), launcher.slotsTaken], [[], ['a cancelled'], 0])
})

test('launcher: a listener of `underway` that pauses the queue comes in time: the job goes back', t => {
  const { emitter, grant, launch, settled, underway, lifecycle } = setup(1)
  emitter.on('underway', () => {
    lifecycle.pause()
  })
  grant([record('a')])
  launch()

  t.deepEqual([underway(), settled()], [[], ['a notLaunched']])
})

test('launcher: a cancelled job settles at once, and its body keeps the slot until it has ended', async t => {
  const { clock, launcher, handler, grant, launch, reported, settled } = setup(1)
  grant([record('a')])
  launch()
  ;[...launcher.runs][0]?.cancel('no need')
  t.deepEqual(settled(), ['a cancelled'])
  t.deepEqual([launcher.slotsTaken, launcher.running, launcher.closing], [1, 1, 1])

  handler.underway[0]?.finish('too late')
  await clock.settle()

  t.deepEqual([launcher.slotsTaken, launcher.running, launcher.closing], [0, 0, 0])
  const { endedBodies, settled: more } = reported()
  t.deepEqual([endedBodies.map(({ id }) => id), more], [['a'], []])
})

test('launcher: a job put anew does not run beside the body that it left behind', async t => {
  const { clock, launcher, handler, grant, launch, underway } = setup(2)
  const job = record('a')
  grant([job])
  launch()
  ;[...launcher.runs][0]?.cancel('no need')
  job.fence = 2
  grant([job])
  launch()
  t.is(underway().length, 1)

  handler.underway[0]?.finish('too late')
  await clock.settle()
  launch()

  t.is(underway().length, 1)
  t.deepEqual([launcher.slotsTaken, launcher.running], [1, 1])
})

test('launcher: a launch of a limited rate is reported at the instant after its first line', t => {
  const { clock, grant, launch, reported } = setup(1)
  grant([record('a')], { grant: 7 })
  launch()

  t.deepEqual(reported().confirmed, [{ grant: 7, at: clock.now() }])
})

test('launcher: where each launch is reported first, a body begins when its report is stored', t => {
  const { launcher, grant, launch, reported, underway } = setup(1, { reports: 'first' })
  grant([record('a')])
  launch()
  const exchange = reported()
  launcher.reportLaunches(exchange)
  t.deepEqual([underway(), exchange.launchReports.map(one => one.record.id)], [[], ['a']])

  launcher.reportsStored(exchange.launchReports)
  launch()

  t.deepEqual(underway(), ['a'])
})

test('launcher: a job whose launch could not be reported first goes back', t => {
  const { launcher, grant, launch, reported, settled, underway } = setup(1, { reports: 'first' })
  grant([record('a')])
  launch()
  const exchange = reported()
  launcher.reportLaunches(exchange)
  t.true(launcher.launchNotReported(exchange.launchReports[0] as Exchange['launchReports'][number]))
  launch()

  t.deepEqual([underway(), settled()], [[], ['a notLaunched']])
})

test('launcher: a job that is to run alone goes back where another body runs in this process', t => {
  const { grant, launch, reported, underway, process } = setup(2)
  process.bodies = 1
  grant([record('suspect')], { caution: launchAlone })
  launch()
  const [back] = reported().settled

  t.deepEqual(underway(), [])
  t.like(back, { kind: 'notLaunched', notAlone: true })
})

test('launcher: an abandoned body frees nothing until it really ends', async t => {
  const { clock, launcher, handler, grant, launch } = setup(1)
  grant([record('a')])
  launch()
  const [run] = [...launcher.runs]
  if (run) launcher.abandon(run)
  t.is(launcher.running, 1)

  handler.underway[0]?.finish('at last')
  await clock.settle()

  t.is(launcher.running, 0)
})
