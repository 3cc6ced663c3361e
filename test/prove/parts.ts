/** What a proof consists of: programs that each try to break a promise, and what each has to say of how hard it tried. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { builtSuite, root, suitesIn } from '../support/repository.ts'

/** How much of each is tried. One seed governs all. */
export interface Amount {
  readonly schedules: number
  readonly kills: number
  /** Command lists for the model, and a tenth as many for both backlogs. */
  readonly runs: number
  readonly minutes: number
  /** So many planted bugs, from one that the seed chooses on; Infinity is all. */
  readonly plants: number
  readonly seed: number
}

export interface Part {
  readonly name: string
  /** What is run, by this Node. */
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly limitMs: number
  /** Lines that belong in the report; the others only where it fails. */
  readonly figures: RegExp
  /** Of a test run: titles are counted. */
  readonly tap?: true
}

const hourMs = 3_600_000
const ava = join(root, 'node_modules/ava/entrypoints/cli.mjs')

/** The compiled form of test files, by their beginnings. */
function built(...beginnings: readonly string[]): string[] {
  return suitesIn()
    .filter(name => beginnings.some(beginning => name.startsWith(beginning)))
    .map(builtSuite)
}
function tests(name: string, files: readonly string[], figures: RegExp, env: NodeJS.ProcessEnv = {}): Part {
  // Where much is tried, nothing is heard for long.
  return { name, args: [ava, '--tap', '--timeout=4h', ...files], env, limitMs: 4 * hourMs, figures, tap: true }
}
const program = (name: string, path: string, options: Readonly<Record<string, number>>, figures: RegExp): Part => ({
  name,
  args: [
    join(root, 'build/test', path),
    ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, `${value}`]),
  ],
  limitMs: 12 * hourMs,
  figures,
})

/** The points at which a process is killed one by one, and the other faults of processes, files and disks. */
const points = [
  'crash/points',
  'crash/blame',
  'crash/poison',
  'flow/poison',
  'crash/within',
  'crash/recovery',
  'crash/signals',
  'crash/shared',
  'crash/noticed',
  'crash/rate',
  'crash/disk',
]

export function partsOf({ schedules, kills, runs, minutes, plants, seed }: Amount): readonly Part[] {
  const half = Math.ceil(kills / 2)
  const storm = program('processes killed at random', 'crash/run.js', { kills: half, seed }, /./)
  const mixed = program(
    'the same, doing all that queues do',
    'crash/run.js',
    { kills: kills - half, seed: seed + 1 },
    /./,
  )
  const planted = program('planted bugs', 'planted/run.js', { most: plants, seed }, /./)
  const limit = program(
    'the limit, in real time',
    'limit/run.js',
    { rounds: Math.max(1, Math.ceil(minutes)), seed },
    /./,
  )
  const soak = program('soak', 'soak/run.js', { minutes, seed }, /jobs in|GROWN|WRONG|back where/)
  const simulation = join('simulation', 'run.js')
  return [
    tests('the checkers, on right and wrong histories', built('testing/'), /^$/),
    ...(existsSync(join(root, 'build/test', simulation))
      ? [program('simulated schedules', simulation, { schedules, seed }, /./)]
      : []),
    tests('any commands, against a model', built('flow/invariants'), /launched/, {
      INVARIANT_RUNS: String(runs),
      INVARIANT_SEED: String(seed),
    }),
    tests('any commands, memory against SQLite', built('flow/differential'), /seed|launched|entries/, {
      DIFFERENTIAL_RUNS: String(Math.ceil(runs / 10)),
      DIFFERENTIAL_SEED: String(seed),
    }),
    tests('anything handed over, beside innocent jobs', built('flow/fuzz'), /^$/, {
      FUZZ_RUNS: String(Math.ceil(runs / 100)),
      FUZZ_SEED: String(seed),
    }),
    ...(half > 0 ? [storm] : []),
    ...(kills > half ? [{ ...mixed, args: [...mixed.args, '--mixed'] }] : []),
    tests('processes killed at each point', built(...points), /statements tried/),
    ...(minutes > 0 ? [limit] : []),
    ...(plants > 0 ? [planted] : []),
    ...(minutes > 0 ? [soak] : []),
  ]
}
