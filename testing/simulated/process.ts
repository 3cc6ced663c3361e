/**
 * A simulated process: its main loop, its clock, and a thread for each file that it opens. After its death none of its
 * callbacks, timers and replies has any effect, and its locks are released, as the kernel would release them.
 */
import type { Backlog, BacklogSession, SessionOptions } from '../../lib/backlog.ts'
import type { Clock } from '../../lib/clock.ts'
import { defaultTransport } from '../../persistence/durable/transport.ts'
import { attachSession } from '../../persistence/sqlite/backlog.ts'
import type { Durability, FileToOpen } from '../../persistence/sqlite/file/file-to-open.ts'
import { fileAt } from '../../persistence/sqlite/file/open.ts'
import type { Thread, ThreadEvents, ThreadHost } from '../../persistence/sqlite/thread/thread-host.ts'
import { Loop } from './loop.ts'
import { LoopClock } from './loop-clock.ts'
import type { Machine } from './machine.ts'
import { type Points, SimulatedThread } from './thread.ts'

export interface BacklogOptions {
  readonly durability?: Durability
  readonly stallMs?: number
}

export class SimulatedProcess {
  readonly name: string
  readonly machine: Machine
  readonly loop: Loop
  readonly clock: Clock
  readonly threads: SimulatedThread[] = []
  readonly #host: ThreadHost

  /** @param points Called at the points of its threads' transactions, where faults may be injected. */
  constructor(machine: Machine, name: string, points: Points) {
    this.name = name
    this.machine = machine
    this.loop = new Loop(name)
    machine.add(this.loop)
    this.clock = new LoopClock(machine, this.loop)
    const start = (opening: FileToOpen, events: ThreadEvents): Thread => {
      const thread = new SimulatedThread(this, opening, events, points)
      this.threads.push(thread)
      return thread
    }
    this.#host = {
      process: this,
      find: async path => ({ path, key: fileAt(path) ?? '' }),
      start,
    }
  }
  get dead(): boolean {
    return this.loop.dead
  }
  /** The living thread, if any. */
  get thread(): SimulatedThread | undefined {
    return this.threads.find(({ dead }) => !dead)
  }
  /** A backlog for queues of this process, on an existing file. */
  backlog(path: string, { durability = 'power', stallMs = 300_000 }: BacklogOptions = {}): Backlog {
    const attach = (options: SessionOptions): Promise<BacklogSession> =>
      attachSession(options, path, { durability, stallMs, host: this.#host })
    return { durable: true, strict: true, transport: defaultTransport, attach }
  }
  /** SIGKILL. */
  kill(): void {
    this.machine.remove(this.loop)
    for (const thread of this.threads) thread.kill()
  }
  /** SIGSTOP; SIGCONT is {@link thaw}. */
  freeze(): void {
    for (const { loop } of [this, ...this.threads]) loop.awakeAt = Infinity
  }
  thaw(): void {
    for (const { loop } of [this, ...this.threads]) loop.awakeAt = 0
  }
  /** Blocks its loop for that long; its threads continue. */
  block(ms: number): void {
    this.loop.awakeAt = Math.max(this.loop.awakeAt, this.machine.now + ms)
  }
}
