/**
 * This side of the thread: what is asked gathers here, goes over together and is answered one by one. One channel for each
 * file and process, whatever names the file has, for as long as queues are on it.
 *
 * It knows requests and not what they mean, but for what a death of the thread makes of them.
 */
import type { StateCounts } from '../../lib/backlog.ts'
import { inCleanContext } from '../../lib/clean-context.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import { OptionError, QueueNameTakenError } from '../../lib/errors.ts'
import { makeId, nextSerial } from '../../lib/id.ts'
import { inTurn } from '../durable/attach-order.ts'
import { fromWire } from '../durable/errors.ts'
import type { Member } from '../durable/link-client.ts'
import { Outbox } from '../durable/outbox.ts'
import { closed, type Pending, passes, weigh } from '../durable/pending-request.ts'
import { forgetPutSignals } from '../durable/put-signals.ts'
import type { Attached, NumberedReply, PutDone, Request } from '../durable/store.ts'
import { lost, Unsure, unknown } from '../durable/unanswered.ts'
import { BacklogGoneError, BacklogThreadError, isMissingFile, ThreadFileError } from './errors.ts'
import type { FileFound } from './file.ts'
import type { Host, Thread } from './host.ts'
import { LeftBodies } from './left.ts'
import type { Durability, FromThread, Opening, ToThread } from './messages.ts'

/** Puts that are not answered yet: beyond this, further ones wait on this side. */
const jobsMost = 10_000
const bytesMost = 16 * 2 ** 20
/** A thread that dies so soon after it was started anew is not started again. */
const diesAgainMs = 30_000
/** A file that was open is tried again so often, for so long, when the disk or a lock keep a new thread from opening it. */
const reopenMs = 250
const reopenMostMs = 60_000

export interface ChannelOptions {
  readonly durability: Durability
  readonly stallMs: number
  /** The process that the channel is in. */
  readonly host: Host
}

const merged: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)

export class Channel {
  readonly #file: FileFound
  readonly #options: ChannelOptions
  readonly #clock: Clock
  readonly #opening: Opening
  readonly #members = new Set<Member>()
  /** Names whose bodies still run though their queue is gone: this process keeps their leases. */
  readonly #kept = new Set<string>()
  readonly #pending = new Map<number, Pending>()
  /** Not on its way yet: puts beyond the bound, and all that is asked before it is known what became of what was. */
  readonly #waiting: Pending[] = []
  readonly #unsure = new Unsure<Pending>()
  readonly #opened: Promise<void>
  readonly #outbox: Outbox
  readonly #left: LeftBodies
  #open!: (error?: unknown) => void
  #isOpen = false
  #thread: Thread
  #last = 0
  #number = 0
  #working = 0
  #held = false
  #jobs = 0
  #bytes = 0
  #startedAt: number
  #restarted = false
  /** What was answered last in this turn of the loop. */
  #told: 'turn' | 'other' | undefined
  /** Answers that wait until that has gone all its way. */
  #later: NumberedReply[] = []
  /** Why the file could not be opened again, and since when it is tried. */
  #shut: { readonly error: Error; readonly since: number } | undefined
  #reopening: Timer | undefined
  #dead: Error | undefined
  #cause: unknown
  #closing: Promise<void> | undefined
  #exited: (() => void) | undefined
  /** Who waits until the thread has looked whether its file still has its name. */
  #looks: (() => void)[] = []

  /** The channel of the file at `path`, with `member` on it. */
  static async join(path: string, options: ChannelOptions, member: Member, clock: Clock): Promise<Channel> {
    const { channels } = options.host
    const channel = await inTurn(channels, member, Channel.#find(path, options), file => {
      let channel = channels.get(file.key)
      if (!channel) channels.set(file.key, (channel = new Channel(file, options, clock)))
      channel.#enter(member, options, clock)
      return channel
    })
    try {
      await channel.#opened
      return channel
    } catch (error) {
      channel.#remove(member)
      throw error
    }
  }
  /** Finds the file. A channel that has another file by the same path lets go of that first: it would share its log. */
  static async #find(path: string, { host: { channels, find } }: ChannelOptions): Promise<FileFound> {
    for (;;) {
      const file = await find(path)
      const before = [...channels.values()].find(({ path, key }) => path === file.path && key !== file.key)
      if (!before) return file
      await before.#lookAgain()
    }
  }
  private constructor(file: FileFound, options: ChannelOptions, clock: Clock) {
    this.#file = file
    this.#options = options
    this.#clock = clock
    this.#left = new LeftBodies(options.host, file.key)
    this.#outbox = new Outbox(
      clock,
      asks => this.#post({ kind: 'asks', asks }),
      reply => this.#answerInOrder(reply),
    )
    // It names a lock file, and whose a lease is.
    const worker = makeId(clock.wall(), nextSerial())
    const boot = clock.origin?.boot ?? worker
    const { durability, stallMs } = options
    this.#opening = { path: file.path, file: file.key, worker, boot, durability, stallMs }
    this.#opened = new Promise((resolve, reject) => {
      this.#open = error => (error === undefined ? resolve() : reject(error))
    })
    this.#opened.catch(() => {})
    this.#startedAt = clock.now()
    this.#thread = this.#start()
    this.#hold()
  }
  get path(): string {
    return this.#file.path
  }
  get key(): string {
    return this.#file.key
  }
  /** The same for all channels of the process. */
  get process(): object {
    return this.#options.host.channels
  }
  /** How many bodies run in this process, of all queues that are on the file, or were before they stopped. */
  get bodies(): number {
    return [...this.#members].reduce((bodies, { running }) => bodies + running, this.#left.count)
  }
  /** The number of a turn: grows over all queue objects that are on the file in this process. */
  nextNumber(): number {
    this.#number += 1
    return this.#number
  }
  /** Resolves with what the store answers. Rejects with its error, and with QueueStoppedError when the file is closed. */
  ask<T>(request: Request): Promise<T> {
    return this.#ask(request, pending => {
      const waits = this.#recovers || (pending.jobs > 0 && (this.#waiting.length > 0 || !this.#fits(pending)))
      if (waits) this.#waiting.push(pending)
      else this.#send(pending)
    })
  }
  #ask<T>(request: Request, go: (pending: Pending) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#dead) return reject(this.#dead)
      // The last queue has left, and nobody answers any more.
      if (this.#closing) return reject(closed())
      go({ request, ...weigh(request), resolve, reject } as Pending)
      this.#hold()
    })
  }
  /** Other queue objects of this process count what is under their name alike, and look at what `changed`. */
  tellOthers(teller: Member, counts: StateCounts | undefined, changed: boolean): void {
    for (const member of this.#members) {
      if (member === teller || member.name !== teller.name) continue
      if (counts) member.counted(counts)
      if (changed) member.wake()
    }
  }
  /** Resolves when nothing of `member` is left here; with the last one the file is closed. */
  async leave(member: Member, keepsLeases: boolean): Promise<void> {
    this.#remove(member)
    this.#left.add(member)
    if (keepsLeases) this.#kept.add(member.name)
    this.#hold()
    if (this.#members.size > 0 || this.#kept.size > 0) return
    await this.#close()
  }

  #enter(member: Member, options: ChannelOptions, clock: Clock): void {
    if (options.durability !== this.#options.durability) {
      throw new OptionError(
        'durability',
        options.durability,
        `must be '${this.#options.durability}', as of the other queues of this process on '${this.path}'`,
      )
    }
    if (clock.origin?.boot !== this.#clock.origin?.boot) {
      throw new OptionError('clock', clock, `must be of the kind that the other queues on '${this.path}' have`)
    }
    if (member.works && [...this.#members].some(({ works, name }) => works && name === member.name)) {
      throw new QueueNameTakenError(member.name)
    }
    this.#members.add(member)
    if (member.works) this.#working++
    this.#hold()
  }
  #remove(member: Member): void {
    if (this.#members.delete(member) && member.works) this.#working--
    this.#hold()
  }
  #start(): Thread {
    this.#held = false
    return this.#options.host.start(this.#opening, {
      message: message => this.#take(message),
      error: error => {
        this.#cause = error
      },
      exit: code => this.#exit(code),
    })
  }
  /** A queue that works keeps the process alive, and so does a question that has no answer yet. */
  #hold(): void {
    const waits = this.#pending.size + this.#waiting.length + this.#unsure.left > 0 || !this.#isOpen
    const holds = (this.#working > 0 || waits || this.#closing !== undefined) && !this.#dead
    if (holds === this.#held) return
    this.#held = holds
    if (holds) this.#thread.ref()
    else this.#thread.unref()
  }
  /** The thread has died, and what was asked of it is not asked anew yet: a later turn must not be done before. */
  get #recovers(): boolean {
    return this.#restarted && (!this.#isOpen || this.#unsure.left > 0)
  }
  #fits({ jobs, bytes }: Pending): boolean {
    return this.#jobs === 0 || (this.#jobs + jobs <= jobsMost && this.#bytes + bytes <= bytesMost)
  }
  #send(pending: Pending): void {
    this.#last += 1
    this.#jobs += pending.jobs
    this.#bytes += pending.bytes
    this.#pending.set(this.#last, pending)
    if (this.#isOpen) this.#outbox.push([this.#last, pending.request])
  }
  #sendWaiting(): void {
    if (this.#recovers) return
    while (this.#waiting[0] && this.#fits(this.#waiting[0])) this.#send(this.#waiting.shift() as Pending)
  }
  #post(message: ToThread): void {
    this.#thread.post(message)
  }
  /** Resolves when the thread has looked at its file, or has let go of it. */
  #lookAgain(): Promise<void> {
    return new Promise(resolve => {
      this.#looks.push(resolve)
      this.#post({ kind: 'look' })
    })
  }
  #looked(): void {
    for (const resolve of this.#looks.splice(0)) resolve()
  }

  #take(message: FromThread): void {
    switch (message.kind) {
      case 'open':
        return this.#begin(message.others)
      case 'refused':
        return this.#refused(fromWire(message.error))
      case 'looked':
        return this.#looked()
      case 'replies':
        for (const reply of message.replies) this.#answerInOrder(reply)
        this.#sendWaiting()
        return this.#hold()
      case 'changed':
        for (const member of this.#members) member.wake()
        return
      case 'ping':
        return this.#post({ kind: 'pong' })
      case 'stalled':
        for (const member of this.#members) if (member.works) member.stalled()
        return
      case 'trouble': {
        const error = fromWire(message.error)
        for (const member of this.#members) member.failed(error)
        return
      }
      default:
        return message satisfies never
    }
  }
  /**
   * What was put or changed is told before a turn that came behind it in the same transaction: that may launch the very job,
   * and the way of its answer is shorter. What was changed or read behind a turn is told after it: it may know of jobs that
   * ended in that turn what became of them since. So the one waits until the other has gone all its way. What was put behind
   * a turn waits too, so that the next turn is on its way before the answers to many puts take their time.
   */
  #answerInOrder(reply: NumberedReply): void {
    const [id] = reply
    const kind = this.#pending.get(id)?.request.kind
    const waits = this.#told === (kind === 'turn' ? 'other' : 'turn')
    if (waits || this.#later.length > 0) {
      this.#later.push(reply)
      if (this.#later.length === 1) this.#clock.soon(this.#answerLater)
      return
    }
    if (kind === 'turn') this.#outbox.answered()
    this.#answer(reply)
    if (this.#told === undefined) this.#clock.soon(this.#toldAll)
    this.#told = kind === 'turn' ? 'turn' : 'other'
  }
  readonly #toldAll = (): void => {
    this.#told = undefined
    this.#outbox.over()
  }
  readonly #answerLater = (): void => {
    const later = this.#later
    this.#later = []
    this.#told = undefined
    for (const reply of later) this.#answerInOrder(reply)
    this.#hold()
  }
  #answer([id, answered]: NumberedReply): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    this.#settle(id, pending)
    const { request } = pending
    if ('ok' in answered) {
      if (request.kind === 'put') this.#unsure.stored(request, answered.ok as PutDone)
      pending.resolve(answered.ok as never)
    } else if (answered.error.code === 'OUTCOME_UNKNOWN') pending.reject(unknown(request, fromWire(answered.error)))
    else pending.reject(fromWire(answered.error))
  }
  #settle(id: number, { jobs, bytes }: Pending): void {
    this.#pending.delete(id)
    this.#jobs -= jobs
    this.#bytes -= bytes
  }

  /** The file is open: what was asked so far goes over. */
  #begin(others: boolean): void {
    const before = [...this.#pending.values()]
    this.#pending.clear()
    this.#isOpen = true
    this.#shut = undefined
    this.#jobs = this.#bytes = 0
    if (this.#restarted) this.#reconcile(before, others)
    else for (const pending of before) this.#send(pending)
    // The first thread may have died before it had opened the file.
    this.#open()
    this.#hold()
  }
  /**
   * The thread was started again: the names are taken up anew, then each question finds out what became of it, in order.
   * What is asked meanwhile goes over behind them.
   */
  #reconcile(before: readonly Pending[], others: boolean): void {
    for (const member of this.#members) this.#takeUp(member, true)
    void this.#unsure.find(before, others, {
      look: request => this.#ask(request, pending => this.#send(pending)),
      again: pending => this.#send(pending),
      // Meanwhile the last queue may have left, or the thread have died for good.
      over: request => (this.#dead ? lost(request, this.#dead, this.path) : this.#closing && closed()),
      cause: () => this.#cause,
      done: () => this.#recovered(),
    })
  }
  #recovered(): void {
    const waiting = this.#waiting.splice(0)
    if (this.#closing) for (const { reject } of waiting) reject(closed())
    // Only puts go on waiting for room: a turn that did could be overtaken by the next.
    else for (const pending of waiting) pending.jobs > 0 ? this.#waiting.push(pending) : this.#send(pending)
    this.#sendWaiting()
    this.#hold()
  }
  /** Its own question for the name may be on its way too: twice is harmless. A fault that passes is told once, and tried out. */
  #takeUp(member: Member, tells: boolean): void {
    if (!this.#members.has(member)) return
    const now = this.#clock.now()
    const request = { ...member.attach, now: now + (this.#clock.origin?.offsetMs ?? 0), wall: this.#clock.wall() }
    this.#ask<Attached>(request, pending => this.#send(pending)).then(
      attached => member.taken(attached),
      error => {
        if (tells && this.#members.has(member)) member.failed(error)
        if (passes(error)) this.#clock.at(now + reopenMs, () => this.#takeUp(member, false))
      },
    )
  }
  /** A fault that passes keeps a file that was open shut for a while only; anything else is for good. */
  #refused(error: Error): void {
    const now = this.#clock.now()
    const tries = this.#restarted && passes(error)
    if (!tries || (this.#shut && now - this.#shut.since > reopenMostMs)) return this.#fail(error)
    if (!this.#shut) for (const member of this.#members) member.failed(error)
    this.#shut = { error, since: this.#shut?.since ?? now }
  }
  #exit(code: number): void {
    this.#isOpen = false
    this.#looked()
    this.#outbox.clear()
    if (this.#closing) {
      for (const { reject } of [...this.#pending.values(), ...this.#waiting.splice(0)]) reject(closed())
      return this.#exited?.()
    }
    if (this.#dead) return
    if (this.#shut) {
      this.#reopening = this.#clock.at(this.#clock.now() + reopenMs, () => {
        this.#reopening = undefined
        this.#startedAt = this.#clock.now()
        this.#thread = this.#start()
        this.#hold()
      })
      if (!this.#held) this.#reopening.unref()
      return
    }
    this.#cause ??= new Error(`the thread ended with exit code ${code}`)
    if (isMissingFile(this.#cause)) return this.#fail(new ThreadFileError(this.path, { cause: this.#cause }))
    const now = this.#clock.now()
    if (this.#restarted && now - this.#startedAt < diesAgainMs) {
      return this.#fail(new BacklogThreadError(this.path, { cause: this.#cause }))
    }
    this.#restarted = true
    this.#startedAt = now
    this.#thread = this.#start()
    this.#hold()
  }
  /** For good: all that was asked rejects, and whatever will be. */
  #fail(error: Error): void {
    const opened = this.#isOpen || this.#restarted
    this.#dead = error
    this.#isOpen = false
    this.#leaveHost()
    this.#looked()
    this.#open(error)
    const { path } = this
    // A thread that has let go of its file has told of all that it stored.
    const isSure = !opened || !this.#restarted || error instanceof BacklogGoneError
    for (const { request, reject } of this.#pending.values()) reject(isSure ? error : lost(request, error, path))
    // Never sent, so not stored.
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    this.#pending.clear()
    this.#hold()
    if (opened) for (const member of this.#members) member.failed(error)
  }
  #leaveHost(): void {
    const { channels } = this.#options.host
    if (channels.get(this.key) === this) channels.delete(this.key)
  }
  #close(): Promise<void> {
    if (this.#dead) return merged
    this.#closing ??= this.#opened
      .then(() => {
        this.#leaveHost()
        forgetPutSignals(this)
        return new Promise<void>(resolve => {
          if (this.#reopening) {
            this.#reopening.cancel()
            return resolve()
          }
          this.#exited = resolve
          this.#hold()
          this.#outbox.flush()
          this.#post({ kind: 'close' })
        })
      })
      .catch(() => {})
    return this.#closing
  }
}
