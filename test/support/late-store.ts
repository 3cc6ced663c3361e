/** A store that answers in a later turn of the event loop, as a database server does: each call after the one before. */
import type { Store } from '../../persistence/durable/store.ts'

export function answeringLater(store: Store): Store {
  const later = <T>(answer: () => T | Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          resolve(answer())
        } catch (error) {
          reject(error as Error)
        }
      })
    })
  return {
    transact: requests => later(() => store.transact(requests)),
    query: request => later(() => store.query(request)),
    workers: () => later(() => store.workers()),
    recover: (worker, now, wall) => later(() => store.recover(worker, now, wall)),
    surrender: (now, wall) => later(() => store.surrender(now, wall)),
    close: () => later(() => store.close()),
    onChange: changed => store.onChange?.(() => void setImmediate(changed)),
  }
}
