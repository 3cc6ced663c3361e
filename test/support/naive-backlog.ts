/** A durable backlog on the naive store: the queue side of persistence/durable/, over a database of maps and arrays. */
import type { Backlog, BacklogSession, SessionOptions } from '../../lib/backlog.ts'
import { Link } from '../../persistence/durable/link.ts'
import { LocalConnection } from '../../persistence/durable/local-connection.ts'
import { openSession } from '../../persistence/durable/open-session.ts'
import type { Store } from '../../persistence/durable/store.ts'
import { NaiveDatabase } from './naive-database.ts'
import { NaiveStore } from './naive-store.ts'

let workers = 0

/** Each backlog on the same database is a process of its own. */
export class NaiveBacklog implements Backlog {
  readonly durable = true
  readonly strict = true
  readonly worker: string = `worker ${++workers}`
  readonly #store: Store
  readonly #outside: boolean
  #open: { readonly link: Link; readonly connection: LocalConnection } | undefined

  /**
   * @param around What a test puts around the store: to make it fail, or with `outside` answer in a later turn of the
   * loop.
   */
  constructor(db: NaiveDatabase = new NaiveDatabase(), around: (store: NaiveStore) => Store = same, outside = false) {
    this.#store = around(new NaiveStore(db, this.worker))
    this.#outside = outside
  }
  async attach(options: SessionOptions): Promise<BacklogSession> {
    this.#open ??= this.#connect(options)
    return openSession(options, this.#open.link)
  }
  /** That process has died. */
  recover({ worker }: NaiveBacklog): void {
    this.#open?.connection.recover(worker)
  }
  /** This process has not answered for too long. */
  surrender(): void {
    this.#open?.connection.surrender()
  }
  #connect({ clock }: SessionOptions): { readonly link: Link; readonly connection: LocalConnection } {
    const connection = new LocalConnection({ clock, open: () => this.#store, outside: this.#outside })
    const over = (): void => {
      if (this.#open?.connection === connection) this.#open = undefined
    }
    return { connection, link: new Link({ connection, clock, name: 'a naive database', over }) }
  }
}

function same(store: NaiveStore): Store {
  return store
}
