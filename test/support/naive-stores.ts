/** The naive store as the store contract asks for it. */
import type { StoreSubject } from '../../testing/contract/store-client.ts'
import { NaiveDatabase } from './naive-database.ts'
import { NaiveStore } from './naive-store.ts'

export const naiveStores: StoreSubject = {
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
          store,
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
