/** SQLite as the store contract asks for it: a file for each database, and a handle for each worker. */
import { Store } from '../../persistence/sqlite/store/store.ts'
import type { StoreSubject } from '../../testing/contract/store-client.ts'
import { Database, fileName } from './sqlite-store.ts'

export const sqliteStores: StoreSubject = {
  database: () => {
    const path = fileName()
    return {
      open(worker) {
        const db = new Database(path)
        db.pragma('journal_mode = wal')
        // Power is not the subject.
        db.pragma('synchronous = off')
        db.pragma('busy_timeout = 5000')
        const store = Store.open(db, { worker, boot: 'boot' })
        const version = (): unknown => db.pragma('data_version', { simple: true })
        let seen = version()
        return {
          store,
          die: () => void db.close(),
          breakCommits() {
            // Each change of a queue ends with its row.
            db.exec(`create temp trigger broken before update on rdq_queue begin select raise(abort, 'broken'); end`)
            return () => db.exec('drop trigger broken')
          },
          changed() {
            const before = seen
            seen = version()
            return store.takeSuspectWake() || seen !== before
          },
        }
      },
    }
  },
}
