/**
 * What the thread does from its start to its end: it opens the file, takes in what its port brings, and lets go.
 *
 * What the port has gathered while a transaction ran becomes the next one. Clock, port and library are handed in, so that
 * a test can be the thread of a process that it simulates; entry.ts hands in those of a thread that is one.
 */
import type { Clock } from '../../../lib/clock.ts'
import { toWire } from '../../durable/errors.ts'
import { BacklogBusyError, BacklogGoneError, faultOf, fileError } from '../errors.ts'
import type { SqliteDatabase } from '../file/database.ts'
import type { SqliteLibrary } from '../file/library.ts'
import { LifeLock, Watch } from '../file/lock.ts'
import { fileAt, openDatabase } from '../file/open.ts'
import { Store } from '../store/store.ts'
import { ThreadLoop } from './loop.ts'
import type { FromThread, Opening, ToThread } from './messages.ts'

/** A file that others are opening, migrating or writing at this moment is waited for so long. */
const maxOpenMs = 10_000

export interface Port {
  post(message: FromThread): void
  /** Calls `take` for each message that comes by itself. */
  listen(take: (message: ToThread) => void): void
  /** A message that has come meanwhile, if any: it does not come by itself any more. */
  receive(): ToThread | undefined
  close(): void
}

export interface ThreadMeans {
  readonly clock: Clock
  /** Throws SqliteMissingError or SqliteTooOldError. */
  load(): SqliteLibrary
  /** Calls `written` when anybody has written to the log of the file, until it is closed. Absent where nobody tells. */
  watchLog?(path: string, written: () => void): { close(): void } | undefined
}

export async function runThread(port: Port, opening: Opening, { clock, load, watchLog }: ThreadMeans): Promise<void> {
  const { path, file, worker, boot, durability } = opening
  let lock: LifeLock | undefined
  let db: SqliteDatabase | undefined
  try {
    const Library = load()
    refuseOther(path, file)
    const opened = await patiently(path, clock, () => openDatabase(Library, path, durability))
    db = opened
    // Again, for what was opened may have come to that path in between.
    refuseOther(path, file)
    // Locked before it signs in, so that a worker that is listed and holds no lock is dead. Started anew, it may find
    // that another process is just trying whether its lock is free.
    lock = await patiently(path, clock, () => new LifeLock(Library, path, worker))
    const store = await patiently(path, clock, () => Store.open(opened, { worker, boot, file }))
    const watch = new Watch(Library, path)
    watch.estrange(store.strangers)
    const loop = await patiently(
      path,
      clock,
      () =>
        new ThreadLoop({
          opening,
          db: opened,
          store,
          lock: lock as LifeLock,
          watch,
          post: message => port.post(message),
          closed: () => port.close(),
          clock,
          ...(watchLog && { watchLog: (written: () => void) => watchLog(path, written) }),
        }),
    )
    listen(port, loop)
    port.post({ kind: 'open', others: loop.others })
  } catch (error) {
    lock?.release()
    db?.close()
    port.post({ kind: 'refused', error: toWire(fileError(path, error)) })
    port.close()
  }
}

/** Between the look at a path and its opening, and while a thread is started again, another file may come to be there. */
function refuseOther(path: string, file: string): void {
  const found = fileAt(path)
  if (found !== file) throw new BacklogGoneError(path, found === undefined ? 'nothing' : 'another file')
}

/** Tries until the lock is free: another process may open the same file at the same moment. */
async function patiently<T>(path: string, clock: Clock, attempt: () => T): Promise<T> {
  const startedAt = clock.now()
  for (;;) {
    try {
      return attempt()
    } catch (error) {
      if (faultOf(error) !== 'busy') throw error
      const now = clock.now()
      if (now - startedAt > maxOpenMs) throw new BacklogBusyError(path, now - startedAt)
      await new Promise<void>(resolve => clock.at(now + 2 + 8 * clock.random(), resolve))
    }
  }
}

function listen(port: Port, loop: ThreadLoop): void {
  const take = (message: ToThread): void => {
    if (message.kind === 'asks') loop.request(message.asks)
    else if (message.kind === 'pong') loop.pong()
    else if (message.kind === 'look') loop.look()
    else loop.close()
  }
  const drain = (): void => {
    for (let next = port.receive(); next; next = port.receive()) take(next)
  }
  port.listen(message => {
    take(message)
    drain()
    loop.work(drain)
  })
}
