/** The hunt for planted bugs: each is planted by itself, and those who ought to find it look for it, then all others. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suitesIn } from '../support/tree.ts'
import type { Plant } from './plant.ts'
import { Plot, type Search } from './plot.ts'

/** How the hunt for one bug ended. */
export interface Hunted {
  readonly plant: Plant
  /** The title of the test that found it; undefined when none did. */
  readonly by: string | undefined
  /** Whether one of those found it that ought to. */
  readonly expected: boolean
  readonly seconds: number
  /** What the simulation and the checkers said of it; undefined when they were not asked. */
  readonly simulated: string | undefined
  readonly checked: string | undefined
}

export interface HuntOptions {
  /** Schedules of the simulation that are tried on each bug; 0 asks none. */
  readonly schedules: number
  readonly seed: number
  /** Whether the checkers are asked too, by histories of random commands. */
  readonly checkers: boolean
  /** Whether all finders are first seen to pass without a bug: one that fails anyway finds nothing. */
  readonly healthy: boolean
  /** Whether all other tests are asked where the finders have found nothing. */
  readonly wider: boolean
  readonly hunted?: (hunted: Hunted) => void
}

/** A finder that has not ended by then hangs, which is a find too. */
const finderMostMs = 90_000
const widerMostMs = 400_000
const healthyMostMs = 600_000
const simulatedMostMs = 120_000

/** Tests whose histories are judged by the checkers. */
const judged = ['flow/invariants', 'flow/differential']

/** What can be asked besides the finders. What looks at the tree itself, or plants bugs, is none of them. */
const others = /^(?:lib|persistence|flow(?!\/deliver)|crash|limit|simulation|testing)\//

/** Resolves with what became of each, in their order. Rejects where the hunt itself is broken: nothing is proven by it then. */
export async function hunt(plants: readonly Plant[], options: HuntOptions): Promise<readonly Hunted[]> {
  const { schedules, seed, checkers, healthy, wider, hunted } = options
  const plot = new Plot()
  try {
    const simulates = schedules > 0 && existsSync(join(plot.folder, 'build/test/simulation/run.js'))
    const simulate = ['build/test/simulation/run.js', '--schedules', String(schedules), '--seed', String(seed)]
    await plot.heal()
    if (healthy) {
      const finders = [...new Set(plants.flatMap(plant => plant.finders))]
      const { found, told } = await plot.search(finders, healthyMostMs)
      if (found !== undefined) throw new Error(`without any bug, this fails: ${found}\n${lastOf(told)}`)
      const before = simulates ? await plot.ask(simulate, simulatedMostMs) : undefined
      if (before?.found !== undefined) throw new Error(`without any bug, the simulation fails:\n${lastOf(before.told)}`)
    }
    const all: Hunted[] = []
    for (const plant of plants) {
      await plot.plant(plant)
      const one = await huntOne(plot, plant, wider)
      const simulated = simulates ? invariantsIn(await plot.ask(simulate, simulatedMostMs)) : undefined
      const checked = checkers ? invariantsIn(await plot.search(judged, simulatedMostMs, true)) : undefined
      all.push({ ...one, simulated, checked })
      hunted?.(all.at(-1) as Hunted)
    }
    return all
  } finally {
    plot.remove()
  }
}

async function huntOne(plot: Plot, plant: Plant, wider: boolean): Promise<Omit<Hunted, 'simulated' | 'checked'>> {
  let seconds = 0
  for (const finder of plant.finders) {
    const search = await plot.search([finder], finderMostMs)
    seconds += search.seconds
    if (search.found !== undefined) return { plant, by: search.found, expected: true, seconds }
  }
  if (!wider) return { plant, by: undefined, expected: false, seconds }
  const rest = testFiles().filter(file => !plant.finders.includes(file))
  const search = await plot.search(rest, widerMostMs)
  return { plant, by: search.found, expected: false, seconds: seconds + search.seconds }
}

/** All that can be asked, named as finders are. */
export function testFiles(): string[] {
  return suitesIn().filter(name => others.test(name))
}

function lastOf(told: string): string {
  return told.trimEnd().split('\n').slice(-40).join('\n')
}

/** The invariants that were broken, where it says so; else what it says, or that it found nothing. */
function invariantsIn({ found, told }: Search): string {
  if (found === undefined) return 'nothing'
  const broken = [...told.matchAll(/\b(I\d{1,2}): /g)].map(([, invariant]) => invariant as string)
  return broken.length > 0 ? [...new Set(broken)].join(', ') : found
}

/** A table, a line a bug, and who found it. */
export function lineOf({ plant, by, expected, seconds, simulated, checked }: Hunted): string {
  const who = by === undefined ? 'NOT FOUND' : expected ? by : `${by} (by none of those who ought to)`
  const said = { simulation: simulated, 'the checkers': checked }
  const also = Object.entries(said).flatMap(([of, what]) => (what === undefined ? [] : `\n    ${of}: ${what}`))
  return `${plant.name} (${plant.file})\n    ${who}, ${seconds.toFixed(1)} s${also.join('')}`
}
