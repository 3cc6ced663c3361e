/**
 * Simulated processes run jobs of which some kill them. Each dead process is started again, until all jobs have ended.
 * Time, threads and processes are simulated; the rest is real.
 */
import type { ExecutionContext } from 'ava'
import { DispatchQueue, type Job, type Task } from '../../lib/index.ts'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { check, type Entry, History } from '../../testing/index.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import { Disk } from '../../testing/simulated/disk.ts'
import { Machine } from '../../testing/simulated/machine.ts'
import { SimulatedProcess } from '../../testing/simulated/process.ts'

export interface PoisonScenario {
  /** How many innocent jobs there are, besides those that kill. */
  readonly jobs: number
  readonly width: number
  /** Processes that work at a time; 1. */
  readonly workers?: number
  readonly crashLimit?: number
  /** How long an innocent job takes, by its number; 20 ms. */
  readonly ms?: (job: number) => number
  /** After how long each job that kills does so: 0 is at its first line. One such job, at once, by default. */
  readonly kills?: readonly number[]
  /** How often such a job kills; always. */
  readonly times?: number
  /** A process dies by itself so long after its start, as often as this says. */
  readonly dies?: { readonly afterMs: number; readonly times: number }
  readonly afterCrash?: 'again' | 'fail'
  /** Names of further queues of each process, with as many innocent jobs. */
  readonly beside?: readonly string[]
  /** Stops when all innocent jobs have ended, for those that kill never do. */
  readonly endless?: boolean
  readonly withinMs?: number
  readonly seed?: number
}

export interface PoisonResult {
  /** The ids of those that finished, and that failed with PoisonError. */
  readonly finished: readonly string[]
  readonly condemned: readonly string[]
  readonly deaths: number
  /** How many crashes each condemned job counts. */
  readonly crashes: readonly number[]
  readonly entries: readonly Entry[]
  readonly ms: number
}

const restartMs = 5

export async function simulatePoison(of: PoisonScenario): Promise<PoisonResult> {
  const { jobs, width, workers = 1, crashLimit = 3, ms = () => 20, kills = [0], times = Infinity } = of
  const { afterCrash = 'again', beside = [], dies, endless = false, withinMs = 3_600_000, seed = 1 } = of
  const disk = new Disk()
  try {
    const machine = new Machine(new Chance(seed))
    machine.library = loadSqlite
    const path = disk.make()
    const history = new History({ clock: { now: () => machine.now, wall: () => machine.wall } as never })
    const killed = new Map<string, number>()
    let deaths = 0
    let starts = 0
    let over = false

    const start = (): void => {
      const process = new SimulatedProcess(machine, `p${++starts}`, () => {})
      const { clock, name } = process
      const die = (): void => {
        if (process.dead || over) return
        deaths++
        process.kill()
        history.crash(name)
        // Somebody else's loop starts the next.
        nurse.clock.at(nurse.clock.now() + restartMs, start)
      }
      const body = async (payload: number, task: Task): Promise<void> => {
        const sleep = (forMs: number): Promise<void> => new Promise(go => void clock.at(clock.now() + forMs, go))
        if (payload >= 0) return sleep(ms(payload))
        const count = killed.get(task.id) ?? 0
        const afterMs = kills[-payload - 1] as number
        if (afterMs > 0) await sleep(afterMs)
        if (count >= times) return
        killed.set(task.id, count + 1)
        die()
        await new Promise(() => {})
      }
      for (const queueName of ['q', ...beside]) {
        history.watch(
          record =>
            new DispatchQueue<number, void>(record(body), {
              ...{ name: queueName, backlog: process.backlog(path), clock, width, crashLimit, afterCrash },
              keep: { finished: '1d', failed: '1d' },
            }),
          { process: name, crashLimit, afterCrash },
        )
      }
      if (dies && starts <= dies.times) clock.at(clock.now() + dies.afterMs, die)
    }

    const nurse = new SimulatedProcess(machine, 'nurse', () => {})
    const lookers: DispatchQueue<number, void>[] = []
    for (const queueName of ['q', ...beside]) {
      const options = { name: queueName, backlog: nurse.backlog(path), clock: nurse.clock }
      const putter = history.watch(() => new DispatchQueue<number, void>(null, options), { process: 'nurse' })
      const payloads = Array.from({ length: jobs }, (_, i) => i)
      // In the middle of the first that are claimed.
      if (queueName === 'q') payloads.splice(Math.min(jobs, width) >> 1, 0, ...kills.map((_, i) => -1 - i))
      lookers.push(putter)
      let stored = false
      const id = (payload: number): string => (payload < 0 ? `poison ${-payload}` : `${queueName} ${payload}`)
      void putter
        .putMany(payloads, payload => ({ id: id(payload) }))
        .then(() => {
          stored = true
        })
      await machine.run(1_000, () => stored)
    }
    const startedAt = machine.now
    for (let i = 0; i < workers; i++) start()
    const wanted = lookers.length * jobs + (endless ? 0 : kills.length)
    const ended = (): number => lookers.reduce((sum, { counts }) => sum + counts.finished + counts.failed, 0)
    await machine.run(withinMs, () => ended() >= wanted)
    over = true
    const took = machine.now - startedAt
    const found: Job<number, void>[] = []
    let requested = 0
    for (const looker of lookers) {
      for (const state of ['finished', 'failed'] as const) {
        requested++
        void looker.jobs({ state, limit: 10_000 }).then(some => {
          found.push(...some)
          requested--
        })
      }
    }
    await machine.run(10_000, () => requested === 0)
    const condemned = new Map<string, number>()
    for (const { id, state, crashes } of found) if (state === 'failed') condemned.set(id, crashes)
    const finished = found.filter(({ state }) => state === 'finished').map(({ id }) => id)
    for (const error of machine.uncaught) throw error
    return {
      ...{ finished, condemned: [...condemned.keys()].sort(), crashes: [...condemned.values()], deaths },
      ...{ entries: history.entries, ms: took },
    }
  } finally {
    disk.remove()
  }
}

/** Runs the scenario and checks its promises: each innocent job finishes once, and every condemned job is a killer. */
export async function survivesPoison(t: ExecutionContext, of: PoisonScenario): Promise<PoisonResult> {
  const after = await simulatePoison(of)
  const { kills = [0], jobs, beside = [], endless = false, times = Infinity } = of
  const killers = kills.map((_, i) => `poison ${i + 1}`)
  const innocent = ['q', ...beside].flatMap(name => Array.from({ length: jobs }, (_, i) => `${name} ${i}`))
  t.deepEqual(
    after.finished.filter(id => !killers.includes(id)).sort(),
    innocent.sort(),
    `of ${innocent.length} innocent jobs ${after.finished.length} finished in ${after.ms} ms, ${after.deaths} deaths`,
  )
  if (!endless && times === Infinity) t.deepEqual(after.condemned, killers)
  const report = check(after.entries, { except: ['I6', 'I7', 'I8'], slackMs: 1_000 })
  t.deepEqual(
    report.violations.map(({ invariant, message }) => `${invariant}: ${message}`),
    [],
  )
  return after
}
