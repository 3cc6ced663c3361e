/**
 * One run of a plan: its commands, then a recovery without faults, then the judgement. Each violation is a line; no line
 * means that all promises were kept.
 */
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { Disk } from '../../testing/simulated/disk.ts'
import { judge } from './judge.ts'
import type { Place } from './place.ts'
import type { Plan } from './plan.ts'
import { PooledFile } from './pool.ts'
import { World } from './world.ts'

export interface Outcome {
  readonly violations: readonly string[]
  /** The same for the same plan, whenever and wherever it is run. */
  readonly digest: string
  readonly faults: ReadonlyMap<string, number>
  readonly deliveries: number
  readonly log: string
}

/** Simulated time in which all must come to rest once nothing goes wrong any more. */
const restMs = 60_000
/** Each so many-th seed has a file of its own, and the file is examined after each so many-th. */
const ownEach = 10
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
  const { disk, pooled } = theGround()
  const { backlog, durability } = plan.config
  // Now and then from an empty file on; and what a power cut takes back must be in nobody's hands.
  const own = backlog === 'memory' || durability === 'process' || plan.seed % ownEach === 0
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
  for (const place of world.places) world.crash(place)
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

/** Lifts all faults, lets everything come to its end, counts what there is, and stops what there is. */
async function rest(world: World): Promise<string[]> {
  const { machine, history, places } = world
  world.over = true
  // Whatever instant of the wall clock a job waits for, it has passed.
  machine.wall = world.startedWall + machine.now + 10 * 86_400_000
  for (const place of places) {
    place.armed = []
    place.process?.thaw()
    // Its thread died twice: whoever runs it starts it again, as the error says.
    if (place.queue && world.config.backlog === 'sqlite' && !place.process?.thread) world.crash(place)
  }
  const finishAll = (): void => {
    for (const { finish } of world.held.splice(0)) finish()
  }
  // Queues that are stopping come to their end before another takes their place.
  const stops = (): boolean => {
    finishAll()
    return world.given.every(({ what, settled }) => settled || !what.startsWith('stop'))
  }
  await machine.run(stopMs, stops)
  // What a stop gave up is its process's as long as that lives.
  for (const place of places) if (place.abandons) world.crash(place)
  // Whose file was refused by a fault before this makes another queue.
  await machine.run(stopMs, () => places.every(({ queue, opened, stopping }) => !queue || opened || stopping))
  const works = (): Place | undefined => places.find(({ queue, stopping, works }) => queue && !stopping && works)
  if (!works()) {
    const place = places.find(({ queue }) => !queue) as Place
    world.start(place, true)
  }
  const { queue } = works() as Place
  if (!queue) throw new Error('there is no queue')
  const open = places.flatMap(place => (place.queue && !place.stopping ? [place.queue] : []))
  for (const place of places) {
    const one = place.queue
    if (!one || place.stopping) continue
    one.resume({ shared: true })
    if (place.works) one.width = Math.max(one.width, 2)
    one.rate = []
  }
  const quiet = (): boolean => {
    finishAll()
    return open.every(({ counts }) => counts.pending + counts.delayed + counts.underway + counts.closing === 0)
  }
  // What is asked of it is asked by now, and what it says is what there is.
  await machine.run(250)
  await machine.run(restMs, quiet)
  if (!quiet()) {
    const { asOf, ...counts } = queue.counts
    return [`it does not come to rest: ${JSON.stringify(counts)}`]
  }
  await machine.run(250)
  let counted: unknown
  history.inventory(queue).then(
    () => {
      counted = 'counted'
    },
    error => {
      counted = error
    },
  )
  await machine.run(5_000, () => counted !== undefined)
  if (counted !== 'counted') return [`the jobs cannot be counted: ${(counted as Error | undefined)?.stack}`]
  for (const place of places) if (place.queue && !place.stopping) await world.do({ do: 'close', who: place.who })
  const settled = (): boolean => {
    finishAll()
    return world.given.every(({ settled, life }) => settled || !alive(world, life))
  }
  await machine.run(stopMs, settled)
  const wrong = world.given
    .filter(({ settled, life }) => !settled && alive(world, life))
    .map(({ what }) => `the promise of ${what} never settles`)
  await machine.run(100)
  if (wrong.length === 0 && machine.next !== Infinity) wrong.push('something outlives the stop of all queues')
  return [...wrong, ...examine(world)]
}

function alive(world: World, life: string): boolean {
  return world.places.some(({ process, lives }) => process && lives.includes(life))
}

function examine(world: World): string[] {
  if (world.config.backlog === 'memory' || world.plan.seed % examineEach !== 0) return []
  const Database = loadSqlite()
  const db = new Database(world.path)
  const said = db.pragma('integrity_check', { simple: true })
  db.close()
  return said === 'ok' ? [] : [`integrity_check says ${said}`]
}

interface Ground {
  readonly disk: Disk
  /** Used by one run after the other. */
  readonly pooled: PooledFile
}
let ground: Ground | undefined

/** One for all runs of this thread. */
function theGround(): Ground {
  if (!ground) {
    const disk = new Disk()
    ground = { disk, pooled: new PooledFile(disk.make()) }
    process.once('exit', clear)
  }
  return ground
}
/** Nothing of all runs is left. */
export function clear(): void {
  ground?.pooled.close()
  ground?.disk.remove()
  ground = undefined
}
