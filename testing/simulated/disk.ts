/** The disk of a simulated machine: real files in a folder of their own, in memory if the host has such a place. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** The rest of a database after a power cut: its file and its log, as of the last sync. */
export interface Image {
  readonly file: Buffer
  readonly log: Buffer | undefined
}

const inMemory = '/dev/shm'

export class Disk {
  #folder: string | undefined
  #files = 0

  /** A new, empty file. */
  make(): string {
    this.#folder ??= mkdtempSync(join(existsSync(inMemory) ? inMemory : tmpdir(), 'rdq-simulated-'))
    const path = join(this.#folder, `${++this.#files}.db`)
    writeFileSync(path, '', { mode: 0o600 })
    return path
  }
  image(path: string): Image {
    const log = `${path}-wal`
    return { file: readFileSync(path), log: existsSync(log) ? readFileSync(log) : undefined }
  }
  /** Restores an image. No process may have the file open. */
  restore(path: string, { file, log }: Image): void {
    for (const part of ['-wal', '-shm']) rmSync(path + part, { force: true })
    writeFileSync(path, file)
    if (log) writeFileSync(`${path}-wal`, log)
  }
  /** Removes the lock files beside a database, and returns how many there were. */
  removeLocks(path: string): number {
    const folder = dirname(path)
    const locks = readdirSync(folder).filter(name => name.startsWith(`${basename(path)}-rdq-`))
    for (const name of locks) rmSync(join(folder, name), { force: true })
    return locks.length
  }
  /** Removes the disk with all its files. */
  remove(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = undefined
  }
}
