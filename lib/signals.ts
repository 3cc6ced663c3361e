/**
 * The abort signals that a queue listens to: one listener a signal, however many jobs were put with it.
 *
 * A signal that lives as long as its service must not gather a listener for each job, nor warn of so many.
 */

/** Takes a call back. */
export type Unlisten = () => void

export class Signals {
  readonly #heard = new Map<AbortSignal, { readonly calls: Set<() => void>; readonly listener: () => void }>()

  /** Calls `call` once when `signal` aborts, or at once when it has; until taken back. */
  listen(signal: AbortSignal, call: () => void): Unlisten {
    if (signal.aborted) {
      call()
      return () => {}
    }
    let heard = this.#heard.get(signal)
    if (!heard) {
      const calls = new Set<() => void>()
      const listener = (): void => {
        this.#heard.delete(signal)
        for (const each of calls) each()
      }
      this.#heard.set(signal, (heard = { calls, listener }))
      signal.addEventListener('abort', listener, { once: true })
    }
    const { calls, listener } = heard
    calls.add(call)
    return () => {
      if (!calls.delete(call) || calls.size > 0) return
      signal.removeEventListener('abort', listener)
      if (this.#heard.get(signal)?.calls === calls) this.#heard.delete(signal)
    }
  }
}
