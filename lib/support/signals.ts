/**
 * The abort signals that a queue listens to: one listener on each signal, for all queues of the process and all their
 * jobs.
 *
 * A signal may live as long as its service. It must not collect a listener for each job or queue, which Node reports as
 * a leak, and it must not keep unreferenced queues alive: so it refers weakly to a queue that it would stop. Where
 * somebody awaits the abort as the answer (to a job, or an event, that may never come), the signal holds the queue
 * until the call is cancelled.
 */
import { CancelledError } from '../errors.ts'

/** Cancels a registration. */
export type Unlisten = () => void

/** The error of a job whose signal has aborted. */
export function cancelledBy(signal: AbortSignal): CancelledError {
  return new CancelledError(signal.reason, { cause: signal.reason })
}

/** One signal with everything that listens to it. */
class Fan {
  readonly members: Set<Member> = new Set()
  readonly #signal: WeakRef<AbortSignal>
  readonly #listener = (): void => {
    const signal = this.#signal.deref() as AbortSignal
    fans.delete(signal)
    for (const member of this.members) member.deref()?.abort(signal, this)
  }

  constructor(signal: AbortSignal) {
    this.#signal = new WeakRef(signal)
    fans.set(signal, this)
    signal.addEventListener('abort', this.#listener, { once: true })
  }
  leave(member: Member): void {
    if (!this.members.delete(member) || this.members.size > 0) return
    const signal = this.#signal.deref()
    if (!signal) return
    signal.removeEventListener('abort', this.#listener)
    fans.delete(signal)
  }
}

/** How a fan refers to its listeners: weakly or strongly. */
type Member = Pick<WeakRef<Signals<never>>, 'deref'>

const fans = new WeakMap<AbortSignal, Fan>()

/**
 * Where a collected queue was registered. The finalization registry holds this, so it refers neither to the queue nor
 * to a signal.
 */
interface Membership {
  readonly member: Member
  readonly fans: Set<Fan>
}

const collected = new FinalizationRegistry<Membership>(({ member, fans }) => {
  for (const fan of fans) fan.leave(member)
})

/** The signals that one queue listens to, each with the items that its abort concerns. */
export class Signals<Item> {
  readonly #aborted: (signal: AbortSignal, items: Set<Item>) => void
  readonly #isStrong: boolean
  readonly #items = new Map<AbortSignal, Set<Item>>()
  #membership: Membership | undefined

  /**
   * @param aborted Called within the abort. An item that is unregistered during the call leaves the given set.
   * @param strong Whether a signal refers strongly to this object as long as there are items.
   */
  constructor(aborted: (signal: AbortSignal, items: Set<Item>) => void, strong: boolean) {
    this.#aborted = aborted
    this.#isStrong = strong
  }
  /** Reports `item` once when `signal` aborts, or at once if it has, unless unregistered before. */
  listen(signal: AbortSignal, item: Item): Unlisten {
    if (signal.aborted) {
      this.#aborted(signal, new Set([item]))
      return () => {}
    }
    let items = this.#items.get(signal)
    if (!items) {
      this.#items.set(signal, (items = new Set()))
      this.#join(fans.get(signal) ?? new Fan(signal))
    }
    const listening = items
    listening.add(item)
    return () => {
      if (listening.delete(item) && listening.size === 0 && this.#items.get(signal) === listening) this.#leave(signal)
    }
  }
  /** @internal */
  abort(signal: AbortSignal, fan: Fan): void {
    const items = this.#items.get(signal)
    this.#items.delete(signal)
    this.#membership?.fans.delete(fan)
    if (items) this.#aborted(signal, items)
  }
  #join(fan: Fan): void {
    if (!this.#membership) {
      const self = this as unknown as Signals<never>
      this.#membership = { member: this.#isStrong ? { deref: () => self } : new WeakRef(self), fans: new Set() }
      if (!this.#isStrong) collected.register(this, this.#membership)
    }
    fan.members.add(this.#membership.member)
    this.#membership.fans.add(fan)
  }
  #leave(signal: AbortSignal): void {
    this.#items.delete(signal)
    const fan = fans.get(signal)
    if (!fan || !this.#membership) return
    this.#membership.fans.delete(fan)
    fan.leave(this.#membership.member)
  }
}
