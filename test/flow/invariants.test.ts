/**
 * Whatever is asked of a queue in whatever order, its invariants hold: random commands against a model of a dozen lines.
 *
 * The model never decides what the queue should do next. It knows what was asked and hears what came of it, and judges
 * each start, and after each command the whole. `INVARIANT_RUNS` and `INVARIANT_SEED` change how much and which is tried;
 * what fails prints its seed and its shortest command list.
 */
import test from 'ava'
import fc from 'fast-check'
import {
  DispatchQueue,
  type Job,
  JobStateError,
  JobUnknownError,
  QueueStoppedError,
  type Task,
} from '../../lib/index.ts'
import { assertHolds, History, invariants, scripted, VirtualClock } from '../../testing/index.ts'

type Command =
  | {
      readonly do: 'put'
      readonly priority: number
      readonly delay: number
      readonly key: number
      readonly many: number
    }
  | { readonly do: 'cancel' | 'retry' | 'remove'; readonly which: number }
  | { readonly do: 'reprioritize'; readonly which: number; readonly priority: number }
  | { readonly do: 'settle'; readonly which: number; readonly how: 'ok' | 'error' }
  | { readonly do: 'width'; readonly width: number }
  | { readonly do: 'rate'; readonly limit: number; readonly per: number }
  | { readonly do: 'pause' | 'resume' | 'idle' | 'clear' }
  | { readonly do: 'advance'; readonly ms: number }

const which = fc.nat(1_000)
const priority = fc.integer({ min: -1, max: 1 })
const pauses = ['pause', 'resume', 'resume', 'resume'] as const
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      priority,
      delay: fc.constantFrom(0, 0, 0, 30, 200),
      key: fc.nat(2),
      many: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({ do: fc.constant('settle' as const), which, how: fc.constantFrom('ok', 'error', 'error') }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(120) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('cancel', 'retry', 'retry', 'remove'), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reprioritize' as const), which, priority }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('width' as const), width: fc.constantFrom(0, 1, 2, 3, 4, 5) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('rate' as const), limit: fc.nat(3), per: fc.constantFrom(20, 50, 200) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom(...pauses, ...pauses, 'idle', 'clear') }) },
)

/** What the model knows of a job. */
interface Known {
  readonly job: Job<number, string>
  readonly seq: number
  priority: number
  /** Waiting to start, not before `dueAt`; underway; or ended, or gone. */
  state: 'waiting' | 'underway' | 'over' | 'removed'
  dueAt: number
  attempts: number
}

const backoffMs = 25

class World {
  readonly clock = new VirtualClock()
  readonly history = new History({ clock: this.clock })
  readonly handler = scripted<number, string>()
  readonly queue: DispatchQueue<number, string>
  readonly known = new Map<number, Known>()
  readonly promises: Promise<unknown>[] = []
  /** Starts that the rate in force still knows of. */
  starts: number[] = []
  launched = 0
  #rule: { limit: number; per: number } | undefined
  #serial = 0
  /** By which delay, and with which priority, a job was put or comes back that has not been heard of since. */
  readonly #delays = new Map<number, number>()
  readonly #priorities = new Map<number, number>()

  constructor() {
    const { clock } = this
    const retry = { attempts: 2, delay: backoffMs, jitter: false, factor: 1 }
    const body = (n: number, task: Task): Promise<string> => {
      this.#judgeStart(n, task.attempt)
      return this.handler(n, task)
    }
    this.queue = this.history.watch(record => new DispatchQueue(record(body), { clock, width: 2, retry }), { retry })
    const { queue } = this
    queue.on('failed', () => {})
    queue.on('pending', job => this.#waits(job))
    queue.on('delayed', job => this.#waits(job))
    queue.on('retry', job => this.#delays.set(job.payload, backoffMs))
    queue.on('settled', job => {
      const known = this.known.get(job.payload) as Known
      this.#sure(known.state !== 'over', `job ${job.payload} ended twice`)
      known.state = 'over'
    })
    queue.on('error', error => this.#broken(`an error event: ${String(error)}`))
  }
  #broken(what: string): void {
    this.broken ??= `${what} (at ${this.clock.now()} ms)`
  }
  broken: string | undefined
  #sure(holds: boolean, what: string): void {
    if (!holds) this.#broken(what)
  }
  #waits(job: Job<number, string>): void {
    let known = this.known.get(job.payload)
    if (!known) {
      const seq = this.#serial++
      const priority = this.#priorities.get(job.payload) ?? 0
      this.known.set(job.payload, (known = { job, seq, priority, state: 'waiting', dueAt: 0, attempts: 0 }))
      this.promises.push(job.result)
    } else if (known.state === 'over') known.attempts = 0
    known.state = 'waiting'
    known.dueAt = this.clock.now() + (this.#delays.get(job.payload) ?? 0)
    this.#delays.delete(job.payload)
  }

  /** Each start by itself: width, pause, order, not early, attempts, rate. */
  #judgeStart(n: number, attempt: number): void {
    const { queue, clock, handler } = this
    const now = clock.now()
    const known = this.known.get(n) as Known
    this.launched++
    this.#sure(!queue.paused && !queue.stopped, `job ${n} started in a paused or stopped queue`)
    this.#sure(handler.underway.length < queue.width, `job ${n} started above the width of ${queue.width}`)
    this.#sure(known.state === 'waiting', `job ${n} started while ${known.state}`)
    this.#sure(known.dueAt <= now, `job ${n} started before ${known.dueAt}`)
    this.#sure(attempt === known.attempts + 1, `job ${n} started with attempt ${attempt} after ${known.attempts}`)
    for (const other of this.known.values()) {
      if (other.state !== 'waiting' || other.dueAt > now || other === known) continue
      const before = other.priority - known.priority || other.seq - known.seq
      this.#sure(before > 0, `job ${n} started before ${other.job.payload}, which was due and comes first`)
    }
    known.state = 'underway'
    known.attempts++
    this.#sure(this.#rateAllows(now), `job ${n} started above the rate`)
    this.starts.push(now)
  }
  #rateAllows(now: number): boolean {
    const rule = this.#rule
    return !rule || this.starts.filter(at => at > now - rule.per).length < rule.limit
  }

  async do(command: Command): Promise<void> {
    const { queue, clock, handler } = this
    const changed = (promise: Promise<unknown>): void => {
      const refused = (error: unknown): void => {
        const fine = [JobStateError, JobUnknownError, QueueStoppedError].some(kind => error instanceof kind)
        this.#sure(fine, `${command.do} rejected with ${String(error)}`)
      }
      this.promises.push(promise.catch(refused))
    }
    const one = 'which' in command ? [...this.known.values()][command.which % Math.max(this.known.size, 1)] : undefined
    switch (command.do) {
      case 'put': {
        const { priority, delay, key, many } = command
        const payloads = Array.from({ length: many }, (_, i) => this.known.size + i)
        for (const n of payloads) this.#delays.set(n, delay)
        for (const n of payloads) this.#priorities.set(n, priority)
        const options = { priority, delay, key: `key ${key}` }
        if (many === 1) changed(queue.put(payloads[0] as number, options))
        else changed(queue.putMany(payloads, options))
        break
      }
      case 'cancel':
        if (one) changed(one.job.cancel())
        break
      case 'retry':
        if (one) changed(queue.retry(one.job))
        break
      case 'remove':
        if (one) changed(queue.remove(one.job).then(gone => gone && (one.state = 'removed')))
        break
      case 'reprioritize':
        if (!one) break
        changed(queue.reprioritize(one.job, command.priority).then(() => (one.priority = command.priority)))
        break
      case 'settle': {
        const call = handler.underway[command.which % Math.max(handler.underway.length, 1)]
        if (command.how === 'ok') call?.finish('ok')
        else call?.fail(new Error('no'))
        break
      }
      case 'width':
        queue.width = command.width
        break
      case 'rate': {
        const { limit, per } = command
        const before = this.#rule
        // What the rule before has forgotten, no later one can know.
        this.starts = before ? this.starts.filter(at => at > clock.now() - before.per) : []
        this.#rule = limit === 0 ? undefined : { limit, per }
        queue.rate = this.#rule
        break
      }
      case 'pause':
        changed(queue.pause())
        break
      case 'resume':
        queue.resume()
        break
      case 'idle':
        changed(queue.idle())
        break
      case 'clear':
        changed(queue.clear())
        break
      case 'advance':
        await clock.advance(command.ms)
        break
      default:
        command satisfies never
    }
    await clock.settle()
    this.history.readCounts(queue)
    this.#judge()
  }

  /** The whole, when all is quiet: conservation, honest slots, and that nothing waits without a cause. */
  #judge(): void {
    const { queue, clock, handler } = this
    const now = clock.now()
    const { pending, delayed, underway, finished, failed, cancelled, closing } = queue.counts
    const all = [...this.known.values()]
    const waiting = all.filter(({ state }) => state === 'waiting')
    const removed = all.filter(({ state }) => state === 'removed').length
    const sum = pending + delayed + underway + finished + failed + cancelled
    this.#sure(sum === all.length - removed, `${sum} counted of ${all.length} put and ${removed} removed`)
    this.#sure(pending + delayed === waiting.length, `${pending} and ${delayed} counted, ${waiting.length} wait`)
    this.#sure(handler.underway.length === underway + closing, `${underway} and ${closing} counted as bodies`)
    this.#sure(queue.underway().length === handler.underway.length, 'underway() lists others than those that run')
    const due = waiting.some(({ dueAt }) => dueAt <= now)
    const room = !queue.paused && handler.underway.length < queue.width && this.#rateAllows(now)
    this.#sure(!(due && room), 'a job is due, there is room, the rate allows it, and it does not start')
  }

  /**
   * Every promise settles, and every job is in exactly one place; a body may be abandoned whose job is over, or
   * removed.
   */
  async stop(): Promise<void> {
    const { queue, clock } = this
    await this.history.inventory(queue)
    const stop = queue.stop({ cancelUnderway: true })
    await clock.advance(5_000)
    const settled = new Set<Promise<unknown>>()
    for (const promise of [...this.promises, stop]) {
      const done = (): void => void settled.add(promise)
      promise.then(done, done)
    }
    await clock.settle()
    const open = this.promises.length + 1 - settled.size
    this.#sure(open <= 0, `${open} promises never settle`)
    if (!settled.has(stop)) return
    const { returned, abandoned } = await stop
    for (const { job, state } of this.known.values()) {
      const isAbandoned = abandoned.includes(job) && state === 'underway'
      const places = [returned.includes(job), isAbandoned, state === 'over', state === 'removed']
      const found = places.filter(Boolean).length
      this.#sure(found === 1, `job ${job.payload} is in ${found} places after stop: ${places}`)
    }
    this.#sure(clock.next === undefined, 'a timer outlives the stop')
  }
}

test('invariants: random commands in any order agree with a model', async t => {
  const runs = Number(process.env.INVARIANT_RUNS ?? 500)
  const seed = Number(process.env.INVARIANT_SEED ?? 1_946_003)
  let launched = 0
  const ended = { finished: 0, failed: 0, cancelled: 0 }
  const judged: Record<string, number> = {}

  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 20, maxLength: 120, size: 'max' }), async commands => {
      const world = new World()
      for (const command of commands) {
        await world.do(command)
        if (world.broken) throw new Error(world.broken)
      }
      launched += world.launched
      const { counts } = world.queue
      for (const state of ['finished', 'failed', 'cancelled'] as const) ended[state] += counts[state]
      await world.stop()
      if (world.broken) throw new Error(world.broken)
      const report = assertHolds(world.history)
      for (const invariant of invariants) judged[invariant] = (judged[invariant] ?? 0) + report.judged[invariant]
    }),
    { numRuns: runs, seed, includeErrorInReport: true },
  )

  // No checkpoints, no crash, no measures, each seed once, and keys are only labels.
  t.deepEqual(
    invariants.filter(invariant => judged[invariant] === 0),
    ['I17', 'I18', 'I20', 'I21', 'I22', 'I23', 'I24', 'I25', 'I27', 'I28', 'I29', 'I30'],
  )
  t.log(`seed ${seed}: ${launched} launched, ${JSON.stringify(ended)}`)
  t.true(launched > runs * 10 && Object.values(ended).every(count => count > runs), 'too quiet to prove anything')
})
