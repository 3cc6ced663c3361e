/**
 * The isolates of one queue object of a run: each has a loop of its own, which may die, hang and answer late.
 *
 * An isolate ends with its process. The end of one is recorded as the end of each body in it, and for the blame every
 * isolate is judged as a process of its own ({@link asProcesses}): docs/design/isolates.md promises the same rules.
 */
import type { Handler } from '../../lib/run/run.ts'
import type { Task } from '../../lib/run/task.ts'
import type { Entry, Fact } from '../../testing/index.ts'
import { History } from '../../testing/index.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import { Loop } from '../../testing/simulated/loop.ts'
import { LoopClock } from '../../testing/simulated/loop-clock.ts'
import type { Machine } from '../../testing/simulated/machine.ts'
import type { SimulatedProcess } from '../../testing/simulated/process.ts'
import type { RecordHandler } from '../../testing/witness.ts'
import { type SimulatedIsolate, SimulatedIsolates } from '../support/simulated-isolates.ts'
import type { IsolatePlan, Script } from './plan.ts'

/** A body was called in an isolate, or an isolate ended by itself: after the entry of that number. */
export interface IsolateFact {
  readonly after: number
  readonly life: string
  readonly isolate: number
  /** Absent: the isolate ended. */
  readonly job?: string
}

type RunFact = Extract<Fact, { readonly job: string; readonly attempt: number; readonly fence?: number }>

/** The facts that a body itself causes. */
const ofBodies: readonly string[] = ['launch', 'release', 'progress', 'checkpoint', 'stored', 'spent']

/** A history to which the bodies of dead isolates add nothing. */
export class HistoryOfIsolates extends History {
  readonly isolates: Map<string, IsolatesOfLife> = new Map()
  override add(fact: Fact, process = 'main', queue = ''): void {
    const isolates = this.isolates.get(process)
    if (isolates && ofBodies.includes(fact.kind) && !isolates.takes(fact as RunFact, queue)) return
    super.add(fact, process, queue)
  }
}

export class IsolatesOfLife {
  readonly facts: IsolateFact[]
  readonly #history: HistoryOfIsolates
  readonly #machine: Machine
  readonly #life: string
  readonly #isolates: SimulatedIsolates
  readonly #loops = new Map<number, Loop>()
  readonly #bodies = new WeakMap<SimulatedIsolate, Handler<Script, string>>()
  readonly #ofTask = new WeakMap<Task, SimulatedIsolate>()
  /** Where each job was called last, and its body there while it runs. */
  readonly #places = new Map<string, SimulatedIsolate>()
  readonly #running = new Map<string, { readonly fact: RunFact; readonly queue: string }>()
  /** Bodies of dead isolates. */
  readonly #gone = new Set<string>()
  readonly #recorded: Handler<Script, string>
  #crashed = false

  constructor(
    { machine, clock }: SimulatedProcess,
    parts: { readonly history: HistoryOfIsolates; readonly facts: IsolateFact[]; readonly life: string },
    plan: IsolatePlan,
    record: RecordHandler,
    generates: (script: Script) => boolean,
    bodyOf: (isolate: SimulatedIsolate) => Handler<Script, string>,
  ) {
    const { history, facts, life } = parts
    this.facts = facts
    this.#history = history
    this.#machine = machine
    this.#life = life
    const chance = new Chance(machine.chance.below(2 ** 31))
    this.#recorded = record<Script, string>((script, task) => {
      const isolate = this.#ofTask.get(task) as SimulatedIsolate
      return (this.#bodies.get(isolate) as Handler<Script, string>)(script, task)
    }, generates)
    const start = (id: number): LoopClock => {
      const loop = new Loop(`${life} isolate ${id}`)
      machine.add(loop)
      this.#loops.set(id, loop)
      return new LoopClock(machine, loop)
    }
    const died = (isolate: SimulatedIsolate): void => this.#died(isolate)
    const body = (script: Script, task: Task, isolate: SimulatedIsolate): unknown => {
      if (!this.#bodies.has(isolate)) this.#bodies.set(isolate, bodyOf(isolate))
      this.#ofTask.set(task, isolate)
      this.#places.set(task.id, isolate)
      isolate.jobs++
      isolate.running.add(task.id)
      facts.push({ after: history.entries.length, life, isolate: isolate.id, job: task.id })
      return this.#recorded(script, task)
    }
    this.#isolates = new SimulatedIsolates(clock, chance, body, { start, died })
    this.#isolates.refusals = plan.refusals
    history.isolates.set(life, this)
  }
  get handler(): URL {
    return this.#isolates.handler
  }
  get living(): readonly SimulatedIsolate[] {
    return this.#isolates.living
  }
  #loopOf({ id }: SimulatedIsolate): Loop {
    return this.#loops.get(id) as Loop
  }

  /** Whether a fact of a body is to be recorded. */
  takes(fact: RunFact, queue: string): boolean {
    const key = `${fact.job} ${fact.fence}`
    // The fences of a job that was removed and put again begin anew.
    if (fact.kind === 'launch' && !this.#places.get(fact.job)?.isDead) this.#gone.delete(key)
    if (this.#gone.has(key)) return false
    if (fact.kind === 'launch') this.#running.set(key, { fact, queue })
    if (fact.kind === 'release') {
      this.#running.delete(key)
      this.#places.get(fact.job)?.running.delete(fact.job)
    }
    return true
  }
  /** It ends by itself, or somebody kills it. */
  die(isolate: SimulatedIsolate): void {
    this.facts.push({ after: this.#history.entries.length, life: this.#life, isolate: isolate.id })
    isolate.die()
  }
  /** The process of the queue is dead. */
  crash(): void {
    this.#crashed = true
    for (const isolate of this.living) isolate.disappear()
  }
  /** Blocks the loop of an isolate until that instant; Infinity: for ever. */
  block(isolate: SimulatedIsolate, until: number): void {
    this.#loopOf(isolate).awakeAt = until
  }
  /** Its process is stopped, and all that belong to it with it. */
  freeze(): void {
    for (const loop of this.#loops.values()) loop.awakeAt = Infinity
  }
  /** Whoever blocks it ends that. */
  unblock(): void {
    for (const loop of this.#loops.values()) loop.awakeAt = 0
  }
  /** From now on its module can be loaded. */
  mend(): void {
    this.unblock()
    this.#isolates.refusals = 0
  }
  #died(isolate: SimulatedIsolate): void {
    this.#machine.remove(this.#loopOf(isolate))
    if (this.#crashed) return
    for (const [key, { fact, queue }] of this.#running) {
      if (this.#places.get(fact.job) !== isolate) continue
      const { job, attempt, fence } = fact
      const run = { job, attempt, ...(fence !== undefined && { fence }) }
      this.#history.add({ kind: 'release', ...run, how: 'threw', code: 'ISOLATE_ENDED' }, this.#life, queue)
      this.#gone.add(key)
    }
  }
}

/**
 * The history, with each isolate as a process of its own, whose death is a crash. A run belongs to the isolate in which
 * its body was called. Whatever happens to the process happens to all of its isolates.
 */
export function asProcesses(entries: readonly Entry[], facts: readonly IsolateFact[]): readonly Entry[] {
  const all: Entry[] = []
  const places = new Map<string, string>()
  const isolatesOf = new Map<string, Set<string>>()
  let next = 0
  /** Adds what happened in isolates before that entry. */
  const follow = ({ seq, nowMs, wallMs }: Entry): void => {
    for (; next < facts.length && (facts[next] as IsolateFact).after < seq; next++) {
      const { life, isolate, job } = facts[next] as IsolateFact
      const process = `${life} isolate ${isolate}`
      isolatesOf.set(life, (isolatesOf.get(life) ?? new Set()).add(process))
      const stamp = { seq, nowMs, wallMs, process, queue: '' }
      if (job === undefined) all.push({ ...stamp, kind: 'crash' })
      else {
        places.set(`${life} ${job}`, process)
        all.push({ ...stamp, kind: 'emitted', event: 'underway', job })
      }
    }
  }
  for (const entry of entries) {
    follow(entry)
    const ofProcess =
      entry.kind === 'crash' || entry.kind === 'fault' || (entry.kind === 'emitted' && entry.event === 'stalled')
    if (ofProcess) {
      all.push(entry)
      for (const process of isolatesOf.get(entry.process) ?? []) all.push({ ...entry, process })
      continue
    }
    const isHandedOver = entry.kind === 'emitted' && entry.event === 'underway'
    const job = 'job' in entry ? entry.job : undefined
    const process = places.get(`${entry.process} ${job}`)
    if (process === undefined) all.push(entry)
    else if (!isHandedOver) all.push({ ...entry, process })
  }
  return all
}

/**
 * The history, with the start of each body at the moment at which it was handed over: a start that is on its way when a
 * queue is paused or stopped counts as one from before.
 */
export function asHandedOver(entries: readonly Entry[]): readonly Entry[] {
  const given = new Map<string, number>()
  const moved = new Map<number, Entry[]>()
  const launches = new Set<Entry>()
  for (const [i, entry] of entries.entries()) {
    if (entry.kind === 'emitted' && entry.event === 'underway') given.set(`${entry.process} ${entry.job}`, i)
    const at = entry.kind === 'launch' ? given.get(`${entry.process} ${entry.job}`) : undefined
    if (at === undefined) continue
    launches.add(entry)
    moved.set(at, [...(moved.get(at) ?? []), entry])
  }
  return entries.flatMap((entry, i) => (launches.has(entry) ? [] : [entry, ...(moved.get(i) ?? [])]))
}
