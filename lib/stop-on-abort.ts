/** The queue's option `signal`: stops the queue when it aborts, and does not hold a queue that nobody else holds. */
import type { Signals, Unlisten } from './signals.ts'

interface Stoppable {
  stop(options: { cancelUnderway: true }): unknown
}

/** A signal may live as long as its service: it forgets queues that are gone. */
const gone = new FinalizationRegistry<Unlisten>(unlisten => unlisten())

export function stopOnAbort(queue: Stoppable, signal: AbortSignal, signals: Signals): Unlisten {
  const held = new WeakRef(queue)
  const unlisten = signals.listen(signal, () => void held.deref()?.stop({ cancelUnderway: true }))
  gone.register(queue, unlisten)
  return unlisten
}
