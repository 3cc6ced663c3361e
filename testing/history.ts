/**
 * A history: the log of one run, in one order. Checkers read it; the history itself judges nothing.
 *
 * It records a queue from outside: calls and their replies, the first line and the end of each handler, and events. The
 * logs of several processes, written as JSON lines, are merged into one history by the steady clock that they share.
 */
import { createHash } from 'node:crypto'
import { type Clock, systemClock } from '../lib/clock.ts'
import type { DispatchQueue } from '../lib/queue.ts'
import type { Entry, Fact } from './entry.ts'
import { type RecordHandler, Witness, type WitnessOptions } from './witness.ts'

export interface HistoryOptions {
  /** The clock of the watched queues; the system's by default. */
  readonly clock?: Clock | undefined
  /** Receives each entry at once as a line of JSON, for example to write it to a file that outlives the process. */
  readonly write?: ((line: string) => void) | undefined
}

// biome-ignore lint/suspicious/noExplicitAny: a queue of anything may be watched, and stays what it is.
type AnyQueue = DispatchQueue<any, any>

/** Fields whose numbers may be infinite, which JSON cannot write. */
const infinite: ReadonlySet<string> = new Set(['width', 'globalWidth', 'attempts', 'crashLimit', 'idsMs', 'most'])

export class History {
  readonly #entries: Entry[] = []
  readonly #clock: Clock
  readonly #write: ((line: string) => void) | undefined
  readonly #witnesses = new Map<AnyQueue, Witness>()
  #calls = 0
  #names = 0

  constructor({ clock = systemClock, write }: HistoryOptions = {}) {
    this.#clock = clock
    this.#write = write
  }
  /** In order. */
  get entries(): readonly Entry[] {
    return this.#entries
  }

  /**
   * Records a queue from now on: `history.watch(record => new DispatchQueue(record(send), options))`. Returns that
   * queue. It records every event, and gives an id to each put without one, unless `ids` is false.
   */
  watch<Q extends AnyQueue>(make: (record: RecordHandler) => Q, options: WitnessOptions = {}): Q {
    const { process = 'main' } = options
    const next = { call: () => ++this.#calls, name: () => ++this.#names }
    const witness = new Witness((queue, fact) => this.add(fact, process, queue), next, process)
    const queue = make((handler, generates) => witness.handler(handler, generates))
    witness.watch(queue, options)
    this.#witnesses.set(queue, witness)
    return queue
  }
  /** Adds an entry of your own: a fault, a measurement, an action of a store. */
  add(fact: Fact, process = 'main', queue = ''): void {
    const clock = this.#clock
    const nowMs = clock.now() + (clock.origin?.offsetMs ?? 0)
    const entry = { seq: this.#entries.length + 1, nowMs, wallMs: clock.wall(), process, queue, ...fact } as Entry
    this.#entries.push(entry)
    this.#write?.(lineOf(entry))
  }
  /** Adds that the process is dead. Nothing more of its queues is recorded, whatever their remains still do. */
  crash(process = 'main'): void {
    for (const [queue, witness] of this.#witnesses) {
      if (witness.process !== process) continue
      witness.silence()
      this.#witnesses.delete(queue)
    }
    this.add({ kind: 'crash' }, process)
  }
  /** Adds the present counters of the queue. */
  readCounts(queue: AnyQueue): void {
    this.#witnesses.get(queue)?.readCounts()
  }
  /**
   * Adds all jobs that the queue has, and its counters, as the inventory at the end. No call may be unanswered
   * meanwhile, and no other process active. Rejects like `queue.jobs`.
   */
  async inventory(queue: AnyQueue): Promise<void> {
    await this.#witnesses.get(queue)?.inventory()
  }

  /** As JSON lines. */
  toString(): string {
    return this.#entries.map(entry => `${lineOf(entry)}\n`).join('')
  }
  /** Equal for runs with the same entries in the same order at the same instants. */
  get digest(): string {
    const hash = createHash('sha256')
    for (const entry of this.#entries) hash.update(lineOf(entry))
    return hash.digest('hex')
  }
  /** Merges the logs of several processes of one machine into one history. An incomplete last line is left out. */
  static from(...logs: readonly string[]): History {
    const history = new History()
    const all = logs.flatMap(entriesOf).sort((a, b) => a.nowMs - b.nowMs)
    // Each process has numbered its calls from 1.
    const calls = new Map<string, number>()
    for (const [i, entry] of all.entries()) {
      if (!('call' in entry)) {
        history.#entries.push({ ...entry, seq: i + 1 })
        continue
      }
      const own = `${entry.process} ${entry.call}`
      const call = calls.get(own) ?? calls.size + 1
      calls.set(own, call)
      history.#entries.push({ ...entry, seq: i + 1, call })
    }
    return history
  }
}

function lineOf(entry: Entry): string {
  return JSON.stringify(entry, (_, value: unknown) => (value === Infinity ? 'Infinity' : value))
}

function entriesOf(log: string): Entry[] {
  const lines = log.split('\n').filter(line => line !== '')
  return lines.flatMap((line, i) => {
    try {
      return [
        JSON.parse(line, (name, value: unknown) => (value === 'Infinity' && infinite.has(name) ? Infinity : value)),
      ]
    } catch (error) {
      if (i === lines.length - 1 && !log.endsWith('\n')) return []
      throw new Error(`line ${i + 1} of the log is no entry: ${line.slice(0, 80)}`, { cause: error })
    }
  })
}
