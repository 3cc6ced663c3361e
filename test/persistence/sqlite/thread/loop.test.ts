/**
 * What the thread does when the disk is full, a lock is held, the loop is silent, or another process dies: with a clock
 * that one turns.
 */

import { unlinkSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import type { ExchangeReply, Request } from '../../../../persistence/durable/store.ts'
import { loadSqlite } from '../../../../persistence/sqlite/file/library.ts'
import { LifeLock, Watch } from '../../../../persistence/sqlite/file/lock.ts'
import { fileAt, openDatabase } from '../../../../persistence/sqlite/file/open.ts'
import { Store } from '../../../../persistence/sqlite/store/store.ts'
import { ThreadLoop } from '../../../../persistence/sqlite/thread/loop.ts'
import type { FromThread } from '../../../../persistence/sqlite/thread/messages.ts'
import { VirtualClock } from '../../../../testing/index.ts'
import { fileSessions } from '../../../support/file-sessions.ts'

const { at } = fileSessions()
const keep = { finishedMs: 0, failedMs: 60_000, cancelledMs: 60_000, idsMs: 60_000, results: false, most: Infinity }
const none = { fences: [], kinds: undefined, startedAt: [], stoppedAt: [], extras: [], seqs: [] }

interface Stage {
  readonly clock: VirtualClock
  readonly loop: ThreadLoop
  readonly db: ReturnType<typeof openDatabase>
  readonly path: string
  readonly reported: FromThread[]
  send(request: Partial<Request>): Reply
  /** Releases the lock without unregistering the worker, as the kernel does when a process is killed. */
  die(): void
  /** As the kernel tells of a write to the log; undefined while nobody wants to hear. */
  readonly written: () => (() => void) | undefined
  /** From now on each `begin` or `commit` fails with the code, so many times. */
  readonly fails: Fails
}
type Plan = readonly [verb: 'begin' | 'commit', code: string, times: number]
/** `then` is what fails after that. */
type Fails = (verb?: Plan[0], code?: Plan[1], times?: Plan[2], then?: Plan) => void

/** Lets the transactions of `db` fail as the disk would. */
function failing(db: ReturnType<typeof openDatabase>): Fails {
  let [verb, code, left] = ['', '', 0]
  let next: Plan | undefined
  const strike = (sql: string): void => {
    if (left === 0 || !sql.trimStart().toLowerCase().startsWith(verb)) return
    left--
    const error = Object.assign(new Error(`${code} as planned`), { code })
    if (left === 0 && next) [[verb, code, left], next] = [next, undefined]
    throw error
  }
  const [exec, prepare] = [db.exec.bind(db), db.prepare.bind(db)]
  db.exec = sql => {
    strike(sql)
    return exec(sql)
  }
  db.prepare = sql => {
    const statement = prepare(sql)
    const run = statement.run.bind(statement)
    statement.run = (...values) => {
      strike(sql)
      return run(...values)
    }
    return statement
  }
  return (first = 'commit', failure = '', times = failure === '' ? 0 : Infinity, then = undefined) => {
    ;[verb, code, left] = [first, failure, times]
    next = then
  }
}
interface Reply {
  readonly isAnswered: boolean
  readonly ok: ExchangeReply | undefined
  readonly code: string | undefined
}

function stage(t: ExecutionContext, file: string, worker = 'w1', stallMs = 300_000, isReported = true): Stage {
  const path = at(file)
  const Library = loadSqlite()
  new Library(path).close()
  const clock = new VirtualClock()
  const db = openDatabase(Library, path, 'power')
  const lock = new LifeLock(Library, path, worker)
  const fails = failing(db)
  const store = Store.open(db, { worker, boot: 'virtual' })
  const reported: FromThread[] = []
  let listens: (() => void) | undefined
  const loop = new ThreadLoop({
    watchLog: written => {
      listens = written
      if (!isReported) return undefined
      return { close: () => void (listens = undefined) }
    },
    opening: { path, file: fileAt(path) as string, worker, boot: 'virtual', durability: 'power', stallMs },
    db,
    store,
    lock,
    watch: new Watch(Library, path),
    post: message => void reported.push(message),
    closed: () => {},
    clock,
  })
  t.teardown(() => loop.close())
  let id = 0
  const send = (request: Partial<Request>): Reply => {
    const mine = ++id
    const whole = { queue: 1, now: clock.now(), wall: clock.wall(), ...request } as Request
    loop.request([[mine, whole]])
    loop.work()
    // It may be answered later.
    const answered = () => {
      for (const message of reported) {
        if (message.kind !== 'replies') continue
        for (const [to, reply] of message.replies) if (to === mine) return reply
      }
      return undefined
    }
    return {
      get isAnswered() {
        return answered() !== undefined
      },
      get ok() {
        const reply = answered()
        if (!reply || !('ok' in reply)) return undefined
        return reply.ok as ExchangeReply
      },
      get code() {
        const reply = answered()
        return reply && 'error' in reply ? reply.error.code : undefined
      },
    }
  }
  const names = { rate: undefined, size: Infinity, keep, afterCrash: 'again', crashLimit: 3 } as const
  send({ kind: 'attach', name: 'q', works: true, ...names })
  return { clock, loop, db, reported, send, fails, path, die: () => lock.release(true), written: () => listens }
}
let ids = 0
let number = 0
const put = (count: number, payload = '1'): Partial<Request> => ({
  kind: 'put',
  number: ++number,
  acknowledged: 0,
  size: Infinity,
  ids: Array.from({ length: count }, () => `id${++ids}`),
  payloads: Array.from({ length: count }, () => payload),
  priorities: undefined,
  queuedAt: Array.from({ length: count }, () => 1),
  extras: [],
})
const exchange = (room: number, ...settled: readonly (readonly [seq: number, fence: number])[]): Partial<Request> => ({
  kind: 'exchange',
  number: ++number,
  acknowledged: 0,
  works: true,
  room,
  confirmed: [],
  spent: [],
  checkpoints: [],
  mayLaunch: true,
  launchReports: { seqs: [], fences: [], first: [] },
  endedBodies: [],
  settled: {
    ...none,
    seqs: settled.map(([seq]) => seq),
    fences: settled.map(([, fence]) => fence),
    startedAt: settled.map(() => 1),
    stoppedAt: settled.map(() => 1),
  },
})
const troubles = (reported: readonly FromThread[]): string[] =>
  reported.flatMap(message => (message.kind === 'trouble' ? [message.error.code] : []))

test('F15: a put that does not fit on the disk is refused whole, and others that fit are accepted', t => {
  const { db, reported, send } = stage(t, 'full.db')
  send(put(10))
  const pages = db.pragma('page_count', { simple: true }) as number
  db.pragma(`max_page_count = ${pages + 4}`)

  t.is(send(put(50, JSON.stringify('x'.repeat(4_000)))).code, 'DISK_FULL')
  t.deepEqual(troubles(reported), ['DISK_FULL'])
  t.is(send(put(1)).code, undefined)
  t.is(send(exchange(0)).ok?.counts.pending, 11)
  t.is(db.pragma('integrity_check', { simple: true }), 'ok')
})
test('F15: while the disk is full nothing is claimed and settles wait, and all goes on by itself when there is space', async t => {
  const { clock, send, fails } = stage(t, 'full-exchange.db')
  send(put(300))
  const { claimed } = send(exchange(2)).ok as ExchangeReply
  fails('commit', 'SQLITE_FULL')
  const settling = send(exchange(5, [claimed.seqs[0] as number, claimed.fences[0] as number]))
  t.deepEqual([settling.ok, settling.code], [undefined, undefined])
  t.is(send(put(1)).code, 'DISK_FULL')
  await clock.advance(1_000)
  t.is(settling.ok, undefined)

  fails()
  await clock.advance(300)
  t.is(settling.ok?.counts.finished, 1)
  t.is(settling.ok?.claimed.seqs.length, 5)
})
test('F15: an exchange that cannot claim for lack of space still settles, and the queue looks again by itself', t => {
  const { clock, send, fails } = stage(t, 'full-claim.db')
  send(put(3))
  const { claimed } = send(exchange(1)).ok as ExchangeReply
  fails('commit', 'SQLITE_FULL', 2)
  const done = send(exchange(5, [claimed.seqs[0] as number, claimed.fences[0] as number])).ok as ExchangeReply
  t.deepEqual([done.counts.finished, done.claimed.seqs.length], [1, 0])
  t.true(done.nextLookAt <= clock.now() + 1_000)
  t.is((send(exchange(5)).ok as ExchangeReply).claimed.seqs.length, 2)
})
test('F18: an exchange that the disk refused is overtaken by no later one of its queue, sent with it or after it', async t => {
  const { clock, path, send, fails } = stage(t, 'overtaken.db')
  send(put(3))
  const { claimed } = send(exchange(3)).ok as ExchangeReply
  const settles = (i: number) => exchange(0, [claimed.seqs[i] as number, claimed.fences[i] as number])
  const other = new (loadSqlite())(path)
  other.exec('begin immediate')
  const [first, second] = [send(settles(0)), send(settles(1))]
  other.exec('rollback')
  other.close()
  // The two together, and then the first alone.
  fails('commit', 'SQLITE_IOERR_WRITE', 2)
  await clock.advance(50)
  const third = send(settles(2))
  t.deepEqual(
    [first, second, third].map(({ ok, code }) => ok ?? code),
    [undefined, undefined, undefined],
  )
  t.is(send(put(1)).code, undefined)

  await clock.advance(250)
  t.deepEqual(
    [first, second, third].map(({ ok }) => ok?.notices?.lostRuns ?? ok?.counts.finished),
    [1, 2, 3],
  )
})
test('F18: a refused exchange is not overtaken by a later one while another process holds the lock', async t => {
  const s = stage(t, 'locked.db')
  s.send(put(2))
  const claimed = s.send(exchange(2)).ok?.claimed
  const [a, b] = (claimed?.seqs ?? []) as [number, number]
  s.fails('commit', 'SQLITE_FULL', 1, ['begin', 'SQLITE_BUSY', 1])
  s.loop.request(
    [a, b].map((seq, i) => [1_000 + i, { queue: 1, now: 0, wall: 0, ...exchange(0, [seq, 1]) } as Request] as const),
  )
  s.loop.work()
  await s.clock.advance(10)

  t.is(s.send(exchange(0)).ok?.counts.finished, 2)
})

test('queries only read, so they are answered while another process holds the lock', t => {
  const { send } = stage(t, 'reading.db')
  const other = new (loadSqlite())(at('reading.db'))
  other.exec('begin immediate')

  const replies = {
    find: send({ kind: 'find', target: 'a' }),
    list: send({ kind: 'list', state: undefined, key: undefined, limit: 1, after: undefined }),
    explain: send({ kind: 'explain', target: 'a' }),
    keys: send({ kind: 'keys', query: { key: undefined, state: undefined, limit: 1, after: undefined } }),
    replay: send({ kind: 'replay', number: 1 }),
  }

  for (const [kind, { isAnswered }] of Object.entries(replies)) t.true(isAnswered, kind)
  other.exec('rollback')
  other.close()
})

test('F17: a damaged file is no longer written to, and every call rejects with that reason', t => {
  const { reported, send, fails } = stage(t, 'corrupt.db')
  fails('begin', 'SQLITE_CORRUPT', 1)
  t.is(send(put(1)).code, 'BACKLOG_CORRUPT')
  t.is(send(exchange(1)).code, 'BACKLOG_CORRUPT')
  t.deepEqual(troubles(reported), ['BACKLOG_CORRUPT'])
})
test('F18: after a fault of the disk a put is not known to be stored', t => {
  const { send, fails } = stage(t, 'eio.db')
  fails('commit', 'SQLITE_IOERR_FSYNC', 2)
  t.is(send(put(1)).code, 'OUTCOME_UNKNOWN')
  t.is(send(put(1)).code, undefined)
})
test('F16: a lock that is held for too long refuses puts and commands, and exchanges go on waiting', async t => {
  const { clock, reported, send } = stage(t, 'busy.db')
  const other = new (loadSqlite())(at('busy.db'))
  other.exec('begin immediate')
  const [putting, turning] = [send(put(1)), send(exchange(1))]
  await clock.advance(9_000)
  t.deepEqual([putting.ok, putting.code], [undefined, undefined])
  await clock.advance(2_000)
  t.is(putting.code, 'BACKLOG_BUSY')
  t.deepEqual(troubles(reported), ['BACKLOG_BUSY'])
  t.deepEqual([turning.ok, turning.code], [undefined, undefined])
  other.exec('rollback')
  other.close()
  await clock.advance(10)
  t.is(turning.ok?.claimed.seqs.length, 0)
})
test('stall: a loop that is silent for too long loses its claims, and is notified when it answers again', async t => {
  const { clock, loop, reported, send } = stage(t, 'stall.db', 'w1', 4_000)
  send(put(1))
  t.is((send(exchange(1)).ok as ExchangeReply).claimed.seqs.length, 1)
  await clock.advance(1_200)
  t.deepEqual(reported.filter(({ kind }) => kind === 'ping').length, 1)
  await clock.advance(3_000)
  loop.seenAlive()
  t.false(reported.some(({ kind }) => kind === 'stalled'))
  await clock.advance(6_000)
  t.false(reported.some(({ kind }) => kind === 'stalled'))
  loop.seenAlive()
  t.true(reported.some(({ kind }) => kind === 'stalled'))
  t.like((send(exchange(0)).ok as ExchangeReply).counts, { pending: 1, underway: 0 })
})
test('stall: time in which the whole process was suspended does not count as silence', async t => {
  const { clock, loop, reported } = stage(t, 'sigstop.db', 'w1', 4_000)
  await clock.advance(1_100)
  clock.block(600_000)
  await clock.advance(1)
  loop.seenAlive()
  t.false(reported.some(({ kind }) => kind === 'stalled'))
})
test('others: a lone process sleeps when nothing happens, and wakes when it is notified of a write', async t => {
  const { clock, send, reported, written, path } = stage(t, 'alone.db')
  send(put(1))
  await clock.advance(1_900)
  t.is(written(), undefined)
  await clock.advance(1_000)
  t.not(written(), undefined)
  await clock.advance((clock.next as number) - clock.now())
  t.is((clock.next as number) - clock.now(), 900)

  // Its own checkpoint, or a reader.
  written()?.()
  t.false(reported.some(({ kind }) => kind === 'changed'))
  const db = new (loadSqlite())(path)
  db.exec('create table mine (x)')
  db.close()
  written()?.()

  t.is(reported.filter(({ kind }) => kind === 'changed').length, 1)
  t.is(written(), undefined)
  t.true((clock.next as number) - clock.now() <= 25)
})

test('others: a lone process that cannot be notified of writes does not sleep', async t => {
  const { clock, send, written } = stage(t, 'untold.db', 'w1', 300_000, false)
  send(put(1))
  await clock.advance(10_000)
  t.not(written(), undefined)
  await clock.advance((clock.next as number) - clock.now())

  t.is((clock.next as number) - clock.now(), 80)
})
test('others: a process beside others does not sleep, because a death must be noticed soon', async t => {
  const one = stage(t, 'together.db', 'w1')
  const other = stage(t, 'together.db', 'w2')
  one.send(put(1))
  for (const { clock } of [one, other]) await clock.advance(5_000)

  t.is(one.written(), undefined)
  t.true((one.clock.next as number) - one.clock.now() <= 80)
})

test('others: a commit of another process is noticed, and idle processes do not wake each other', async t => {
  const one = stage(t, 'others.db', 'w1')
  const other = stage(t, 'others.db', 'w2')
  await one.clock.advance(1_000)
  await other.clock.advance(1_000)
  const changes = ({ reported }: Stage): number => reported.filter(({ kind }) => kind === 'changed').length
  const [before, others] = [changes(one), changes(other)]
  other.send(put(1))
  await one.clock.advance(200)
  t.is(changes(one), before + 1)
  for (let i = 0; i < 5; i++) {
    one.send(exchange(0))
    await other.clock.advance(200)
    other.send(exchange(0))
    await one.clock.advance(200)
  }
  t.deepEqual([changes(one), changes(other)], [before + 1, others])
})
test('others: a death is known within a quarter of a second, and the jobs of the dead worker can be claimed', async t => {
  const one = stage(t, 'death.db', 'w1')
  const dying = stage(t, 'death.db', 'w2')
  dying.send(put(1))
  t.is((dying.send(exchange(1)).ok as ExchangeReply).claimed.seqs.length, 1)
  await one.clock.advance(5_000)
  t.is((one.send(exchange(1)).ok as ExchangeReply).claimed.seqs.length, 0)
  const before = one.reported.length

  dying.die()
  await one.clock.advance(250)

  t.true(one.reported.slice(before).some(({ kind }) => kind === 'changed'))
  t.is((one.send(exchange(1)).ok as ExchangeReply).claimed.seqs.length, 1)
})

const isGone = ({ reported }: Stage): boolean => reported.some(({ kind }) => kind === 'refused')
const gone = { ok: undefined, code: undefined }

test('gone: a file that is deleted is noticed within half a second after activity, and within a second by a loop that sleeps', async t => {
  for (const [file, quietMs, noticedMs] of [
    ['gone.db', 600, 500],
    ['gone-asleep.db', 3_000, 950],
  ] as const) {
    const one = stage(t, file)
    one.send(put(1))
    await one.clock.advance(quietMs)
    t.is(one.written() !== undefined, noticedMs > 900)
    unlinkSync(one.path)
    await one.clock.advance(noticedMs)

    t.true(isGone(one), file)
  }
})
test('gone: a loop that is busy with requests notices a deleted file as fast', t => {
  const one = stage(t, 'gone-busy.db')
  unlinkSync(one.path)
  let stored = 0
  // No timer rings while the thread works off one request after the other.
  for (let i = 0; i < 50 && !isGone(one); i++) {
    one.clock.block(10)
    if (one.send(put(1)).ok) stored++
  }

  t.true(isGone(one))
  t.true(stored < 50)
  t.like(one.send(put(1)), gone)
})
