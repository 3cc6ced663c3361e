/**
 * The least that a durable queue does in SQLite: a narrow table of what is ready, in the order of the claim, a body for each
 * job, and a row for each job that is underway, with its attempt: one that is not written before the handler is called is
 * not counted when the process dies.
 *
 * No rules, ids, states, leases, fences or events: what rdq costs above it is the price of those.
 */
import Database from 'better-sqlite3'

export class ProbeStore {
  #db
  #insertBody
  #insertReady
  #head
  #take
  #start
  #end
  #deleteBody
  #transaction

  /** @param {string} path @param {'FULL' | 'NORMAL'} [synchronous] */
  constructor(path, synchronous = 'FULL') {
    const db = new Database(path)
    db.pragma('journal_mode = WAL')
    db.pragma(`synchronous = ${synchronous}`)
    db.exec(`
      create table body (seq integer primary key, payload text not null) strict;
      create table ready (priority integer, seq integer, primary key (priority, seq)) strict, without rowid;
      create table underway (seq integer primary key, attempt integer not null) strict`)
    this.#db = db
    this.#insertBody = db.prepare('insert into body (payload) values (?)')
    this.#insertReady = db.prepare('insert into ready (priority, seq) values (0, ?)')
    this.#head = db.prepare('select seq, payload from ready join body using (seq) order by priority, seq limit ?')
    this.#take = db.prepare('delete from ready where priority = 0 and seq <= ?')
    this.#start = db.prepare('insert into underway (seq, attempt) values (?, 1)')
    this.#end = db.prepare('delete from underway where seq = ?')
    this.#deleteBody = db.prepare('delete from body where seq = ?')
    this.#transaction = db.transaction(request => this.#exchange(request))
  }

  /**
   * One transaction, as it may be one message to a thread: takes payloads in, forgets what settled, gives out up to `room`.
   *
   * @param {{ put?: string[], settled?: number[], room?: number }} request
   */
  exchange(request) {
    return this.#transaction(request)
  }
  #exchange({ put = [], settled = [], room = 0 }) {
    for (const payload of put) this.#insertReady.run(this.#insertBody.run(payload).lastInsertRowid)
    for (const seq of settled) {
      this.#end.run(seq)
      this.#deleteBody.run(seq)
    }
    const rows = room > 0 ? this.#head.all(room) : []
    for (const { seq } of rows) this.#start.run(seq)
    if (rows.length > 0) this.#take.run(rows.at(-1).seq)
    return { seqs: rows.map(({ seq }) => seq), payloads: rows.map(({ payload }) => payload) }
  }
  close() {
    this.#db.close()
  }
}
