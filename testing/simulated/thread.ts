/** The thread of a simulated process that holds the file. It runs the same code as a real one: thread/run-thread.ts. */

import type { Request } from '../../persistence/durable/store.ts'
import type { FileToOpen } from '../../persistence/sqlite/file/file-to-open.ts'
import type { SqliteLibrary } from '../../persistence/sqlite/file/library.ts'
import type { FromThread, ToThread } from '../../persistence/sqlite/thread/messages.ts'
import { type Port, runThread } from '../../persistence/sqlite/thread/run-thread.ts'
import type { Thread, ThreadEvents } from '../../persistence/sqlite/thread/thread-host.ts'
import { libraryOf } from './library.ts'
import { Loop } from './loop.ts'
import { LoopClock } from './loop-clock.ts'
import type { Machine } from './machine.ts'

/** The process of a thread, as far as its thread knows it. */
export interface ThreadOwner {
  readonly name: string
  readonly machine: Machine
  readonly loop: Loop
  readonly threads: readonly SimulatedThread[]
  readonly dead: boolean
  /** SIGKILL. */
  kill(): void
}

/**
 * The points at which a transaction on the file can be cut: before it is handled, before its commit, after its commit
 * and before its reply, and after the reply reached the process. The callback may kill the process or its thread, or
 * throw an error of SQLite.
 */
export type Point = 'received' | 'commit' | 'committed' | 'answered'

export type Points = (thread: SimulatedThread, point: Point, transaction: number, doing: string) => void

export class SimulatedThread implements Thread {
  readonly process: ThreadOwner
  readonly loop: Loop
  readonly #ears: ThreadEvents
  readonly #points: Points
  readonly #opened = new Set<() => unknown>()
  #take: ((message: ToThread) => void) | undefined
  /** The last request, which is not handled yet. */
  #work = 'open'
  /** The requests of its last transaction. */
  doing = ''
  /** The number of its last transaction, over all of the machine. */
  transaction = 0
  /** How many milliseconds its next message is delayed. */
  lateMs = 0

  constructor(process: ThreadOwner, opening: FileToOpen, events: ThreadEvents, points: Points) {
    const { machine } = process
    this.process = process
    this.loop = new Loop(`${process.name}, thread ${process.threads.length + 1}`)
    this.#ears = events
    this.#points = points
    machine.add(this.loop)
    const clock = new LoopClock(machine, this.loop)
    const Library = (): SqliteLibrary =>
      libraryOf(machine.library(), opening.path, this.#opened, () => this.dead, {
        begin: () => {
          this.#alive()
          this.transaction = ++machine.transactions
          this.doing = this.#work
          this.#points(this, 'received', this.transaction, this.doing)
          this.#alive()
        },
        commit: () => this.#pass('commit'),
        committed: () => this.#pass('committed'),
      })
    const port: Port = {
      post: message => this.#post(message),
      listen: take => {
        this.#take = take
      },
      receive: () => this.#receive(),
      close: () => this.#exit(0),
    }
    this.loop.send({
      at: machine.now,
      deliver: () => void runThread(port, opening, { clock, load: Library }).catch(error => this.fail(error)),
    })
  }
  get dead(): boolean {
    return this.loop.dead
  }
  post(message: ToThread): void {
    if (this.process.dead || this.dead) return
    const copy = structuredClone(message)
    this.loop.send({ at: this.process.machine.now, message: copy, deliver: () => this.#received(copy) })
  }
  ref(): void {}
  unref(): void {}

  /** Kills the thread with everything that it has open; messages that it has not sent are lost. */
  kill(): void {
    if (this.dead) return
    this.process.machine.remove(this.loop)
    for (const close of this.#opened) close()
    this.#opened.clear()
  }
  /** The thread dies alone, and its process is notified. */
  fail(error: unknown): void {
    if (this.dead) return
    this.#send(() => this.#ears.error(error))
    this.#exit(1)
  }
  #exit(code: number): void {
    if (this.dead) return
    this.kill()
    this.#send(() => this.#ears.exit(code))
  }
  #received(message: ToThread): void {
    this.#note(message)
    try {
      this.#take?.(message)
    } catch (error) {
      this.fail(error)
    }
    this.#work = 'watch'
  }
  #note(message: ToThread): void {
    if (message.kind === 'requests') this.#work = message.requests.map(([, request]) => said(request)).join(' + ')
    else if (message.kind === 'close') this.#work = 'close'
  }
  #receive(): ToThread | undefined {
    const [next] = this.loop.inbox
    if (!next?.message || next.at > this.process.machine.now) return undefined
    this.loop.inbox.shift()
    this.#note(next.message as ToThread)
    return next.message as ToThread
  }
  #post(message: FromThread): void {
    if (this.dead) return
    const copy = structuredClone(message)
    const { transaction, doing } = this
    // From here on it does nothing that needs a promise.
    if (message.kind === 'open') {
      this.loop.promises = false
      this.#work = 'watch'
    }
    const delivered = (): void => {
      if (!this.process.dead) this.#points(this, 'answered', transaction, doing)
    }
    this.#send(() => this.#ears.message(copy), delivered)
  }
  #send(deliver: () => void, after?: () => void): void {
    const { loop, machine } = this.process
    loop.send({ at: machine.now + this.lateMs, deliver, after })
    this.lateMs = 0
  }
  #pass(point: Point): void {
    this.#alive()
    this.#points(this, point, this.transaction, this.doing)
    this.#alive()
  }
  /** A dead thread does nothing more. */
  #alive(): void {
    if (this.dead) throw new Error('the thread is dead')
  }
}

function said(request: Request): string {
  if (request.kind === 'put') return `put of ${request.ids.length}`
  if (request.kind === 'command') return request.command.kind
  if (request.kind !== 'exchange') return request.kind
  const { settled, checkpoints } = request
  const parts = [settled.seqs.length > 0 && `${settled.seqs.length} settled`]
  parts.push(checkpoints.length > 0 && `${checkpoints.length} checkpoints`)
  return ['exchange', ...parts.filter(part => part !== false)].join(', ')
}
