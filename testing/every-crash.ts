/**
 * Runs a user's program again and again, with a crash at each point of its transactions on the file: between any two of
 * them, and between a commit and its reply, which is easily forgotten.
 *
 * Everything in rdq is real, down to the file. Time, threads and processes are simulated, so that a run takes
 * milliseconds and a crash can be repeated at the same point.
 */
import type { Backlog } from '../lib/backlog.ts'
import type { Clock } from '../lib/clock.ts'
import { OptionError } from '../lib/errors.ts'
import { type Duration, durationMs } from '../lib/parse/duration.ts'
import { Chance } from './simulated/chance.ts'
import { Disk } from './simulated/disk.ts'
import { Machine } from './simulated/machine.ts'
import { SimulatedProcess } from './simulated/process.ts'
import type { Point, Points } from './simulated/thread.ts'

/** The objects that the program uses in place of its own. */
export interface CrashingProcess<Outside = undefined> {
  /** Replaces its SqliteBacklog. Each process has one of its own, all on the same file. */
  readonly backlog: Backlog
  /** For its queues, and for everything in it that waits: nothing here takes real time. */
  readonly clock: Clock
  /** State that outlives a process: the result of `outside` for this run. */
  readonly outside: Outside
  /** The real path of the file, for handles of its own (`putWithin`). */
  readonly path: string
  /** 1 for the first process, 2 for the one that is started after the crash. */
  readonly start: number
}

/** A process, from its start to its end. It ends when this resolves: queues that it did not stop die with it. */
export type CrashScenario<Outside = undefined> = (process: CrashingProcess<Outside>) => Promise<unknown>

export interface EveryCrashOptions<Outside = undefined> {
  /** Creates whatever is outside of the processes (a gateway, a mailbox), again for each run; by default undefined. */
  readonly outside?: (() => Outside) | undefined
  /**
   * Called at the end of each run; an error that it throws is that run's failure. By default only the end of the
   * scenario is checked.
   */
  readonly judge?: ((outside: Outside) => unknown) | undefined
  /**
   * How much simulated time a process may take; `'1d'`. A process that takes longer waits for something that is not
   * simulated.
   */
  readonly within?: Duration | undefined
  /** Runs only this point, by name, to examine a failure there. */
  readonly only?: string | undefined
}

export interface CrashFailure {
  /** Where the process died. */
  readonly point: string
  /** The error of `judge`, or of the process that was started after the crash. */
  readonly error: unknown
}

export interface EveryCrashReport {
  /** All points at which a process was killed, one per run, in order. */
  readonly points: readonly string[]
  readonly failures: readonly CrashFailure[]
}

/** The most transactions at which a crash is tried, because a scenario should be small. */
const maxTransactions = 10_000

const names: Readonly<Partial<Record<Point, string>>> = {
  received: 'before it is executed',
  committed: 'after its commit, before its reply',
  answered: 'after its reply',
}

/**
 * Runs `scenario` once without a crash, and then once for each point of each transaction on the file: it is killed
 * there, and restarted as a new process. Resolves with the points and the failures.
 *
 * Rejects with OptionError, with the error of the scenario or of `judge` in the run without a crash, and like
 * SqliteBacklog if better-sqlite3 is missing.
 */
export async function everyCrash<Outside = undefined>(
  scenario: CrashScenario<Outside>,
  options: EveryCrashOptions<Outside> = {},
): Promise<EveryCrashReport> {
  for (const name of Object.keys(options)) {
    if (!['outside', 'judge', 'within', 'only'].includes(name)) {
      throw new OptionError(name, options, 'is no option of everyCrash; outside, judge, within and only are')
    }
  }
  const { within = '1d', only } = options
  const withinMs = durationMs('within', within, 'more')
  const disk = new Disk()
  try {
    const points: string[] = []
    const failures: CrashFailure[] = []
    await run(disk, scenario, options, withinMs, (name, transaction) => {
      if (transaction > maxTransactions) {
        throw new OptionError(
          'scenario',
          scenario,
          `has more than ${maxTransactions} transactions; let it put fewer jobs`,
        )
      }
      if (!points.includes(name)) points.push(name)
      return false
    })
    const chosen = only === undefined ? points : points.filter(name => name === only)
    if (only !== undefined && chosen.length === 0) {
      throw new OptionError('only', only, `must be the name of a point, as '${points[0]}'; got '${only}'`)
    }
    for (const point of chosen) {
      try {
        const reached = await run(disk, scenario, options, withinMs, name => name === point)
        if (!reached) {
          throw new Error('repeated')
        }
      } catch (error) {
        failures.push({ point, error })
      }
    }
    return { points: chosen, failures }
  } finally {
    disk.remove()
  }
}

/** One run, from an empty file to its judgement. Returns whether a process died on the way. */
async function run<Outside>(
  disk: Disk,
  scenario: CrashScenario<Outside>,
  { outside: make, judge }: EveryCrashOptions<Outside>,
  withinMs: number,
  dies: (point: string, transaction: number) => boolean,
): Promise<boolean> {
  const machine = new Machine(new Chance(1))
  const path = disk.make()
  const outside = make?.() as Outside
  let died = false
  const points: Points = (thread, point, transaction, doing) => {
    const what = names[point]
    if (what === undefined || died || !dies(`transaction ${transaction} (${doing}), ${what}`, transaction)) return
    died = true
    thread.process.kill()
  }
  for (let start = 1; start <= 2; start++) {
    const process = new SimulatedProcess(machine, `process ${start}`, points)
    const { clock } = process
    const end: { how?: 'ended' | 'threw'; error?: unknown } = {}
    const parts = { backlog: process.backlog(path), clock, outside, path, start }
    const began = machine.now
    process.loop.send({
      at: machine.now,
      deliver: () =>
        void (async () => scenario(parts))().then(
          () => {
            end.how = 'ended'
          },
          error => {
            end.how = 'threw'
            end.error = error
          },
        ),
    })
    await machine.run(withinMs, () => process.dead || end.how !== undefined || machine.uncaught.length > 0)
    const crashed = process.dead
    process.kill()
    if (machine.uncaught.length > 0) throw machine.uncaught[0]
    if (crashed) continue
    if (end.how === 'threw') throw end.error
    if (end.how === undefined) {
      throw new Error(
        `${process.name} did not end within ${machine.now - began} ms of simulated time: does it wait for what is neither its queues nor its clock?`,
      )
    }
    break
  }
  await judge?.(outside)
  return died
}
