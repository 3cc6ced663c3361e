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
 * Stops a process, as SIGSTOP does, at a moment at which it has no lock on the file. One that is stopped in the middle of
 * a commit holds up all others until it goes on, which is SQLite's and no subject of ours.
 */
export async function halt(pid: number, path: string): Promise<void> {
  await until(() => {
    process.kill(pid, 'SIGSTOP')
    if (isFree(path)) return true
    process.kill(pid, 'SIGCONT')
    return false
  }, `process ${pid} held no lock on the file`)
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
