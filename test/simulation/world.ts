/**
 * The world of a simulated run: the machine, its file, its processes, and the history of what they do. It executes
 * commands, and judges nothing.
 */
import type { Clock } from '../../lib/clock.ts'
import { CancelledError } from '../../lib/errors.ts'
import {
  DispatchQueue,
  type Job,
  MemoryBacklog,
  type PutOptions,
  type QueueOptions,
  type Task,
} from '../../lib/index.ts'
import { History } from '../../testing/index.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import type { Disk, Image } from '../../testing/simulated/disk.ts'
import { Machine } from '../../testing/simulated/machine.ts'
import { SimulatedProcess } from '../../testing/simulated/process.ts'
import type { Point, SimulatedThread } from '../../testing/simulated/thread.ts'
import { bodyOf, generates, type Held } from './bodies.ts'
import { Faults } from './faults.ts'
import { listen } from './listeners.ts'
import { Own } from './own.ts'
import { type Given, Place, type Queue } from './place.ts'
import { type Command, type Config, type Plan, type Script, stallMost } from './plan.ts'
import type { PooledFile } from './pool.ts'

export const queueName = 'q'
/** After so long a body that runs has been reported. */
const launchKnownMs = 110
/** Calls of those that no queue numbers. */
const firstAbort = 2_000_000

/** A job that was put with a signal. */
interface Asked {
  readonly life: string
  readonly job: string
  readonly controller: AbortController
}

export class World {
  readonly plan: Plan
  readonly machine: Machine
  readonly disk: Disk
  readonly path: string
  readonly history: History
  readonly places: readonly Place[] = [new Place(0), new Place(1), new Place(2)]
  readonly faults: Faults = new Faults()
  readonly held: Held[] = []
  readonly given: Given[] = []
  /** Jobs that a put was asked for, by the number that commands know them by; and their handles, by life and id. */
  readonly scripts: Map<number, Script> = new Map()
  readonly jobs: Map<string, Job<Script, string>> = new Map()
  over = false
  /** What was accepted before the last sync is all that a power cut leaves; undefined while every commit is one. */
  #synced: Image | undefined
  /** A power cut took commits with it. */
  lossy = false
  /** A process died before it heard whether what it set for all is in force. */
  unsure = false
  readonly startedWall: number
  readonly #own: Own
  readonly #pooled: PooledFile | undefined
  readonly #signals: Asked[] = []
  #aborts = firstAbort
  /** By then every process has made its lock file anew. */
  #renewedAt = 0
  #lives = 0

  /** @param pooled The file to use; one of its own when there is none. */
  constructor(plan: Plan, disk: Disk, pooled?: PooledFile) {
    this.plan = plan
    this.disk = disk
    this.machine = new Machine(new Chance(plan.seed ^ 0x5eed))
    this.path = pooled?.path ?? disk.make()
    const { machine } = this
    if (pooled) machine.library = () => pooled.library
    this.startedWall = machine.wall
    const clock = { now: () => machine.now, wall: () => machine.wall } as Clock
    this.history = new History({ clock })
    this.#pooled = pooled
    this.#own = new Own({ path: this.path, pooled, history: this.history, faults: this.faults, queueName })
    if (this.config.durability === 'process') this.#synced = disk.image(this.path)
  }
  get config(): Config {
    return this.plan.config
  }

  /** Starts a process where none is, and a queue object in it where none is open. */
  start(place: Place, works: boolean): void {
    // The name is free again when the queue before has stopped, and not before.
    if (place.queue) return
    // What its constructor declares meets what somebody has set and the file does not know yet.
    this.unsure ||= this.places.some(({ asksShared }) => asksShared) && !this.over
    if (!place.process) {
      place.process = new SimulatedProcess(this.machine, `${place.who}`, (thread, point, _, doing) =>
        this.#point(place, thread, point, doing),
      )
      place.lives = []
    }
    const { process } = place
    const { config, machine } = this
    const life = `${place.who}.${++this.#lives}`
    const ground = {
      clock: process.clock,
      life,
      hold: (held: Held) => void this.held.push(held),
      block: (ms: number) => {
        this.faults.fired('a body that holds up its loop')
        machine.pass(ms)
        this.history.add({ kind: 'block', ms }, life)
      },
      within: (task: Task, value: string, undo: boolean) => this.#own.finish(task, value, undo),
      unstorable: () => this.faults.fired('a value that cannot be stored'),
      die: (ranMs: number) => {
        const known = ranMs > launchKnownMs ? 'when its launch is known' : 'before its launch is known'
        this.faults.fired(`a body that kills its process ${known}`)
        this.crash(place)
      },
    }
    const world = this
    const body = bodyOf({
      ...ground,
      get over() {
        return world.over
      },
    })
    const options = this.#options(process, life, works)
    place.queue = this.history.watch(
      record => new DispatchQueue<Script, string>(works ? record(body, generates) : null, options),
      {
        process: life,
        attempts: config.attempts,
        crashLimit: config.crashLimit,
        afterCrash: config.afterCrash,
        idsMs: config.idsMs,
      },
    )
    const { queue } = place
    place.opened = false
    const opened = (): void => {
      if (place.queue === queue) place.opened = true
    }
    // Who cannot open its backlog makes another queue, later.
    queue.ready().then(opened, () => {
      this.give(`stop of ${life}, which did not open`, life, queue.stop())
      this.#gone(place, queue)
    })
    place.life = life
    place.stopping = false
    place.works = works
    place.lives.push(life)
    listen(this, place, place.queue)
  }
  #options(process: SimulatedProcess, life: string, works: boolean): QueueOptions<Script, string> {
    const { config } = this
    const { clock } = process
    const { durability, stallMs } = config
    const backlog =
      config.backlog === 'memory'
        ? new MemoryBacklog({ json: true })
        : process.backlog(this.path, { durability, stallMs })
    return {
      // What is in memory ends with its queue object: the next one has nothing of it but the name.
      ...{
        name: config.backlog === 'memory' ? life : queueName,
        clock,
        backlog,
        ...(config.rate.length > 0 && { rate: config.rate }),
      },
      ...{ size: config.size, overflow: config.overflow },
      ...(works && this.#ofWorkers()),
      keep: {
        ...{ finished: config.keepMs, failed: config.keepMs, cancelled: config.keepMs, ids: config.idsMs },
        results: config.results && config.keepMs > 0,
      },
    }
  }
  #ofWorkers(): QueueOptions<Script, string> {
    const { width, crashLimit, attempts, retryMs, timeoutMs, afterCrash } = this.config
    return {
      ...{ width, crashLimit },
      retry: { attempts, delay: retryMs, max: 400 },
      ...(timeoutMs !== Infinity && { timeout: timeoutMs }),
      afterCrash: afterCrash === 'ask' ? job => this.#afterCrash(job) : afterCrash,
    }
  }
  async #afterCrash({ payload }: Job<Script, string>): Promise<'again' | 'finished' | 'failed'> {
    if (payload.n % 7 === 6) throw new Error('nobody knows')
    return (['again', 'finished', 'failed'] as const)[payload.n % 3] as 'again'
  }

  /** Remembers a promise, so that it can be asked for at the end. */
  give(what: string, life: string, promise: Promise<unknown>): void {
    const given: Given = { what, life, settled: false }
    this.given.push(given)
    const over = (): void => {
      given.settled = true
    }
    promise.then(over, over)
  }
  /** As that life of a queue has it: by its handle where it has one. */
  jobOf(life: string, which: number): Job<Script, string> | string {
    return this.jobs.get(`${life} j${which}`) ?? `j${which}`
  }

  async do(command: Command): Promise<void> {
    await this.#do(command)
    await this.machine.turn()
  }
  async #do(command: Command): Promise<void> {
    switch (command.do) {
      case 'advance':
        return this.machine.run(command.ms)
      case 'steps':
        for (let left = command.count; left > 0; left--) if (!(await this.machine.step())) return
        return
      case 'jump':
        this.machine.wall += command.ms
        this.history.add({ kind: 'jump', ms: command.ms })
        return this.faults.fired('a jump of the wall clock')
      case 'abort': {
        const asked = this.#signals[command.which % Math.max(this.#signals.length, 1)]
        // A signal aborts once. Then its job may be retried, and the signal does not concern that.
        if (!asked || asked.controller.signal.aborted || !this.#awake(asked.life)) return
        // What is asked by a signal has no answer.
        this.#abort(asked)
        return
      }
      case 'settle': {
        const held = this.held[command.which % Math.max(this.held.length, 1)]
        if (!held || !this.#awake(held.who)) return
        this.held.splice(this.held.indexOf(held), 1)
        if (command.how === 'ok') held.finish()
        else held.fail(new Error(`told to, ${command.how}`))
        return
      }
      case 'power cut':
        return this.#powerCut()
      case 'remove lock files':
        return this.#removeLocks()
      default:
        this.#doAt(this.places[command.who] as Place, command)
    }
  }
  /** Whether the loop of that life takes steps, or is not there any more. */
  #awake(life: string): boolean {
    const place = this.places.find(({ lives }) => lives.includes(life))
    return !place?.process || place.process.loop.awakeAt <= this.machine.now
  }
  #doAt(place: Place, command: Extract<Command, { who: number }>): void {
    const { process, life } = place
    if (command.do === 'start' && !process) return this.start(place, this.#works(command))
    if (!process) return
    switch (command.do) {
      case 'crash':
        this.faults.fired('a crash between exchanges')
        return this.crash(place)
      case 'block':
        this.faults.fired('a loop that is held up')
        return process.block(command.ms)
      case 'freeze':
        if (this.machine.now < this.#renewedAt) return
        this.faults.fired('a process that is frozen')
        return process.freeze()
      case 'thaw':
        return process.thaw()
      case 'thread dies':
        return this.#threadDies(place)
      case 'at point':
        return void place.armed.push(command)
    }
    if (command.do === 'start' && process.loop.awakeAt <= this.machine.now) this.start(place, this.#works(command))
    if (command.do === 'start') return
    const { queue } = place
    // A loop that stands still asks nothing either.
    if (!queue || process.loop.awakeAt > this.machine.now) return
    const give = (promise: Promise<unknown>): void => this.give(`${command.do} of ${life}`, life, promise)
    // Whatever verb comes after a stop is refused; a setter throws.
    const set = (change: () => void): void => {
      try {
        change()
      } catch (error) {
        if ((error as { code?: string }).code !== 'QUEUE_STOPPED') throw error
      }
    }
    switch (command.do) {
      case 'put':
        return this.#put(place, queue, command)
      case 'cancel':
        return give(queue.cancel(this.jobOf(life, command.which), 'a reason'))
      case 'retry':
        return give(queue.retry(this.jobOf(life, command.which)))
      case 'remove':
        return give(queue.remove(this.jobOf(life, command.which)))
      case 'explain':
        return give(queue.explain(this.jobOf(life, command.which)))
      case 'get':
        return give(queue.get(`j${command.which}`))
      case 'result': {
        const job = this.jobOf(life, command.which)
        return typeof job === 'string' ? undefined : give(job.result)
      }
      case 'reprioritize':
        return give(queue.reprioritize(this.jobOf(life, command.which), command.priority))
      case 'promote':
        return give(queue.promote(this.jobOf(life, command.which)))
      case 'reschedule': {
        const { ms, wall } = command
        const when = wall ? new Date(this.machine.wall + ms) : ms
        return give(queue.reschedule(this.jobOf(life, command.which), when))
      }
      case 'clear':
        return give(queue.clear())
      case 'idle':
        return give(queue.idle())
      case 'list':
        return give(queue.jobs({ limit: 5 }))
      case 'width':
        return place.works
          ? set(() => {
              queue.width = command.width
            })
          : undefined
      case 'rate':
        // Of two that are set at once, or declared, nobody can say which came last.
        this.unsure ||= this.places.some(({ asksShared, queue, opened }) => asksShared || (queue && !opened))
        place.asksShared = true
        return set(() => {
          queue.rate = [...command.rate]
        })
      case 'pause':
        if (!place.works && !command.shared) return
        place.asksShared ||= command.shared
        return give(queue.pause({ tasks: command.tasks, shared: command.shared }))
      case 'resume':
        place.asksShared ||= command.shared
        return set(() => queue.resume({ shared: command.shared }))
      case 'close':
      case 'stop': {
        place.stopping = true
        const how = command.do === 'stop' ? command.how : 'cancel'
        const stop = queue.stop(how === 'wait' ? {} : how === 'grace' ? { grace: 30 } : { cancelUnderway: true })
        void stop.then(({ abandoned }) => {
          place.abandons ||= abandoned.length > 0 && place.queue === queue
          this.#gone(place, queue)
        })
        return give(stop)
      }
      default:
        command satisfies never
    }
  }

  /** A queue in memory that only puts has nobody to put for; and somewhere there must be room for one that works. */
  #works({ works, who }: Extract<Command, { do: 'start' }>): boolean {
    return works || who === 0 || this.config.backlog === 'memory'
  }
  #put(place: Place, queue: Queue, command: Extract<Command, { do: 'put' }>): void {
    const { by, scripts, priority, delay, wall, key, tokens } = command
    const { clock } = place.process as SimulatedProcess
    const optionsOf = (script: Script): PutOptions => ({
      ...{ id: `j${script.n}`, priority },
      ...(delay > 0 && (wall ? { runAt: clock.wall() + delay } : { delay })),
      ...(key !== '' && { key }),
      ...(tokens > 0 && { cost: { tokens } }),
    })
    for (const script of scripts) this.scripts.set(script.n, script)
    const [script] = scripts as [Script]
    const { life } = place
    const keep = (job: Job<Script, string>): void => void this.jobs.set(`${life} ${job.id}`, job)
    const give = (promise: Promise<unknown>): void => this.give(`${by} of ${life}`, life, promise)
    switch (by) {
      case 'putMany':
        return give(queue.putMany(scripts, script => optionsOf(script)).then(jobs => jobs.forEach(keep)))
      case 'run':
        return give(queue.run(script, { ...optionsOf(script), ...this.#signal(place, script, command) }))
      case 'putWithin':
        return this.#own.put(clock, script, optionsOf(script), command.undo)
      default: {
        const options = { ...optionsOf(script), ...this.#signal(place, script, command) }
        return give(queue.put(script, options).then(keep))
      }
    }
  }
  /** The signal of a put: one that aborts later, or has aborted, or does while the put is on its way. */
  #signal(place: Place, script: Script, { signal, abortIn }: Extract<Command, { do: 'put' }>): PutOptions {
    if (!signal) return {}
    const controller = new AbortController()
    const asked = { life: place.life, job: `j${script.n}`, controller }
    if (abortIn === undefined) this.#signals.push(asked)
    else if (abortIn < 0) {
      this.#abort(asked)
      this.faults.fired('a signal that has aborted before the call')
    } else void this.#abortSoon(asked, abortIn)
    return { signal: controller.signal }
  }
  async #abortSoon(asked: Asked, microtasks: number): Promise<void> {
    for (let left = microtasks; left >= 0; left--) await undefined
    if (!this.#awake(asked.life)) return
    this.faults.fired('a signal that aborts on the way of its put')
    this.#abort(asked)
  }
  #abort({ job, life, controller }: Asked): void {
    const name = this.config.backlog === 'memory' ? life : queueName
    this.history.add({ kind: 'cancel', call: ++this.#aborts, job, signal: true }, life, name)
    controller.abort(new CancelledError('by its signal'))
  }
  #gone(place: Place, queue: Queue): void {
    if (place.queue === queue) place.queue = undefined
  }

  crash(place: Place): void {
    const { process } = place
    if (!process) return
    process.kill()
    this.unsure ||= place.asksShared && this.config.backlog === 'sqlite' && !this.over
    place.asksShared = false
    for (const life of place.lives) this.history.crash(life)
    place.process = place.queue = undefined
    place.stopping = place.abandons = false
    place.armed = []
  }
  #threadDies(place: Place): void {
    const thread = place.process?.thread
    if (!thread) return
    this.faults.fired('the death of a thread')
    this.history.add({ kind: 'fault', what: 'the thread dies' }, place.life)
    thread.fail(new Error('the thread dies, as planned'))
  }
  /**
   * A process that stands still for 10 s after its file was removed is taken for dead by who comes later: that is no fault, and
   * the checkers do not know of it. So no process stands still before it has made its file anew.
   */
  #removeLocks(): void {
    const isAnyFrozen = this.places.some(({ process }) => process && process.thread?.loop.awakeAt === Infinity)
    if (isAnyFrozen || this.disk.removeLocks(this.path) === 0) return
    this.#renewedAt = this.machine.now + 1_000
    this.faults.fired('lock files that are removed')
  }
  #powerCut(): void {
    if (!this.places.some(({ process }) => process)) return
    for (const place of this.places) this.crash(place)
    if (this.#synced) {
      this.disk.restore(this.path, this.#synced)
      this.lossy = true
      this.faults.fired('a power cut that takes commits with it')
    } else this.faults.fired('a power cut')
    this.history.add({ kind: 'fault', what: 'power cut' })
    this.machine.pass(3_000)
    this.machine.reboot()
    this.#pooled?.reboot()
  }

  /** A thread comes by a point: what is armed for it happens. */
  #point(place: Place, thread: SimulatedThread, point: Point, doing: string): void {
    if (point === 'answered' && /\b(?:rate|pause)\b/.test(doing)) place.asksShared = false
    if (point === 'committed' && this.#synced && this.machine.chance.once(4)) this.#synced = this.disk.image(this.path)
    // Without anything that was asked it writes only to take over what a dead process had; or a silent loop of its own.
    const recovers = point === 'committed' && doing === 'watch' && this.config.stallMs === stallMost
    if (recovers && !place.works) this.faults.fired('a death that a queue without a handler notices')
    const armed = place.armed.find(command => command.point === point)
    if (!armed) return
    place.armed.splice(place.armed.indexOf(armed), 1)
    if (armed.nth > 1) {
      place.armed.unshift({ ...armed, nth: armed.nth - 1 })
      return
    }
    const name = `${armed.what} at ${point}`
    this.faults.fired(name)
    if (armed.what === 'crash') return this.crash(place)
    this.history.add({ kind: 'fault', what: name }, place.life)
    switch (armed.what) {
      case 'thread dies':
        return thread.fail(new Error('the thread dies at a point, as planned'))
      case 'slow':
        thread.lateMs = 40
        thread.loop.awakeAt = this.machine.now + 40
        return
      default:
        throw Object.assign(new Error(`${armed.what}, as planned`), { code: codes[armed.what] })
    }
  }
}

const codes = {
  busy: 'SQLITE_BUSY',
  full: 'SQLITE_FULL',
  refused: 'SQLITE_CONSTRAINT_TRIGGER',
  disk: 'SQLITE_IOERR',
} as const
