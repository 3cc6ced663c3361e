/** The naive store as the store contract asks for it. */
import type { Store } from '../../persistence/durable/store.ts'
import type { StoreSubject } from '../../testing/contract/store-client.ts'
import { answeringLater } from './late-store.ts'
import { NaiveDatabase } from './naive-database.ts'
import { NaiveStore } from './naive-store.ts'

export const naiveStores: StoreSubject = storesAs(store => store)
/** The same where every answer comes in a later turn of the loop. */
export const lateNaiveStores: StoreSubject = storesAs(answeringLater)

function storesAs(around: (store: Store) => Store): StoreSubject {
  return {
    database: () => {
      const db = new NaiveDatabase()
      return {
        open(worker) {
          const store = new NaiveStore(db, worker)
          let hasChanged = false
          store.onChange(() => {
            hasChanged = true
          })
          return {
            store: around(store),
            die: () => {},
            breakCommits: () => {
              db.broken.add(worker)
              return () => void db.broken.delete(worker)
            },
            changed: () => {
              const before = hasChanged
              hasChanged = false
              return before
            },
          }
        },
      }
    },
  }
}
