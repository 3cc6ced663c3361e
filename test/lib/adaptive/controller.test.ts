/**
 * Both algorithms against a simulated service with a knee: within 10 % of the throughput of the best width, and no
 * collapse. The service begins with a capacity of 40, grows slowly to 60, loses half of that at once, and at last takes
 * twice as long for each request.
 */
import test from 'ava'
import { Aimd } from '../../../lib/adaptive/aimd.ts'
import type { Bounds, Controller } from '../../../lib/adaptive/controller.ts'
import { Gradient } from '../../../lib/adaptive/gradient.ts'
import { AlarmClock, ClosedLoop, SimulatedServer } from '../../support/simulated-server.ts'

const phaseMs = 100_000
/** The first part of the first phase, in which the width is found. */
const warmUpMs = 25_000
const phases = ['steady', 'drifting', 'halved', 'slower'] as const
const capacity = (now: number): number =>
  now < phaseMs ? 40 : now < 2 * phaseMs ? 40 + (20 * (now - phaseMs)) / phaseMs : 30
const workMs = (now: number): number => (now < 3 * phaseMs ? 400 : 800)

interface Phase {
  /** The throughput, as a share of that with exactly as many requests as the capacity at every instant. */
  readonly share: number
  /** The bounds of the width in the last three quarters of the phase. */
  readonly least: number
  readonly most: number
}

interface Trial {
  readonly seed?: number
  readonly width?: number
  readonly refusesAt?: number | undefined
  readonly controller?: (width: number) => Controller
}

function drive({ seed = 1, width = 10, refusesAt, controller }: Trial): readonly Phase[] {
  const clock = new AlarmClock(seed)
  const server = new SimulatedServer({ clock, capacity, workMs, loss: 0.2, refusesAt })
  const loop = new ClosedLoop(clock, server, width, controller?.(width))
  clock.run(warmUpMs)
  return phases.map((_, i) => {
    const before = server.served
    const widths: number[] = []
    let possible = 0
    for (let part = 0; part < 100; part++) {
      const now = i * phaseMs + part * (phaseMs / 100)
      if (now < warmUpMs) continue
      possible += (capacity(now) / workMs(now)) * (phaseMs / 100)
      clock.run(now + phaseMs / 100)
      if (part >= 25) widths.push(loop.width)
    }
    const share = (server.served - before) / possible
    return { share, least: Math.min(...widths), most: Math.max(...widths) }
  })
}

const bounds: Bounds = { min: 1, max: 1_000 }
const algorithms = [
  ['aimd', 1.2, (width: number) => new Aimd(bounds, width, 0)],
  ['gradient', undefined, (width: number) => new Gradient(bounds, width)],
] as const

for (const [algorithm, refusesAt, controller] of algorithms) {
  test(`adaptive: ${algorithm} keeps within 10 % of the best throughput, and does not collapse`, t => {
    for (const width of [1, 10, 80]) {
      for (let seed = 1; seed <= 3; seed++) {
        const found = drive({ seed, width, refusesAt, controller })
        for (const [i, phase] of phases.entries()) {
          const { share, least, most } = found[i] as Phase
          const knee = capacity((i + 0.5) * phaseMs)
          const shown = `${phase}, from ${width}, seed ${seed}: ${(100 * share).toFixed(1)} %, widths ${least} to ${most}`
          t.true(share > 0.9, shown)
          t.true(least > knee / 2 && most < 2 * knee, shown)
          if (seed === 1) t.log(shown)
        }
      }
    }
  })
}

test('adaptive: the best width differs between phases, so that the margin of 10 % is a real test', t => {
  const share = (width: number, phase: number): number => drive({ width })[phase]?.share ?? Number.NaN

  t.true(share(40, 0) > 0.97)
  t.true(share(20, 0) < 0.55)
  t.true(share(60, 2) < 0.85)
  t.true(share(120, 0) < 0.7)
})

test('adaptive: each algorithm goes from a width of 10 to 40 in less than 25 round trips', t => {
  for (const [algorithm, refusesAt, controller] of algorithms) {
    const clock = new AlarmClock(1)
    const server = new SimulatedServer({ clock, capacity, workMs, loss: 0.2, refusesAt })
    const loop = new ClosedLoop(clock, server, 10, controller(10))

    clock.run(10_000)

    t.true(loop.width >= 32, `${algorithm}: ${loop.width}`)
  }
})
