/**
 * The thread that holds the file, for SQLite blocks whoever calls it: its port, and how it starts and ends.
 *
 * What the port has gathered while a transaction ran becomes the next one.
 */
import { watch as watchFile } from 'node:fs'
import { isMainThread, type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../lib/clock.ts'
import type { SqliteDatabase } from './database.ts'
import { BacklogBusyError, faultOf, fileError, toWire } from './errors.ts'
import { openDatabase } from './file.ts'
import { Keeper } from './keeper.ts'
import { loadSqlite, type SqliteLibrary } from './library.ts'
import { LifeLock, Watch } from './lock.ts'
import type { FromThread, Opening, ToThread } from './messages.ts'
import { Store } from './store.ts'

/** A file that others are opening, migrating or writing at this moment is waited for so long. */
const openMostMs = 10_000

const post = (port: MessagePort, message: FromThread): void => port.postMessage(message)

/** Tries until the lock is free: another process may open the same file at the same moment. */
async function patiently<T>(path: string, attempt: () => T): Promise<T> {
  const startedAt = systemClock.now()
  for (;;) {
    try {
      return attempt()
    } catch (error) {
      if (faultOf(error) !== 'busy') throw error
      const now = systemClock.now()
      if (now - startedAt > openMostMs) throw new BacklogBusyError(path, now - startedAt)
      await new Promise<void>(resolve => systemClock.at(now + 2 + 8 * systemClock.random(), resolve))
    }
  }
}

async function start(port: MessagePort, opening: Opening): Promise<void> {
  const { path, worker, boot, durability } = opening
  let lock: LifeLock | undefined
  let db: SqliteDatabase | undefined
  try {
    const Library: SqliteLibrary = loadSqlite()
    const opened = await patiently(path, () => openDatabase(Library, path, durability))
    db = opened
    // Locked before it signs in, so that a worker that is listed and holds no lock is dead. Started anew, it may find
    // that another process is just trying whether its lock is free.
    lock = await patiently(path, () => new LifeLock(Library, path, worker))
    const store = await patiently(path, () => Store.open(opened, { worker, boot }))
    const watch = new Watch(Library, path)
    const keeper = await patiently(
      path,
      () =>
        new Keeper({
          opening,
          db: opened,
          store,
          lock: lock as LifeLock,
          watch,
          post: message => post(port, message),
          ...(process.platform === 'linux' && { watchLog: (written: () => void) => watchLog(path, written) }),
          closed: () => port.close(),
        }),
    )
    listen(port, keeper)
    post(port, { kind: 'open', others: keeper.others })
  } catch (error) {
    lock?.release()
    db?.close()
    post(port, { kind: 'refused', error: toWire(fileError(path, error)) })
    port.close()
  }
}

/** The kernel of Linux tells of writes by any process. Elsewhere it does so late, or not of a file that stays open. */
function watchLog(path: string, written: () => void): { close(): void } {
  try {
    const watcher = watchFile(`${path}-wal`, { persistent: false }, written)
    // What is not told is found by looking.
    watcher.on('error', () => {})
    return watcher
  } catch {
    return { close: () => {} }
  }
}

function listen(port: MessagePort, keeper: Keeper): void {
  const take = (message: ToThread): void => {
    if (message.kind === 'asks') keeper.ask(message.asks)
    else if (message.kind === 'pong') keeper.pong()
    else keeper.close()
  }
  const drain = (): void => {
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) take(next.message as ToThread)
  }
  port.on('message', (message: ToThread) => {
    take(message)
    drain()
    keeper.work(drain)
  })
}

if (!isMainThread && parentPort) void start(parentPort, workerData as Opening)
