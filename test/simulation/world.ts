/**
 * The world of a simulated run: the machine, its file, its processes, and the history of what they do. It executes
 * commands, and judges nothing.
 */
import type { Clock } from '../../lib/clock.ts'
import { CancelledError } from '../../lib/errors.ts'
import {
  DispatchQueue,
  type IsolateOptions,
  type Job,
  type Key,
  type KeyInfo,
  type KeysOptions,
  MemoryBacklog,
  type PutOptions,
  type QueueOptions,
} from '../../lib/index.ts'
import type { Handler } from '../../lib/run/run.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import type { Disk, Image } from '../../testing/simulated/disk.ts'
import { Machine } from '../../testing/simulated/machine.ts'
import { SimulatedProcess } from '../../testing/simulated/process.ts'
import type { Point, SimulatedThread } from '../../testing/simulated/thread.ts'
import type { RecordHandler } from '../../testing/witness.ts'
import type { SimulatedIsolate } from '../support/simulated-isolates.ts'
import { openBeside, putBeside, stopBeside } from './beside.ts'
import { type BodyContext, bodyOf, generates, type WaitingBody } from './bodies.ts'
import { Faults } from './faults.ts'
import { HistoryOfIsolates, type IsolateFact, IsolatesOfLife } from './isolates.ts'
import { listen } from './listeners.ts'
import { Own } from './own.ts'
import {
  type Command,
  type Config,
  hostileKeys,
  type IsolatePlan,
  type KeyPlan,
  type KeysPlan,
  keepOf,
  type Plan,
  type Script,
  stallMost,
} from './plan.ts'
import type { PooledFile } from './pool.ts'
import { ProcessSlot, type Queue, type TrackedPromise } from './process-slot.ts'

export const queueName = 'q'
/** A body that has run this long has been reported. */
const launchKnownMs = 110
/** The number of the first abort, which is a call that no queue numbers. */
const firstAbort = 2_000_000

/** A job that was put with a signal. */
interface PutSignal {
  readonly life: string
  readonly job: string
  readonly controller: AbortController
}

export class World {
  readonly plan: Plan
  readonly machine: Machine
  readonly disk: Disk
  readonly path: string
  readonly history: HistoryOfIsolates
  readonly isolateFacts: IsolateFact[] = []
  readonly slots: readonly ProcessSlot[] = [new ProcessSlot(0), new ProcessSlot(1), new ProcessSlot(2)]
  readonly faults: Faults = new Faults()
  readonly waitingBodies: WaitingBody[] = []
  readonly promises: TrackedPromise[] = []
  /** The scripts of all puts by their numbers in commands, and the handles of the jobs by life and id. */
  readonly scripts: Map<number, Script> = new Map()
  readonly jobs: Map<string, Job<Script, string>> = new Map()
  over = false
  /** The file at its last sync, to which a power cut restores it; undefined if each commit syncs. */
  #synced: Image | undefined
  /** A power cut has undone commits. */
  lossy = false
  /** A process died before it knew whether a shared setting of its own is in force. */
  unsure = false
  readonly startedWall: number
  readonly #own: Own
  readonly #pooled: PooledFile | undefined
  readonly #signals: PutSignal[] = []
  #aborts = firstAbort
  /** By this instant each process has created its lock file anew. */
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
    this.history = new HistoryOfIsolates({ clock })
    this.#pooled = pooled
    this.#own = new Own({ path: this.path, pooled, history: this.history, faults: this.faults, queueName })
    if (this.config.durability === 'process') this.#synced = disk.image(this.path)
  }
  get config(): Config {
    return this.plan.config
  }

  /** Starts a process in an empty slot, and a queue object if none is open. */
  start(slot: ProcessSlot, works: boolean, keys: KeysPlan | undefined = this.config.keys): void {
    // The name becomes free when the former queue has stopped.
    if (slot.queue || slot.beside) return
    // Its declaration may come before or after a setting that is not stored yet.
    this.unsure ||= this.slots.some(({ requestsShared }) => requestsShared) && !this.over
    if (!slot.process) {
      slot.process = new SimulatedProcess(this.machine, `${slot.who}`, (thread, point, _, doing) =>
        this.#point(slot, thread, point, doing),
      )
      slot.lives = []
    }
    const { process } = slot
    const { config } = this
    const life = `${slot.who}.${++this.#lives}`
    if (keys !== this.config.keys) this.faults.fired('keys that are declared anew')
    const options: QueueOptions<Script, string> = {
      ...this.#options(process, life, works),
      ...(keys && { keys: keysOf(keys) }),
    }
    const isolate = works ? config.isolate : undefined
    slot.queue = this.history.watch(
      record => {
        if (!works) return new DispatchQueue<Script, string>(null, options)
        if (!isolate) return new DispatchQueue<Script, string>(record(this.#bodyHere(slot, life), generates), options)
        const url = this.#elsewhere(slot, life, isolate, record)
        return new DispatchQueue<Script, string>(url as never, { ...options, isolate: isolateOf(isolate) })
      },
      {
        process: life,
        attempts: config.attempts,
        crashLimit: config.crashLimit,
        afterCrash: config.afterCrash,
        idsMs: config.idsMs,
        ...(keys && { keys: keysOf(keys) }),
        ...(options.cost && { cost: options.cost as never }),
      },
    )
    const { queue } = slot
    slot.opened = false
    const opened = (): void => {
      if (slot.queue === queue) slot.opened = true
    }
    const ready = (): Promise<void> => queue.ready().then(opened, refused)
    // A module is loaded again until that succeeds. A queue that cannot open its backlog is replaced later.
    const refused = (error: { code?: string }): Promise<void> | void => {
      if (error.code === 'HANDLER_LOAD') return ready()
      this.track(`stop of ${life}, which did not open`, life, queue.stop())
      stopBeside(this, slot, { cancelUnderway: true })
      this.#gone(slot, queue)
    }
    void ready()
    slot.life = life
    slot.stopping = false
    slot.works = works
    slot.lives.push(life)
    listen(this, slot, slot.queue)
    if (config.beside && options.backlog) openBeside(this, slot, works, process, options.backlog)
  }
  /** The handler, as it runs in the loop of its process. */
  #bodyHere(slot: ProcessSlot, life: string): Handler<Script, string> {
    const { machine, faults, waitingBodies } = this
    return this.#bodyOf({
      ...{ clock: (slot.process as SimulatedProcess).clock, life },
      waits: body => (this.over ? body.finish() : void waitingBodies.push(body)),
      block: ms => {
        faults.fired('a body that holds up its loop')
        machine.pass(ms)
        this.history.add({ kind: 'block', ms }, life)
      },
      die: ranMs => {
        const known = ranMs > launchKnownMs ? 'when its launch is known' : 'before its launch is known'
        faults.fired(`a body that kills its process ${known}`)
        this.crash(slot)
      },
    })
  }
  /** The address of the handler, which runs in isolates. */
  #elsewhere(slot: ProcessSlot, life: string, plan: IsolatePlan, record: RecordHandler): URL {
    const { faults, history, isolateFacts: facts } = this
    const process = slot.process as SimulatedProcess
    if (plan.refusals > 0) faults.fired('a module that cannot be loaded at first')
    const isolates = new IsolatesOfLife(process, { history, facts, life }, plan, record, generates, isolate =>
      this.#bodyOf({
        ...{ clock: isolate.clock, life },
        waits: ({ who, finish, fail }) => {
          const body: WaitingBody = {
            who,
            finish: () => isolate.isDead || finish(),
            fail: error => isolate.isDead || fail(error),
          }
          this.over ? body.finish() : this.waitingBodies.push(body)
        },
        block: ms => this.#block(isolates, isolate, ms),
        die: () => {
          faults.fired('a body that ends its isolate')
          isolates.die(isolate)
        },
      }),
    )
    if (this.over) isolates.mend()
    slot.isolates.push(isolates)
    return isolates.handler
  }
  #block(isolates: IsolatesOfLife, isolate: SimulatedIsolate, ms: number): void {
    if (this.over) return
    this.faults.fired(ms === Infinity ? 'an isolate that hangs' : 'an isolate that answers late')
    isolates.block(isolate, this.machine.now + ms)
  }
  #bodyOf(means: Pick<BodyContext, 'clock' | 'life' | 'waits' | 'block' | 'die'>): Handler<Script, string> {
    const world = this
    const { faults } = this
    return bodyOf({
      ...means,
      within: (task, value, undo) => this.#own.finish(task, value, undo),
      holds: () => faults.fired('a rule that is held'),
      unstorable: () => faults.fired('a value that cannot be stored'),
      spends: () => faults.fired('a cost that is corrected'),
      get over() {
        return world.over
      },
    })
  }
  #options(process: SimulatedProcess, life: string, works: boolean): QueueOptions<Script, string> {
    const { config } = this
    const { clock } = process
    const { durability, stallMs } = config
    const rate = [...config.rate, ...(config.beside ? [config.beside.shared] : [])]
    const backlog =
      config.backlog === 'memory'
        ? new MemoryBacklog({ json: true })
        : process.backlog(this.path, { durability, stallMs })
    return {
      // Jobs in memory end with their queue object, so each has a name of its own.
      ...{
        name: config.backlog === 'memory' ? life : queueName,
        clock,
        backlog,
        ...(rate.length > 0 && { rate }),
        ...(config.cost !== undefined && { cost: costOf(config.cost) }),
        ...(config.globalWidth !== undefined && { globalWidth: config.globalWidth }),
      },
      ...{ size: config.size, overflow: config.overflow },
      ...(works && this.#ofWorkers()),
      keep: keepOf(config),
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

  /** Records a promise that must have settled at the end. */
  track(what: string, life: string, promise: Promise<unknown>): void {
    const tracked: TrackedPromise = { what, life, settled: false }
    this.promises.push(tracked)
    const over = (): void => {
      tracked.settled = true
    }
    promise.then(over, over)
  }
  /** The handle of the job in that life of a queue, or its id if that has none. */
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
        const requested = this.#signals[command.which % Math.max(this.#signals.length, 1)]
        // A signal aborts once. It does not concern a later retry of its job.
        if (!requested || requested.controller.signal.aborted || !this.#awake(requested.life)) return
        // An abort has no reply.
        this.#abort(requested)
        return
      }
      case 'settle': {
        const body = this.waitingBodies[command.which % Math.max(this.waitingBodies.length, 1)]
        if (!body || !this.#awake(body.who)) return
        this.waitingBodies.splice(this.waitingBodies.indexOf(body), 1)
        if (command.how === 'ok') body.finish()
        else body.fail(new Error(`settled by a command: ${command.how}`))
        return
      }
      case 'power cut':
        return this.#powerCut()
      case 'remove lock files':
        return this.#removeLocks()
      default:
        this.#doAt(this.slots[command.who] as ProcessSlot, command)
    }
  }
  /** Whether the loop of that life runs, or is gone. */
  #awake(life: string): boolean {
    const slot = this.slots.find(({ lives }) => lives.includes(life))
    return !slot?.process || slot.process.loop.awakeAt <= this.machine.now
  }
  #doAt(slot: ProcessSlot, command: Extract<Command, { who: number }>): void {
    const { process, life } = slot
    if (command.do === 'start' && !process) return this.start(slot, this.#works(command), command.keys)
    if (!process) return
    switch (command.do) {
      case 'crash':
        this.faults.fired('a crash between exchanges')
        return this.crash(slot)
      case 'block':
        this.faults.fired('a loop that is held up')
        return process.block(command.ms)
      case 'freeze':
        if (this.machine.now < this.#renewedAt) return
        this.faults.fired('a process that is frozen')
        for (const isolates of slot.isolates) isolates.freeze()
        return process.freeze()
      case 'thaw':
        for (const isolates of slot.isolates) isolates.unblock()
        return process.thaw()
      case 'isolate dies':
      case 'isolate blocks': {
        const all = slot.isolates.flatMap(isolates => isolates.living.map(isolate => ({ isolates, isolate })))
        const { isolates, isolate } = all[command.which % Math.max(all.length, 1)] ?? {}
        if (!isolates || !isolate) return
        if (command.do === 'isolate blocks') return this.#block(isolates, isolate, command.ms)
        this.faults.fired('an isolate that ends by itself')
        return isolates.die(isolate)
      }
      case 'thread dies':
        return this.#threadDies(slot)
      case 'at point':
        return void slot.armed.push(command)
    }
    if (command.do === 'start' && process.loop.awakeAt <= this.machine.now) {
      this.start(slot, this.#works(command), command.keys)
    }
    if (command.do === 'start') return
    const { queue } = slot
    // A loop that stands still makes no calls.
    if (!queue || process.loop.awakeAt > this.machine.now) return
    const track = (promise: Promise<unknown>): void => this.track(`${command.do} of ${life}`, life, promise)
    // After a stop each verb rejects, and a setter throws.
    const set = (change: () => void): void => {
      try {
        change()
      } catch (error) {
        if ((error as { code?: string }).code !== 'QUEUE_STOPPED') throw error
      }
    }
    switch (command.do) {
      case 'put':
        return this.#put(slot, queue, command)
      case 'put beside':
        return putBeside(this, slot, command)
      case 'cancel':
        return track(queue.cancel(this.jobOf(life, command.which), 'a reason'))
      case 'retry':
        return track(queue.retry(this.jobOf(life, command.which)))
      case 'remove':
        return track(queue.remove(this.jobOf(life, command.which)))
      case 'explain':
        return track(queue.explain(this.jobOf(life, command.which)))
      case 'get':
        return track(queue.get(`j${command.which}`))
      case 'result': {
        const job = this.jobOf(life, command.which)
        return typeof job === 'string' ? undefined : track(job.result)
      }
      case 'reprioritize':
        return track(queue.reprioritize(this.jobOf(life, command.which), command.priority))
      case 'promote':
        return track(queue.promote(this.jobOf(life, command.which)))
      case 'reschedule': {
        const { ms, wall } = command
        const when = wall ? new Date(this.machine.wall + ms) : ms
        return track(queue.reschedule(this.jobOf(life, command.which), when))
      }
      case 'clear':
        return track(queue.clear())
      case 'idle':
        return track(queue.idle())
      case 'list':
        return track(queue.jobs({ limit: 5 }))
      case 'width':
        return slot.works
          ? set(() => {
              queue.width = command.width
            })
          : undefined
      case 'isolateCount':
        if (!slot.works || !this.config.isolate) return
        return set(() => {
          this.faults.fired('a number of isolates that is set')
          queue.isolateCount = command.count
        })
      case 'rate':
        this.#setsRate(slot)
        return set(() => {
          queue.rate = [...command.rate]
        })
      case 'globalWidth':
        return set(() => {
          this.faults.fired('a global width that is set')
          queue.globalWidth = command.width
        })
      case 'key':
        return set(() => this.#setKey(queue.key(command.key), command.set, track))
      case 'clear overrides': {
        const { only } = command
        this.faults.fired(`overrides that are cleared: ${only}`)
        if (only === 'rate' || only === 'all') this.#setsRate(slot)
        return track(queue.clearOverrides(only === 'all' ? undefined : only))
      }
      case 'clear key':
        this.faults.fired('a key that is cleared')
        return track(queue.key(command.key).clear())
      case 'list keys':
        track(queue.key(command.key).counts())
        return track(queue.keys().then(all => this.#heldUp(all)))
      case 'pause':
        if (!slot.works && !command.shared) return
        slot.requestsShared ||= command.shared
        return track(queue.pause({ tasks: command.tasks, shared: command.shared }))
      case 'resume':
        slot.requestsShared ||= command.shared
        return set(() => queue.resume({ shared: command.shared }))
      case 'close':
      case 'stop': {
        slot.stopping = true
        const how = command.do === 'stop' ? command.how : 'cancel'
        const options = how === 'wait' ? {} : how === 'grace' ? { grace: 30 } : { cancelUnderway: true }
        const stop = queue.stop(options)
        stopBeside(this, slot, options)
        void stop.then(({ abandoned }) => {
          slot.abandons ||= abandoned.length > 0 && slot.queue === queue
          this.#gone(slot, queue)
        })
        return track(stop)
      }
      default:
        command satisfies never
    }
  }

  /** Of two rates that are set or declared at once, either may come last. */
  #setsRate(slot: ProcessSlot): void {
    this.unsure ||= this.slots.some(({ requestsShared, queue, opened }) => requestsShared || (queue && !opened))
    slot.requestsShared = true
  }
  #setKey(key: Key, { width, rate, weight, paused }: KeyPlan, track: (promise: Promise<unknown>) => void): void {
    const fired = (what: string): void => this.faults.fired(`a ${what} of a key that is set`)
    if (width !== undefined) {
      fired('width')
      key.width = width ?? undefined
    }
    if (rate !== undefined) {
      fired('rate')
      key.rate = rate === null ? undefined : [...rate]
    }
    if (weight !== undefined) {
      fired('weight')
      key.weight = weight ?? undefined
    }
    if (paused === undefined) return
    fired(paused ? 'pause' : 'resume')
    track(paused ? key.pause() : key.resume())
  }
  #heldUp(keys: readonly KeyInfo[]): void {
    for (const { why } of keys) if (why !== undefined) this.faults.fired(`a key that its ${why} holds up`)
  }
  /** A queue without a handler is of no use in memory, and one slot must be left for a queue with one. */
  #works({ works, who }: Extract<Command, { do: 'start' }>): boolean {
    return works || who === 0 || this.config.backlog === 'memory'
  }
  #put(slot: ProcessSlot, queue: Queue, command: Extract<Command, { do: 'put' }>): void {
    const { by, scripts, priority, delay, wall, tokens, bytes = 0, otherKeys = [] } = command
    const keys = [command.key, ...otherKeys]
    if (keys.some(key => hostileKeys.includes(key))) this.faults.fired('a hostile key')
    const keyOf = (script: Script): string => keys[scripts.indexOf(script) % keys.length] as string
    const { clock } = slot.process as SimulatedProcess
    const optionsOf = (script: Script): PutOptions => ({
      ...{ id: `j${script.n}`, priority },
      ...(delay > 0 && (wall ? { runAt: clock.wall() + delay } : { delay })),
      ...(keyOf(script) !== '' && { key: keyOf(script) }),
      ...(tokens + bytes > 0 && { cost: { ...(tokens > 0 && { tokens }), ...(bytes > 0 && { bytes }) } }),
    })
    if (tokens > 0 && bytes > 0) this.faults.fired('a cost in two units')
    for (const script of scripts) this.scripts.set(script.n, script)
    const [script] = scripts as [Script]
    const { life } = slot
    const keep = (job: Job<Script, string>): void => void this.jobs.set(`${life} ${job.id}`, job)
    const track = (promise: Promise<unknown>): void => this.track(`${by} of ${life}`, life, promise)
    switch (by) {
      case 'putMany':
        return track(queue.putMany(scripts, script => optionsOf(script)).then(jobs => jobs.forEach(keep)))
      case 'run':
        return track(queue.run(script, { ...optionsOf(script), ...this.#signal(slot, script, command) }))
      case 'putWithin':
        return this.#own.put(clock, script, optionsOf(script), command.undo)
      default: {
        const options = { ...optionsOf(script), ...this.#signal(slot, script, command) }
        return track(queue.put(script, options).then(keep))
      }
    }
  }
  /** The signal of a put: it aborts later, has aborted, or aborts while the put is in flight. */
  #signal(slot: ProcessSlot, script: Script, { signal, abortIn }: Extract<Command, { do: 'put' }>): PutOptions {
    if (!signal) return {}
    const controller = new AbortController()
    const requested = { life: slot.life, job: `j${script.n}`, controller }
    if (abortIn === undefined) this.#signals.push(requested)
    else if (abortIn < 0) {
      this.#abort(requested)
      this.faults.fired('a signal that has aborted before the call')
    } else void this.#abortSoon(requested, abortIn)
    return { signal: controller.signal }
  }
  async #abortSoon(requested: PutSignal, microtasks: number): Promise<void> {
    for (let left = microtasks; left >= 0; left--) await undefined
    if (!this.#awake(requested.life)) return
    this.faults.fired('a signal that aborts on the way of its put')
    this.#abort(requested)
  }
  #abort({ job, life, controller }: PutSignal): void {
    const name = this.config.backlog === 'memory' ? life : queueName
    this.history.add({ kind: 'cancel', call: ++this.#aborts, job, signal: true }, life, name)
    controller.abort(new CancelledError('by its signal'))
  }
  #gone(slot: ProcessSlot, queue: Queue): void {
    if (slot.queue === queue) slot.queue = undefined
  }

  crash(slot: ProcessSlot): void {
    const { process } = slot
    if (!process) return
    process.kill()
    for (const isolates of slot.isolates.splice(0)) isolates.crash()
    this.unsure ||= slot.requestsShared && this.config.backlog === 'sqlite' && !this.over
    slot.requestsShared = false
    for (const life of slot.lives) this.history.crash(life)
    slot.process = slot.queue = slot.beside = undefined
    slot.stopping = slot.abandons = false
    slot.armed = []
  }
  #threadDies(slot: ProcessSlot): void {
    const thread = slot.process?.thread
    if (!thread) return
    this.faults.fired('the death of a thread')
    this.history.add({ kind: 'fault', what: 'the thread dies' }, slot.life)
    thread.fail(new Error('the thread dies, as planned'))
  }
  /**
   * A process that stands still for 10 s after its lock file was removed is taken for dead by later processes. That is
   * documented, and the checkers do not know it. So no process is frozen before it has created its file anew.
   */
  #removeLocks(): void {
    const isAnyFrozen = this.slots.some(({ process }) => process && process.thread?.loop.awakeAt === Infinity)
    if (isAnyFrozen || this.disk.removeLocks(this.path) === 0) return
    this.#renewedAt = this.machine.now + 1_000
    this.faults.fired('lock files that are removed')
  }
  #powerCut(): void {
    if (!this.slots.some(({ process }) => process)) return
    for (const slot of this.slots) this.crash(slot)
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

  /** A thread has reached a point: an armed fault for it fires. */
  #point(slot: ProcessSlot, thread: SimulatedThread, point: Point, doing: string): void {
    if (point === 'answered' && /\b(?:rate|pause|clearOverrides)\b/.test(doing)) slot.requestsShared = false
    if (point === 'committed' && this.#synced && this.machine.chance.once(4)) this.#synced = this.disk.image(this.path)
    // Without a request it commits only to recover the jobs of a dead process, or of a stalled loop of its own.
    const recovers = point === 'committed' && doing === 'watch' && this.config.stallMs === stallMost
    if (recovers && !slot.works) this.faults.fired('a death that a queue without a handler notices')
    const armed = slot.armed.find(command => command.point === point)
    if (!armed) return
    slot.armed.splice(slot.armed.indexOf(armed), 1)
    if (armed.nth > 1) {
      slot.armed.unshift({ ...armed, nth: armed.nth - 1 })
      return
    }
    const name = `${armed.what} at ${point}`
    this.faults.fired(name)
    if (armed.what === 'crash') {
      const isClaim = point === 'committed' || point === 'answered'
      if (isClaim && this.#own.claimedOfKeys() > 0) {
        this.faults.fired('a death between claim and launch with keys in force')
      }
      return this.crash(slot)
    }
    this.history.add({ kind: 'fault', what: name }, slot.life)
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

/** The default cost of a job, which a function may compute from its payload. */
function costOf(cost: NonNullable<Config['cost']>): NonNullable<QueueOptions<Script, string>['cost']> {
  return cost === 'by payload' ? ({ n }) => ({ tokens: n % 4 }) : { tokens: cost }
}

function isolateOf({ kind, count, jobs, graceMs: grace, idleMs: idle }: IsolatePlan): IsolateOptions {
  return { kind, count, jobs, grace, idle }
}

/** The options that the plan stands for. */
function keysOf({ rate, ...keys }: KeysPlan): KeysOptions {
  return { ...keys, ...(rate && { rate: [...rate] }) }
}

const codes = {
  busy: 'SQLITE_BUSY',
  full: 'SQLITE_FULL',
  refused: 'SQLITE_CONSTRAINT_TRIGGER',
  disk: 'SQLITE_IOERR',
} as const
