import test from 'ava'
import type { Decision } from '../../../lib/adaptive/controller.ts'
import { Gradient } from '../../../lib/adaptive/gradient.ts'
import { AlarmClock, ClosedLoop, SimulatedServer } from '../../support/simulated-server.ts'

interface Trial {
  readonly capacity?: (now: number) => number
  readonly workMs?: (now: number) => number
  readonly refusesAt?: number
  readonly width?: number
  readonly max?: number
  readonly ms?: number
}

function drive({ capacity = () => 40, workMs = () => 100, refusesAt, width = 20, max = 1_000, ms = 60_000 }: Trial) {
  const clock = new AlarmClock(3)
  const server = new SimulatedServer({ clock, capacity, workMs, loss: 0.2, refusesAt })
  const gradient = new Gradient({ min: 1, max }, width)
  const decisions: Decision[] = []
  const loop = new ClosedLoop(clock, server, width, {
    observe(sample, now) {
      const decision = gradient.observe(sample, now)
      if (decision) decisions.push(decision)
      return decision
    },
  })
  clock.run(ms)
  return { loop, decisions, widths: decisions.map(({ width }) => width) }
}

test('gradient: it keeps near the knee for thousands of round trips, and does not creep up', t => {
  const { widths } = drive({ ms: 400_000 })
  const late = widths.slice(-100)

  t.true(Math.max(...late) < 64, String(Math.max(...late)))
  t.true(Math.min(...late) > 20, String(Math.min(...late)))
})

test('gradient: a service that takes three times as long for each request does not make the width collapse', t => {
  const { widths, loop } = drive({ workMs: now => (now < 30_000 ? 100 : 300), ms: 120_000 })

  t.true(Math.min(...widths) >= 12, String(Math.min(...widths)))
  t.true(loop.width > 24, String(loop.width))
})

test('gradient: refused requests shrink the width, though no run takes longer', t => {
  // Far below the knee, so that only the refusals say anything.
  const { loop } = drive({ capacity: () => 1_000, refusesAt: 0.03, width: 100, ms: 30_000 })

  t.true(loop.width < 40, String(loop.width))
})

test('gradient: it keeps within its bounds, and each reason is a sentence with both widths', t => {
  const { widths, decisions } = drive({ capacity: () => 1_000, max: 50 })

  t.is(Math.max(...widths), 50)
  for (const { width, reason } of decisions) {
    t.regex(reason, /^(?:Widened|Narrowed) from \d+ to \d+.*\.$/)
    t.true(reason.includes(` to ${width}`), reason)
  }
})

test('gradient: the width does not grow while it is not used', t => {
  const gradient = new Gradient({ min: 1, max: 1_000 }, 20)
  for (let i = 0; i < 2_000; i++) {
    t.is(gradient.observe({ startedAt: i * 10, endedAt: i * 10 + 50, underway: 5, outcome: 'ok' }, 20), undefined)
  }
})

test('gradient: the width stays a number when handlers take no time at all', t => {
  const gradient = new Gradient({ min: 1, max: 100 }, 5)
  let width = 5
  for (let i = 0; i < 2_000; i++) {
    width = gradient.observe({ startedAt: 7, endedAt: 7, underway: width, outcome: 'ok' }, width)?.width ?? width
    t.true(Number.isSafeInteger(width) && width >= 1 && width <= 100)
  }
})
