/**
 * The life of the thread: opens the file, handles the messages of its port, and releases the file.
 *
 * Messages that arrive during a transaction form the next one. Clock, port and library are parameters, so that a test
 * can act as the thread of a simulated process; entry.ts passes those of a real thread.
 */
import type { Clock } from '../../../lib/clock.ts'
import { toWire } from '../../durable/errors.ts'
import { BacklogBusyError, BacklogGoneError, faultOf, fileError } from '../errors.ts'
import type { SqliteDatabase } from '../file/database.ts'
import type { FileToOpen } from '../file/file-to-open.ts'
import type { SqliteLibrary } from '../file/library.ts'
import { LifeLock, Watch } from '../file/lock.ts'
import { fileAt, openDatabase } from '../file/open.ts'
import { Store } from '../store/store.ts'
import { ThreadLoop } from './loop.ts'
import type { FromThread, ToThread } from './messages.ts'

/** How long to wait for a file that others are opening, migrating or writing. */
const maxOpenMs = 10_000

export interface Port {
  post(message: FromThread): void
  /** Calls `take` for each message that arrives. */
  listen(take: (message: ToThread) => void): void
  /** Takes a message that has arrived meanwhile, if any; `listen` does not deliver it any more. */
  receive(): ToThread | undefined
  close(): void
}

export interface ThreadMeans {
  readonly clock: Clock
  /** Throws SqliteMissingError or SqliteTooOldError. */
  load(): SqliteLibrary
  /**
   * Calls `written` whenever somebody has written to the log of the file, until it is closed. Absent if the system does
   * not report writes.
   */
  watchLog?(path: string, written: () => void): { close(): void } | undefined
}

export async function runThread(
  port: Port,
  opening: FileToOpen,
  { clock, load, watchLog }: ThreadMeans,
): Promise<void> {
  const { path, file, worker, boot, durability } = opening
  let lock: LifeLock | undefined
  let db: SqliteDatabase | undefined
  try {
    const Library = load()
    refuseOther(path, file)
    const opened = await patiently(path, clock, () => openDatabase(Library, path, durability))
    db = opened
    // Checked again, because another file may have come to that path before the open.
    refuseOther(path, file)
    // The lock comes before the registration, so that a registered worker without a lock is dead. After a restart
    // another process may just be testing that lock.
    lock = await patiently(path, clock, () => new LifeLock(Library, path, worker))
    const store = await patiently(path, clock, () => Store.open(opened, { worker, boot, file }))
    const watch = new Watch(Library, path)
    watch.setWorkersOfOriginal(store.workersOfOriginal)
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
    port.post({ kind: 'open' })
  } catch (error) {
    lock?.release()
    db?.close()
    port.post({ kind: 'refused', error: toWire(fileError(path, error)) })
    port.close()
  }
}

/** Another file may come to a path between its check and its opening, or while a thread is restarted. */
function refuseOther(path: string, file: string): void {
  const found = fileAt(path)
  if (found !== file) throw new BacklogGoneError(path, found === undefined ? 'nothing' : 'another file')
}

/** Retries until the lock is free, because another process may open the same file at the same moment. */
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
    if (message.kind === 'requests') loop.request(message.requests)
    else if (message.kind === 'pong') loop.seenAlive()
    else if (message.kind === 'checkFile') loop.checkFile()
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
