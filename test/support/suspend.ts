import { existsSync, readFileSync } from 'node:fs'
import { systemClock } from '../../lib/clock.ts'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'

export const passed = (ms: number): Promise<void> =>
  new Promise(resolve => systemClock.at(systemClock.now() + ms, () => resolve()))

/** Resolves once the condition is true. */
export async function until(so: () => boolean, what: string): Promise<void> {
  for (let i = 0; !so(); i++) {
    if (i === 2_000) throw new Error(`waited in vain until ${what}`)
    await passed(20)
  }
}

/**
 * Stops a process, as SIGSTOP does, at a moment at which it has no lock on the file, and tries the lock of no other
 * process. One that is stopped in the middle of a commit, or of a trial, holds up all others until it goes on, which is
 * SQLite's and no subject of ours.
 */
export async function halt(pid: number, path: string): Promise<void> {
  await until(() => {
    process.kill(pid, 'SIGSTOP')
    if (isFree(path) && !triesLock(pid)) return true
    process.kill(pid, 'SIGCONT')
    return false
  }, `process ${pid} held no lock on the file`)
}

/** The byte that SQLite locks for a moment while it tries to get a lock on a file. */
const pendingByte = 0x4000_0000

/** As far as the system lists the locks of a process, which Linux does. */
function triesLock(pid: number): boolean {
  if (!existsSync('/proc/locks')) return false
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .some(([, , , kind, owner, , from]) => kind === 'READ' && Number(owner) === pid && Number(from) === pendingByte)
}

function isFree(path: string): boolean {
  const db = new (loadSqlite())(path, { timeout: 100 })
  try {
    db.exec('begin immediate; rollback')
    return true
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) return false
    throw error
  } finally {
    db.close()
  }
}
