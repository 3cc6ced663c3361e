/**
 * The event loop of a simulated thread: its pending deliveries, in three lanes.
 *
 * Within a lane the order is kept, as an event loop keeps it; between lanes, and between loops, the machine chooses.
 */
import type { Timer } from '../../lib/clock.ts'

export interface Letter {
  /** Not before this instant of the machine. */
  readonly at: number
  readonly deliver: () => void
  /** Whether it may continue in promises. */
  readonly promises?: boolean
  /** Its message, if the receiver may also take that by itself. */
  readonly message?: unknown
  /** Called when it has been delivered, and everything that followed from it without time is done. */
  readonly after?: (() => void) | undefined
}
interface Alarm {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

export class Loop {
  readonly name: string
  /** The loop has ended: it delivers nothing any more, and accepts nothing. */
  dead = false
  /** Whether deliveries may continue in promises, for which the real loop must take a turn. */
  promises = true
  /** Blocked before this instant, by a long step or by the host. */
  awakeAt = 0
  readonly inbox: Letter[] = []
  readonly #soon: { callback: (() => void) | undefined }[] = []
  readonly #alarms = new Set<Alarm>()
  #order = 0

  constructor(name: string) {
    this.name = name
  }
  end(): void {
    this.dead = true
    this.inbox.length = this.#soon.length = 0
    this.#alarms.clear()
  }
  send(letter: Letter): void {
    if (this.dead) return
    // A later delivery of a lane never overtakes an earlier one.
    const last = this.inbox[this.inbox.length - 1]
    this.inbox.push(last && last.at > letter.at ? { ...letter, at: last.at } : letter)
  }
  soon(callback: () => void): Timer {
    if (this.dead) return noTimer
    const entry: { callback: (() => void) | undefined } = { callback }
    this.#soon.push(entry)
    const cancel = (): void => {
      entry.callback = undefined
    }
    return { cancel, ref: none, unref: none }
  }
  at(at: number, callback: () => void): Timer {
    if (this.dead) return noTimer
    const alarm = { at, order: this.#order++, callback }
    this.#alarms.add(alarm)
    return { cancel: () => void this.#alarms.delete(alarm), ref: none, unref: none }
  }
  /** Adds the deliveries that are ready at `now`: the first of each lane. */
  ready(now: number, into: Letter[]): void {
    if (this.awakeAt > now) return
    const { promises } = this
    const letter = this.inbox[0]
    if (letter && letter.at <= now) into.push({ ...letter, promises, deliver: () => this.#receive(letter) })
    while (this.#soon[0] && !this.#soon[0].callback) this.#soon.shift()
    if (this.#soon.length > 0) into.push({ at: now, promises, deliver: this.#callSoon })
    const alarm = this.#first()
    if (alarm && alarm.at <= now) into.push({ at: alarm.at, promises, deliver: () => this.#ring(alarm) })
  }
  /** The next instant at which something becomes ready; Infinity if nothing does by itself. */
  get next(): number {
    const at = Math.min(
      this.#soon.length > 0 ? 0 : Infinity,
      this.inbox[0]?.at ?? Infinity,
      this.#first()?.at ?? Infinity,
    )
    return at === Infinity ? at : Math.max(at, this.awakeAt)
  }
  /** Whether there are callbacks and messages that wait for no time. */
  get busy(): boolean {
    return this.#soon.length + this.inbox.length > 0
  }
  #receive(letter: Letter): void {
    this.inbox.shift()
    letter.deliver()
  }
  readonly #callSoon = (): void => {
    this.#soon.shift()?.callback?.()
  }
  #ring(alarm: Alarm): void {
    this.#alarms.delete(alarm)
    alarm.callback()
  }
  #first(): Alarm | undefined {
    let first: Alarm | undefined
    for (const alarm of this.#alarms) {
      if (!first || alarm.at < first.at || (alarm.at === first.at && alarm.order < first.order)) first = alarm
    }
    return first
  }
}

const none = (): void => {}
const noTimer: Timer = { cancel: none, ref: none, unref: none }
