/** Temporary folders of tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function temporary(name: string): string {
  return mkdtempSync(join(tmpdir(), `rdq-${name}-`))
}

/** One that is removed when this thread ends. */
export function temporaryUntilExit(name: string): string {
  const folder = temporary(name)
  process.once('exit', () => remove(folder))
  return folder
}

/**
 * A thread of SQLite that is just being ended may still make a file in the folder while it is removed: Node then throws
 * ENOTEMPTY. That says nothing of the code under test, so a folder that stays is left to the system.
 */
export function remove(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
  } catch {
    // Left to the system.
  }
}
