/** A durable backlog on the naive store: the queue side of persistence/durable/, over a database of maps and arrays. */
import type { Backlog, BacklogSession, SessionOptions } from '../../lib/backlog.ts'
import { Link } from '../../persistence/durable/link.ts'
import { LocalConnection } from '../../persistence/durable/local-connection.ts'
import { openSession } from '../../persistence/durable/open-session.ts'
import { NaiveDatabase, NaiveStore } from './naive-store.ts'

let workers = 0

/** Each backlog on the same database is a process of its own. */
export class NaiveBacklog implements Backlog {
  readonly durable = true
  readonly strict = true
  readonly #db: NaiveDatabase
  #link: Link | undefined

  constructor(db: NaiveDatabase = new NaiveDatabase()) {
    this.#db = db
  }
  async attach(options: SessionOptions): Promise<BacklogSession> {
    this.#link ??= this.#open(options)
    return openSession(options, this.#link)
  }
  #open({ clock }: SessionOptions): Link {
    const store = new NaiveStore(this.#db, `worker ${++workers}`)
    const connection = new LocalConnection({ clock, open: () => store })
    const link = new Link({
      ...{ connection, clock, name: 'a naive database' },
      over: () => {
        if (this.#link === link) this.#link = undefined
      },
    })
    return link
  }
}
