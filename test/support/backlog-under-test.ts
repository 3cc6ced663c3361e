/**
 * Runs the journeys of test/flow/ on the backlog under test: memory, or the one that the importing file has set.
 *
 * A journey takes `test`, `DispatchQueue`, `sharedBacklog` and `strict` from here. Run by itself it uses memory. The
 * files in test/flow/sqlite/, naive/ and remote/ set another backlog and import journeys, so that each is written once.
 *
 * Differences of backlogs that outlive their process, which a journey expresses by `durable()` or `unrun`:
 * - a payload is what JSON gives back, not the object that was put, and what JSON would change is refused;
 * - a stop gives no jobs back: they stay, at their places, and their promises reject with `willRunLater`;
 * - between the answer to a put and the next line jobs may have started, as a thread of its own took them in: a journey
 *   that wants them waiting pauses first;
 * - a change is a question to the file, and a body may start and end before its answer.
 */
import ava, { type ExecutionContext } from 'ava'
import type { Backlog } from '../../lib/backlog.ts'
import { type Job, MemoryBacklog, DispatchQueue as Queue, type QueueOptions } from '../../lib/index.ts'
import type { Handler } from '../../lib/run/run.ts'
import { VirtualClock } from '../../testing/index.ts'

export interface BacklogUnderTest {
  readonly name: string
  readonly durable: boolean
  /** A backlog that nobody else has; `json`: one that refuses what JSON would change. */
  make(json?: boolean): Backlog
  /** Journeys that another backlog does not go, by their titles, and why. */
  readonly apart: Readonly<Record<string, string>>
}

/** Journeys that no backlog goes that answers later and stores JSON. */
export const durableApart: BacklogUnderTest['apart'] = {
  'F47: a job that is cancelled between its claim and its launch is not called, and can be put anew':
    'the launch comes before the answer of the store',
  'F31: in memory a payload that JSON would change reaches the handler by reference': 'a store holds what JSON can',
  'F33: a part that a payload shares in many places is visited once': 'JSON writes it out in each place',
}

export const memory: BacklogUnderTest = {
  name: 'memory',
  durable: false,
  make: (json = false) => new MemoryBacklog({ json }),
  apart: {},
}

let underTest = memory
const made = new Map<object, QueueOptions>()

/** Sets what the journeys that are imported next run on. */
export function runOn(other: BacklogUnderTest): void {
  underTest = other
}

/** Whether what is accepted outlives the process on the backlog under test. */
export const durable = (): boolean => underTest.durable

/** The options of a queue whose backlog refuses what JSON would change, as a durable one does anyway. */
export const strict = (): { readonly backlog?: Backlog } => (underTest.durable ? {} : { backlog: underTest.make(true) })

/** For queues that share one. */
export const sharedBacklog = (): Backlog => underTest.make()

/** The queue of users, on the backlog under test unless the journey names one. */
export class DispatchQueue<Payload = unknown, Result = unknown> extends Queue<Payload, Result> {
  constructor(handler: Handler<Payload, Result> | null, options?: QueueOptions<Payload, Result>) {
    const where = placed(options)
    super(handler, where)
    made.set(this, where as QueueOptions)
  }
}

/** What is wrong with options stays as wrong as it is. */
function placed<P, R>(options: QueueOptions<P, R> | undefined): QueueOptions<P, R> | undefined {
  if (underTest === memory || options?.backlog !== undefined) return options
  return { name: 'queue', ...options, backlog: underTest.make() }
}

/**
 * Stops the queue. Resolves with what had not run to its end: what memory gives back, cut-short ones first; or what stays
 * in a durable backlog, by its place there, as whoever opens it next finds it.
 */
export async function unrun<P, R>(queue: DispatchQueue<P, R>): Promise<readonly Job<P, R>[]> {
  const { returned, left } = await queue.stop()
  const { backlog, clock } = made.get(queue) ?? {}
  if (!backlog?.durable) return returned
  const next = new Queue<P, R>(null, { backlog, name: queue.name, ...(clock && { clock }) })
  const waiting = [...(await next.jobs({ state: 'pending' })), ...(await next.jobs({ state: 'delayed' }))]
  await next.stop()
  if (returned.length > 0) throw new Error('a durable backlog gives no jobs back')
  if (waiting.length !== left) throw new Error(`${left} were said to be left, and there are ${waiting.length}`)
  return waiting
}

type Run = (t: ExecutionContext) => void | Promise<void>

type Register = (title: string, run: Run) => void

const registered =
  (register: Register): Register =>
  (title, run) => {
    if (underTest.apart[title] === undefined) register(`${underTest.name}: ${title}`, run)
  }

/** Registers a journey of a process of its own, which has a queue in memory whatever the backlog under test. */
const inMemory: Register = (title, run) => {
  if (underTest === memory) registered(ava)(title, run)
}

/** ava's, with the backlog's name before each title. */
export const test: Register & { readonly serial: Register; readonly inMemory: Register } = Object.assign(
  registered(ava),
  { serial: registered(ava.serial), inMemory },
)

ava.after.always('every queue comes to its end', async () => {
  await Promise.all(
    [...made].map(async ([queue, options]) => {
      const stopped = (queue as DispatchQueue).stop({ cancelUnderway: true })
      // So long a stop waits for bodies that do not end.
      if (options?.clock instanceof VirtualClock) await options.clock.advance(10_000)
      await stopped
    }),
  )
})
