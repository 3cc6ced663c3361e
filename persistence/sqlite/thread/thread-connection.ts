/**
 * The connection to the store of a file: a thread of this process that holds the file. A thread that dies is restarted.
 * If the disk or a lock keep the new thread from opening a file that was open before, the opening is retried for a
 * while.
 */
import type { Clock, Timer } from '../../../lib/clock.ts'
import { makeId, nextSerial } from '../../../lib/job-id.ts'
import { type ClockMapping, hostMapping } from '../../durable/clock-mapping.ts'
import type { Connection, ConnectionEvents } from '../../durable/connection.ts'
import { fromWire } from '../../durable/errors.ts'
import type { NumberedRequest } from '../../durable/store.ts'
import { BacklogThreadError, isMissingFile, ThreadFileError } from '../errors.ts'
import type { Durability, FileToOpen } from '../file/file-to-open.ts'
import type { FileFound } from '../file/open.ts'
import type { FromThread } from './messages.ts'
import type { Thread, ThreadHost } from './thread-host.ts'

/** A thread that dies this soon after its restart is not restarted again. */
const minLifeMs = 30_000
/** How often, and for how long, the opening of a file that was open before is retried. */
const reopenMs = 250
const maxReopenMs = 60_000

/** Temporary faults: they end when the disk or a lock is free again. */
const transientCodes: ReadonlySet<unknown> = new Set(['BACKLOG_DISK', 'BACKLOG_BUSY', 'DISK_FULL'])

export interface ThreadConnectionOptions {
  readonly durability: Durability
  readonly stallMs: number
  /** The process of the connection. */
  readonly host: ThreadHost
}

/**
 * | from | event | to |
 * | --- | --- | --- |
 * | starting | the thread has opened the file | open |
 * | starting | it was refused for a fault that may pass, a file that was open before | refused |
 * | refused | the thread has ended | waiting |
 * | waiting | a while has passed | starting |
 * | starting, open | the thread died, for the first time or after a long life | starting |
 * | starting, open | it was refused for another fault, or died again | failed |
 * | starting, open, refused | the link closes the connection | shuttingDown |
 * | waiting | the same | closed |
 * | shuttingDown | the thread has ended | closed |
 */
type State =
  | { readonly kind: 'starting'; readonly thread: Thread; readonly startedAt: number }
  | { readonly kind: 'open'; readonly thread: Thread; readonly startedAt: number }
  /** The thread could not reopen the file, and is about to end. */
  | { readonly kind: 'refused'; readonly thread: Thread }
  | { readonly kind: 'waiting'; readonly timer: Timer }
  | { readonly kind: 'shuttingDown'; readonly thread: Thread; readonly closed: () => void }
  | { readonly kind: 'closed' | 'failed' }

export class ThreadConnection implements Connection {
  readonly mapping: ClockMapping
  readonly outside = true
  readonly #file: FileFound
  readonly #host: ThreadHost
  readonly #clock: Clock
  readonly #opening: FileToOpen
  #events!: ConnectionEvents
  #state!: State
  #keepsProcessAlive = false
  /** The file has been open, so a fault that keeps it from being reopened may be temporary. */
  #hasBeenOpen = false
  #restarted = false
  /** Since when the file cannot be reopened. */
  #shutSince: number | undefined
  /** The error that the thread has thrown. */
  #thrown: unknown
  /** Resolved when the thread has checked whether its file is still at its path. */
  #checkWaiters: (() => void)[] = []

  constructor(file: FileFound, { durability, stallMs, host }: ThreadConnectionOptions, clock: Clock) {
    this.mapping = hostMapping(clock)
    this.#file = file
    this.#host = host
    this.#clock = clock
    // The token names the lock file, and the owner of leases.
    const worker = makeId(clock.wall(), nextSerial())
    const boot = clock.origin?.boot ?? worker
    this.#opening = { path: file.path, file: file.key, worker, boot, durability, stallMs }
  }
  start(events: ConnectionEvents): void {
    this.#events = events
    this.#startThread()
  }
  send(requests: readonly NumberedRequest[]): void {
    if ('thread' in this.#state) this.#state.thread.post({ kind: 'requests', requests: requests })
  }
  isTransient(error: unknown): boolean {
    return transientCodes.has((error as { code?: unknown }).code)
  }
  ref(): void {
    this.#keepsProcessAlive = true
    this.#handle?.ref()
  }
  unref(): void {
    this.#keepsProcessAlive = false
    this.#handle?.unref()
  }
  close(): Promise<void> {
    const state = this.#state
    if (state.kind === 'waiting') state.timer.cancel()
    if (!('thread' in state)) {
      this.#state = { kind: 'closed' }
      this.#fileChecked()
      return Promise.resolve()
    }
    return new Promise(closed => {
      const { thread } = state
      this.#state = { kind: 'shuttingDown', thread, closed }
      thread.post({ kind: 'close' })
    })
  }
  /** Resolves when the thread has checked its file, or has released it. */
  checkFile(): Promise<void> {
    return new Promise(resolve => {
      if (this.#state.kind === 'closed' || this.#state.kind === 'failed') return resolve()
      this.#checkWaiters.push(resolve)
      if ('thread' in this.#state) this.#state.thread.post({ kind: 'checkFile' })
    })
  }

  get #handle(): { ref(): void; unref(): void } | undefined {
    if ('thread' in this.#state) return this.#state.thread
    return this.#state.kind === 'waiting' ? this.#state.timer : undefined
  }
  #startThread(): void {
    this.#thrown = undefined
    const thread = this.#host.start(this.#opening, {
      message: message => this.#receive(message),
      error: error => {
        this.#thrown = error
      },
      exit: code => this.#exited(code),
    })
    this.#state = { kind: 'starting', thread, startedAt: this.#clock.now() }
    if (this.#keepsProcessAlive) thread.ref()
    if (this.#checkWaiters.length > 0) thread.post({ kind: 'checkFile' })
  }
  #receive(message: FromThread): void {
    switch (message.kind) {
      case 'open':
        return this.#opened()
      case 'refused':
        return this.#refused(fromWire(message.error))
      case 'fileChecked':
        return this.#fileChecked()
      case 'replies':
        return this.#events.replies(message.replies)
      case 'changed':
        return this.#events.changed(message.queues)
      case 'ping':
        return 'thread' in this.#state ? this.#state.thread.post({ kind: 'pong' }) : undefined
      case 'stalled':
        return this.#events.stalled()
      case 'trouble':
        return this.#events.trouble(fromWire(message.error))
      default:
        return message satisfies never
    }
  }
  #opened(): void {
    if (this.#state.kind !== 'starting') return
    this.#state = { ...this.#state, kind: 'open' }
    this.#hasBeenOpen = true
    this.#shutSince = undefined
    this.#events.opened()
  }
  /** The thread could not open the file, or has released it. All its requests are answered. */
  #refused(error: Error): void {
    const { kind } = this.#state
    if (kind !== 'starting' && kind !== 'open') return
    const now = this.#clock.now()
    const passes = this.#hasBeenOpen && kind === 'starting' && this.isTransient(error)
    const isOver = this.#shutSince !== undefined && now - this.#shutSince > maxReopenMs
    if (!passes || isOver) return this.#fail(error)
    if (this.#shutSince === undefined) this.#events.trouble(error)
    this.#shutSince ??= now
    this.#state = { kind: 'refused', thread: this.#state.thread }
  }
  #exited(code: number): void {
    const state = this.#state
    this.#fileChecked()
    switch (state.kind) {
      case 'starting':
      case 'open': {
        const cause = this.#thrown ?? new Error(`the thread ended with exit code ${code}`)
        if (state.kind === 'open') this.#events.disconnected(cause)
        if (isMissingFile(cause)) return this.#fail(new ThreadFileError(this.#file.path, { cause }))
        if (this.#restarted && this.#clock.now() - state.startedAt < minLifeMs) {
          return this.#fail(new BacklogThreadError(this.#file.path, { cause }))
        }
        this.#restarted = true
        return this.#startThread()
      }
      case 'refused': {
        const timer = this.#clock.at(this.#clock.now() + reopenMs, () => this.#startThread())
        this.#state = { kind: 'waiting', timer }
        if (!this.#keepsProcessAlive) timer.unref()
        return
      }
      case 'shuttingDown':
        this.#state = { kind: 'closed' }
        return state.closed()
    }
  }
  #fail(error: Error): void {
    this.#state = { kind: 'failed' }
    this.#fileChecked()
    this.#events.failed(error)
  }
  #fileChecked(): void {
    for (const resolve of this.#checkWaiters.splice(0)) resolve()
  }
}
