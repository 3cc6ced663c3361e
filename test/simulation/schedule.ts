/**
 * One run of a plan: its commands, then a recovery without faults, then the judgement. Each violation is a line; no line
 * means that all promises were kept.
 */
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { Disk } from '../../testing/simulated/disk.ts'
import { stopBeside } from './beside.ts'
import { judge } from './judge.ts'
import type { Plan } from './plan.ts'
import { PooledFile } from './pool.ts'
import type { ProcessSlot } from './process-slot.ts'
import { World } from './world.ts'

export interface Outcome {
  readonly violations: readonly string[]
  /** The same for the same plan, whenever and wherever it is run. */
  readonly digest: string
  readonly faults: ReadonlyMap<string, number>
  readonly deliveries: number
  readonly log: string
}

/** Simulated time in which everything must come to rest once there are no more faults. */
const restMs = 60_000
/** Seeds that the first number divides use a new file; after seeds that the second one divides the file is examined. */
const newFileEach = 10
const examineEach = 10
/** A stop gives bodies 5 s to end after the abort of their signals. */
const stopMs = 20_000

/** The run that was requested last. */
let last: Promise<unknown> = Promise.resolve()

/**
 * Runs a plan, once all runs that were requested before have ended: a rejection that nobody handles cannot be traced to
 * its run, so there must be only one.
 */
export function simulate(plan: Plan): Promise<Outcome> {
  const run = last.then(() => simulateAlone(plan))
  last = run.catch(() => {})
  return run
}

async function simulateAlone(plan: Plan): Promise<Outcome> {
  const { disk, pooled } = sharedFiles()
  const { backlog, durability } = plan.config
  // Some seeds begin with an empty file. A file that a power cut may restore must not be open elsewhere.
  const own = backlog === 'memory' || durability === 'process' || plan.seed % newFileEach === 0
  const world = new World(plan, disk, own ? undefined : pooled)
  const violations: string[] = []
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  try {
    for (const command of plan.commands) await world.do(command)
    violations.push(...(await rest(world)))
    violations.push(...judge(world))
  } catch (error) {
    violations.push(`the run itself failed: ${(error as Error)?.stack ?? error}`)
  }
  for (const slot of world.slots) world.crash(slot)
  // Node reports unhandled rejections once all promise reactions have run.
  await new Promise(setImmediate)
  process.off('unhandledRejection', note)
  if (!own) pooled.wipe()
  for (const error of world.machine.uncaught) violations.push(`nobody caught ${(error as Error)?.stack ?? error}`)
  for (const error of unhandled) violations.push(`nobody handled ${(error as Error)?.stack ?? error}`)
  const { history, faults, machine } = world
  return {
    violations,
    get digest() {
      return history.digest
    },
    faults: faults.counts,
    deliveries: machine.deliveries,
    get log() {
      return history.toString()
    },
  }
}

/** Lifts all faults, lets all jobs end, takes an inventory, and stops all queues. */
async function rest(world: World): Promise<string[]> {
  const { machine, history, slots } = world
  world.over = true
  for (const slot of slots) {
    slot.armed = []
    slot.process?.thaw()
    for (const isolates of slot.isolates) isolates.mend()
    // Its thread died twice, so its process must be restarted, as the error says.
    if (slot.queue && world.config.backlog === 'sqlite' && !slot.process?.thread) world.crash(slot)
  }
  // From now on no body waits. These end before the machine goes on: nothing may happen while it checks a condition.
  for (const { finish } of world.waitingBodies.splice(0)) finish()
  // Queues that are stopping end before another one takes their name.
  const stops = (): boolean => {
    return world.promises.every(({ what, settled }) => settled || !what.startsWith('stop'))
  }
  await machine.run(stopMs, stops)
  // Abandoned bodies keep their jobs as long as their process lives.
  for (const slot of slots) if (slot.abandons) world.crash(slot)
  // A queue whose open failed by a fault is replaced first.
  await machine.run(stopMs, () => slots.every(({ queue, opened, stopping }) => !queue || opened || stopping))
  const works = (): ProcessSlot | undefined => slots.find(({ queue, stopping, works }) => queue && !stopping && works)
  if (!works()) {
    const slot = slots.find(({ queue, beside }) => !queue && !beside) as ProcessSlot
    world.start(slot, true)
  }
  const { queue } = works() as ProcessSlot
  if (!queue) throw new Error('there is no queue')
  await machine.run(stopMs, () => works()?.opened === true)
  // Beyond every instant of the wall clock for which a job waits. Not before: a file that is opened after a reboot goes
  // by the wall clock, and would have kept nothing that ended before.
  machine.wall = world.startedWall + machine.now + 10 * 86_400_000
  const open = slots.flatMap(slot => (slot.queue && !slot.stopping ? [slot.queue] : []))
  for (const slot of slots) {
    const one = slot.queue
    if (!one || slot.stopping) continue
    one.resume({ shared: true })
    if (slot.works) one.width = Math.max(one.width, 2)
    one.clearOverrides().catch(ignored)
    one.rate = []
    one.globalWidth = Infinity
  }
  const besides = slots.flatMap(({ beside, stopping }) => (beside && !stopping ? [beside] : []))
  for (const one of besides) {
    one.clearOverrides().catch(ignored)
    one.rate = []
  }
  const quiet = (): boolean => {
    return [...open, ...besides].every(
      ({ counts }) => counts.pending + counts.delayed + counts.underway + counts.closing === 0,
    )
  }
  // By now all requests have been sent, so the counts are up to date.
  await machine.run(250)
  await machine.run(restMs, quiet)
  if (!quiet()) {
    const { asOf, ...counts } = queue.counts
    return [`it does not come to rest: ${JSON.stringify(counts)}`]
  }
  await machine.run(250)
  let counted: unknown
  const [beside] = besides
  Promise.all([history.inventory(queue), beside && history.inventory(beside)]).then(
    () => {
      counted = 'counted'
    },
    error => {
      counted = error
    },
  )
  await machine.run(5_000, () => counted !== undefined)
  if (counted !== 'counted') return [`the jobs cannot be counted: ${(counted as Error | undefined)?.stack}`]
  for (const slot of slots) if (slot.queue && !slot.stopping) await world.do({ do: 'close', who: slot.who })
  for (const slot of slots) if (!slot.queue) stopBeside(world, slot, {})
  const settled = (): boolean => {
    return world.promises.every(({ settled, life }) => settled || !alive(world, life))
  }
  await machine.run(stopMs, settled)
  const wrong = world.promises
    .filter(({ settled, life }) => !settled && alive(world, life))
    .map(({ what }) => `the promise of ${what} never settles`)
  await machine.run(100)
  if (wrong.length === 0 && machine.next !== Infinity) wrong.push('something outlives the stop of all queues')
  return [...wrong, ...examine(world)]
}

/** The queue tells of it by other means, such as a job that does not end. */
function ignored(): void {}

function alive(world: World, life: string): boolean {
  return world.slots.some(({ process, lives }) => process && lives.includes(life))
}

function examine(world: World): string[] {
  if (world.config.backlog === 'memory' || world.plan.seed % examineEach !== 0) return []
  const Database = loadSqlite()
  const db = new Database(world.path)
  const said = db.pragma('integrity_check', { simple: true })
  db.close()
  return said === 'ok' ? [] : [`integrity_check says ${said}`]
}

interface SharedFiles {
  readonly disk: Disk
  /** Used by one run after another. */
  readonly pooled: PooledFile
}
let files: SharedFiles | undefined

/** The files for all runs of this thread. */
function sharedFiles(): SharedFiles {
  if (!files) {
    const disk = new Disk()
    files = { disk, pooled: new PooledFile(disk.make()) }
    process.once('exit', clear)
  }
  return files
}
/** Removes the files of all runs. */
export function clear(): void {
  files?.pooled.close()
  files?.disk.remove()
  files = undefined
}
