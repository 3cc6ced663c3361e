/** Looks for planted bugs: each is planted by itself, and its finders run, then all other tests. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suitesIn } from '../support/repository.ts'
import type { Plant } from './plant.ts'
import { PlantedCopy, type Search } from './planted-copy.ts'

/** Which test found one bug, if any did. */
export interface PlantResult {
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

export interface FindOptions {
  /** Schedules of the simulation that are tried on each bug; 0 asks none. */
  readonly schedules: number
  readonly seed: number
  /** Whether the checkers are asked too, by histories of random commands. */
  readonly checkers: boolean
  /** Whether all finders are first seen to pass without a bug: one that fails anyway finds nothing. */
  readonly healthy: boolean
  /** Whether all other tests are asked where the finders have found nothing. */
  readonly wider: boolean
  readonly tried?: (tried: PlantResult) => void
}

/** A finder that has not ended by then hangs, which is a find too. */
const finderMostMs = 90_000
const widerMostMs = 400_000
const healthyMostMs = 600_000
const simulatedMostMs = 120_000

/** Tests whose histories are judged by the checkers. */
const judged = ['flow/invariants', 'flow/differential']

/** What can be asked besides the finders. What looks at the tree itself, or plants bugs, is none of them. */
const others = /^(?:isolate|lib|persistence|flow(?!\/deliver)|crash|limit|simulation|testing)\//

/**
 * Resolves with what became of each, in their order. Rejects where a test fails without a bug, because then nothing is
 * proven.
 */
export async function findPlants(plants: readonly Plant[], options: FindOptions): Promise<readonly PlantResult[]> {
  const { schedules, seed, checkers, healthy, wider, tried } = options
  const copy = new PlantedCopy()
  try {
    const simulates = schedules > 0 && existsSync(join(copy.folder, 'build/test/simulation/run.js'))
    const simulate = ['build/test/simulation/run.js', '--schedules', String(schedules), '--seed', String(seed)]
    await copy.heal()
    if (healthy) {
      const finders = [...new Set(plants.flatMap(plant => plant.finders))]
      const { found, output } = await copy.search(finders, healthyMostMs)
      if (found !== undefined) throw new Error(`without any bug, this fails: ${found}\n${lastOf(output)}`)
      const before = simulates ? await copy.send(simulate, simulatedMostMs) : undefined
      if (before?.found !== undefined)
        throw new Error(`without any bug, the simulation fails:\n${lastOf(before.output)}`)
    }
    const all: PlantResult[] = []
    for (const plant of plants) {
      await copy.plant(plant)
      const one = await findOne(copy, plant, wider)
      const simulated = simulates ? invariantsIn(await copy.send(simulate, simulatedMostMs)) : undefined
      const checked = checkers ? invariantsIn(await copy.search(judged, simulatedMostMs, true)) : undefined
      all.push({ ...one, simulated, checked })
      tried?.(all.at(-1) as PlantResult)
    }
    return all
  } finally {
    copy.remove()
  }
}

async function findOne(
  copy: PlantedCopy,
  plant: Plant,
  wider: boolean,
): Promise<Omit<PlantResult, 'simulated' | 'checked'>> {
  let seconds = 0
  for (const finder of plant.finders) {
    const search = await copy.search([finder], finderMostMs)
    seconds += search.seconds
    if (search.found !== undefined) return { plant, by: search.found, expected: true, seconds }
  }
  if (!wider) return { plant, by: undefined, expected: false, seconds }
  const rest = testFiles().filter(file => !plant.finders.includes(file))
  const search = await copy.search(rest, widerMostMs)
  return { plant, by: search.found, expected: false, seconds: seconds + search.seconds }
}

/** All that can be asked, named as finders are. */
export function testFiles(): string[] {
  return suitesIn().filter(name => others.test(name))
}

function lastOf(output: string): string {
  return output.trimEnd().split('\n').slice(-40).join('\n')
}

/** The invariants that were broken, where it says so; else what it says, or that it found nothing. */
function invariantsIn({ found, output }: Search): string {
  if (found === undefined) return 'nothing'
  const broken = [...output.matchAll(/\b(I\d{1,2}): /g)].map(([, invariant]) => invariant as string)
  return broken.length > 0 ? [...new Set(broken)].join(', ') : found
}

/** A table, a line a bug, and who found it. */
export function lineOf({ plant, by, expected, seconds, simulated, checked }: PlantResult): string {
  const who = by === undefined ? 'NOT FOUND' : expected ? by : `${by} (by none of those who ought to)`
  const said = { simulation: simulated, 'the checkers': checked }
  const also = Object.entries(said).flatMap(([of, what]) => (what === undefined ? [] : `\n    ${of}: ${what}`))
  return `${plant.name} (${plant.file})\n    ${who}, ${seconds.toFixed(1)} s${also.join('')}`
}
