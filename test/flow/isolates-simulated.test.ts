/** Isolates that die, hang and cannot load, in simulated time and by chance: what holds whatever happens. */
import { type Job, PoisonError } from '../../lib/index.ts'
import { VirtualClock } from '../../testing/index.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import { DispatchQueue, durable, test } from '../support/backlog-under-test.ts'
import { type SimulatedIsolate, SimulatedIsolates } from '../support/simulated-isolates.ts'

interface Order {
  readonly kind: 'plain' | 'steps' | 'poison' | 'hang'
  readonly ms: number
}

interface Plan {
  readonly seed: number
  readonly jobs: number
  readonly poisons: number
  readonly hangs?: number
  readonly width: number
  readonly count: number
  readonly kind?: 'thread' | 'process'
  /** Chance of commands, kills and failed loads. */
  readonly isCalm?: boolean
  readonly ms?: (chance: Chance) => number
}

/** The window of the rate. */
const perMs = 50

async function simulate(plan: Plan) {
  const { seed, jobs, poisons, hangs = 0, width, count, kind = 'process', isCalm = false } = plan
  const chance = new Chance(seed)
  const clock = new VirtualClock({ seed })
  const problems: string[] = []
  const starts: number[] = []
  const crashesOf = new Map<string, number>()
  let crashed = 0
  let mostWidth = width
  let queue: DispatchQueue<Order, string>
  const starting = (job: string, crashes: number, isolate: SimulatedIsolate): void => {
    starts.push(clock.now())
    crashesOf.set(job, crashes)
    isolate.jobs++
    const suspects = [...isolate.running].filter(other => (crashesOf.get(other) ?? 0) > 0).length
    if (crashes > 0 && suspects > 0) problems.push(`${job} runs beside a suspect`)
    if (crashes >= 2 && isolate.jobs > 1) problems.push(`${job} runs in an isolate that others have had`)
    if (isolate.jobs > 1 && [...isolate.running].some(other => (crashesOf.get(other) ?? 0) >= 2)) {
      problems.push(`${job} runs beside one that must run alone`)
    }
    isolate.running.add(job)
    const { bodies } = isolates
    if (bodies > mostWidth) problems.push(`${bodies} bodies at width ${mostWidth}`)
    if (isolate.running.size > mostWidth) problems.push('all in one isolate')
  }
  const isolates = new SimulatedIsolates(clock, chance, async ({ kind, ms }: Order, task, isolate) => {
    starting(task.id, task.crashes, isolate)
    try {
      if (kind === 'steps') for (let left = ms; left > 0; left -= 5) await isolate.sleep(5)
      else await isolate.sleep(ms)
      if (kind === 'poison') {
        crashed++
        isolate.die()
        await new Promise(() => {})
      }
      while (kind === 'hang') await isolate.sleep(1_000)
      return task.id
    } finally {
      isolate.running.delete(task.id)
    }
  })
  if (!isCalm && chance.once(3)) isolates.refusals = 1 + chance.below(3)
  if (!isCalm && chance.once(3)) isolates.haltMs = () => (chance.once(4) ? chance.below(perMs - 10) : 0)
  const limit = chance.once(2) ? 1 + chance.below(20) : undefined
  queue = new DispatchQueue<Order, string>(isolates.handler as never, {
    ...{ name: 'q', clock, width, isolate: { kind, count, grace: 500, idle: '2s' } },
    ...(limit !== undefined && !isCalm && { rate: { limit, per: perMs } }),
    keep: { finished: '1d', failed: '1d', cancelled: '1d' },
  })
  queue.on('failed', () => {})
  const deaths: unknown[] = []
  queue.on('error', error => {
    if ((error as { code?: unknown }).code === 'ISOLATE_ENDED') deaths.push(error)
  })
  const handedIn: Job<Order, string>[] = []
  const ms = plan.ms ?? ((chance: Chance) => 1 + chance.below(60))
  const orders = Array.from(
    { length: jobs },
    (): Order => ({ kind: chance.once(3) ? 'steps' : 'plain', ms: ms(chance) }),
  )
  for (let i = 0; i < poisons; i++) orders.splice(chance.below(jobs), 0, { kind: 'poison', ms: chance.below(40) })
  for (let i = 0; i < hangs; i++) orders.splice(chance.below(jobs), 0, { kind: 'hang', ms: 5 })
  const put = queue.putMany(orders, order => (order.kind === 'hang' ? { timeout: 100 } : {}))
  void put.then(all => handedIn.push(...all))
  // One that is killed by hand counts a crash for each job in it. Together with that of a poison they must not be three.
  let kills = 1
  let killed = 0
  for (let turn = 0; turn < 4_000; turn++) {
    await clock.advance(5 + chance.below(20))
    if (handedIn.length > 0 && handedIn.every(({ state }) => ['finished', 'failed', 'cancelled'].includes(state))) break
    if (isCalm || !chance.once(12)) continue
    const command = chance.below(6)
    if (command === 0) void queue.pause()
    if (command === 1 || queue.paused) queue.resume()
    if (command === 2) {
      queue.width = 1 + chance.below(width)
      mostWidth = width
    }
    if (command === 3) queue.isolateCount = 1 + chance.below(4)
    if (command === 4 && isolates.living.length > 0 && kills-- > 0) {
      killed++
      chance.pick(isolates.living).die()
    }
    if (command === 5) queue.width = width
  }
  const stopped = queue.stop({ cancelUnderway: true })
  await clock.advance(20_000)
  await stopped
  if (isolates.living.length > 0) problems.push('an isolate is left')
  if (deaths.length > crashed + killed) problems.push(`${deaths.length} crashes, and ${crashed + killed} were caused`)
  if (limit !== undefined && !isCalm) {
    for (let i = limit; i < starts.length; i++) {
      const spanMs = (starts[i] as number) - (starts[i - limit] as number)
      if (spanMs < perMs) problems.push(`${limit + 1} starts within ${spanMs} ms`)
    }
  }
  for (const job of handedIn) {
    const { kind } = job.payload
    const wanted = kind === 'poison' || kind === 'hang' ? 'failed' : 'finished'
    if (job.state !== wanted) problems.push(`${kind} ${job.id} is ${job.state}: ${job.error}`)
    if (kind === 'poison' && !(job.error instanceof PoisonError)) problems.push(`a poison failed with ${job.error}`)
    if (kind === 'hang' && (job.error as { code?: unknown })?.code !== 'TIMEOUT')
      problems.push(`a hang failed with ${job.error}`)
    if (job.attempt > 1) problems.push(`${kind} ${job.id} had ${job.attempt} attempts`)
  }
  return { problems, deaths: deaths.length, crashed, isolates: isolates.all.length, ran: handedIn.length }
}

for (const kind of ['process', 'thread'] as const) {
  test(`${kind}: a job that ends its isolate among very many at width 100 on two costs three isolates, and condemns nobody else`, async t => {
    // The naive store looks at all jobs in each claim.
    const jobs = durable() ? 200 : 1_000
    const { problems, deaths, crashed, ran } = await simulate({
      ...{ seed: 7, jobs: jobs - 1, poisons: 1, width: 100, count: 2, kind, isCalm: true },
      ms: chance => 5 + chance.below(20),
    })

    t.deepEqual(problems, [])
    t.deepEqual([ran, deaths, crashed], [jobs, 3, 3])
  })
}

for (const kind of ['process', 'thread'] as const) {
  test(`${kind}: whatever dies, hangs, is changed or cannot be loaded, each job ends as it should, within all limits`, async t => {
    const seeds = Number(process.env.RDQ_SEEDS ?? (durable() ? 10 : 40))
    for (let seed = 1; seed <= seeds; seed++) {
      const chance = new Chance(seed * 7_919)
      // A thread on a backlog that outlives the process waits with its last try until nothing else runs.
      const poisons = durable() && kind === 'thread' ? chance.below(2) : chance.below(3)
      const plan = { seed, jobs: 20 + chance.below(60), poisons, hangs: chance.below(3), kind }
      const { problems } = await simulate({ ...plan, width: 1 + chance.below(20), count: 1 + chance.below(4) })
      t.deepEqual(problems, [], `seed ${seed}`)
    }
  })
}
