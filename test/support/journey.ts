/**
 * The journeys of test/flow/ on the backlog under test: memory, or what the file that imports a journey has set before.
 *
 * A journey takes `test`, `DispatchQueue` and `sharedBacklog` from here. Run by itself it is on memory; the files in
 * test/flow/sqlite/ set SQLite and import it, so that each journey stands once.
 */
import ava, { type ExecutionContext } from 'ava'
import type { Backlog } from '../../lib/backlog.ts'
import { MemoryBacklog, DispatchQueue as Queue, type QueueOptions } from '../../lib/index.ts'
import type { Handler } from '../../lib/run.ts'
import { VirtualClock } from '../../lib/testing.ts'

export interface Ground {
  readonly name: string
  readonly durable: boolean
  /** A backlog that nobody else has. */
  make(): Backlog
  /** Journeys that another backlog does not go, by their titles, and why. */
  readonly apart: Readonly<Record<string, string>>
}

export const memory: Ground = { name: 'memory', durable: false, make: () => new MemoryBacklog(), apart: {} }

let ground = memory
const made = new Set<Queue<never, never>>()
const clocks = new WeakMap<object, VirtualClock>()

/** Sets what the journeys that are imported next run on. */
export function runOn(other: Ground): void {
  ground = other
}

/** Whether what is accepted outlives the process on the backlog under test. */
export const durable = (): boolean => ground.durable

/** For queues that share one. */
export const sharedBacklog = (): Backlog => ground.make()

/** The queue of users, on the backlog under test unless the journey names one. */
export class DispatchQueue<Payload = unknown, Result = unknown> extends Queue<Payload, Result> {
  constructor(handler: Handler<Payload, Result> | null, options?: QueueOptions<Payload, Result>) {
    super(handler, placed(options))
    made.add(this as unknown as Queue<never, never>)
    if (options?.clock instanceof VirtualClock) clocks.set(this, options.clock)
  }
}

/** What is wrong with options stays as wrong as it is. */
function placed<P, R>(options: QueueOptions<P, R> | undefined): QueueOptions<P, R> | undefined {
  if (!ground.durable || options?.backlog !== undefined) return options
  return { name: 'queue', ...options, backlog: ground.make() }
}

type Run = (t: ExecutionContext) => void | Promise<void>

type Register = (title: string, run: Run) => void

const registered =
  (register: Register): Register =>
  (title, run) => {
    if (ground.apart[title] === undefined) register(`${ground.name}: ${title}`, run)
  }

/** ava's, with the backlog's name before each title. */
export const test: Register & { readonly serial: Register } = Object.assign(registered(ava), {
  serial: registered(ava.serial),
})

ava.after.always('every queue comes to its end', async () => {
  await Promise.all(
    [...made].map(async queue => {
      const stopped = queue.stop({ cancelUnderway: true })
      // So long a stop waits for bodies that do not end.
      await clocks.get(queue)?.advance(10_000)
      await stopped
    }),
  )
})
