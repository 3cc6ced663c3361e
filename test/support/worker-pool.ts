/** Starts worker processes that share a file, calls and kills them, and reads the log that they write. */
import { type ChildProcess, fork } from 'node:child_process'
import { appendFileSync, copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { checkFile } from './file-check.ts'
import { bundled } from './repository.ts'
import { halt, passed } from './suspend.ts'
import { remove, temporary } from './temporary-folder.ts'
import type { Answer, Orders, Report } from './worker-process.ts'

const program = bundled('test/support/worker-process')

/** One line of the log. Instants are of the clock that all processes of this machine share. */
export interface Line extends Report {
  readonly atMs: number
  readonly who: string
}

export interface WorkerProcess {
  readonly who: string
  readonly pid: number
  /** Resolves once it has sent that many reports of this kind. */
  reported(what: string, times?: number): Promise<void>
  /** Calls a method of its queue. */
  send(call: string, ...args: readonly unknown[]): Promise<unknown>
  /** Lets it end once nothing of rdq keeps it alive. Resolves with its exit code, or the signal that ended it. */
  release(): Promise<number | string>
  /** Suspends it with SIGSTOP at a moment at which it has no lock on the file. */
  halt(): Promise<void>
  kill(signal?: NodeJS.Signals): void
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
}

export interface WorkerPool {
  readonly path: string
  start(orders?: Omit<Orders, 'who' | 'path' | 'log'> & { readonly who?: string }): WorkerProcess
  log(): Line[]
  /** The file to which processes write a history, if their orders say so. */
  readonly history: string
  /** Writes a line of its own. */
  note(what: string, who: string, job?: string): void
  /** The jobs of the lines of that kind. */
  jobs(what: string, who?: string): string[]
  /** Lets blocked loops (`block`) go on. */
  unblock(): void
  /** The defects of the file. */
  checkFile(): string[]
}

const folder = temporary('crash')
const children = new Set<ChildProcess>()
let files = 0
/** Kills all processes and removes all files. */
export async function endAll(): Promise<void> {
  const exits = [...children].map(child => new Promise(resolve => child.once('exit', resolve)))
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(exits)
  remove(folder)
}

/**
 * A new file with a log and no process; or a copy of another pool's file, which no process has open. With the lock files
 * of its dead processes the copy is as the file itself; without them it is like one that a backup restores.
 */
export function workerPool(from?: WorkerPool, locks: 'with locks' | 'without locks' = 'with locks'): WorkerPool {
  const path = join(folder, `${++files}.db`)
  if (from) {
    const base = basename(from.path)
    const wanted = locks === 'with locks' ? /^(?:|-wal|-rdq-.*)$/ : /^(?:|-wal)$/
    for (const name of readdirSync(folder)) {
      const end = name.slice(base.length)
      if (name.startsWith(base) && wanted.test(end)) copyFileSync(join(folder, name), `${path}${end}`)
    }
  }
  const log = `${path}.log`
  writeFileSync(log, '')
  let started = 0
  const lines = (): Line[] => readFileSync(log, 'utf8').split('\n').filter(Boolean).map(lineOf)
  return {
    path,
    history: `${path}.history`,
    start: orders => startProcess({ who: `m${++started}`, path, log, ...orders }),
    log: lines,
    note: (what, who, job = '-') => appendFileSync(log, `${process.hrtime.bigint()} ${who} ${what} ${job} -\n`),
    jobs: (what, who) =>
      lines()
        .filter(line => line.what === what && (who === undefined || line.who === who))
        .map(({ job }) => job),
    unblock: () => writeFileSync(`${path}.go`, ''),
    checkFile: () => (existsSync(path) ? checkFile(path) : []),
  }
}

/** A file with waiting jobs of the ids `job-0`, …, and no process. */
export async function filledFile(payloads: readonly number[]): Promise<WorkerPool> {
  const c = workerPool()
  const queue = new DispatchQueue<number>(null, { name: 'q', backlog: new SqliteBacklog(c.path) })
  for (const [i, payload] of payloads.entries()) await queue.put(payload, { id: `job-${i}` })
  await queue.stop()
  return c
}

/** Stops the queues and cancels their running jobs, and waits for the processes to end. */
export async function stopAll(...workers: readonly WorkerProcess[]): Promise<void> {
  for (const worker of workers) {
    await worker.send('stop', { cancelUnderway: true })
    await worker.release()
  }
}

/**
 * Repeats the request until the reply is good, because the other process must read the file first. After 40 s it resolves
 * with the reply that is not.
 */
export async function eventually<T>(send: () => Promise<T>, good: (value: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries++) {
    const value = await send()
    if (good(value) || tries >= 2_000) return value
    await passed(20)
  }
}

/** The present instant by the clock of the log. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function startProcess(orders: Orders): WorkerProcess {
  // The children do not inherit this process's output: its reader would wait for the end of each child too.
  const child = fork(program, [JSON.stringify(orders)], { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  child.stderr?.on('data', text => process.stderr.write(text))
  children.add(child)
  // If it dies during a request, its exit rejects the request.
  child.on('error', () => {})
  const reports = new Map<string, number>()
  const checks = new Set<() => void>()
  const answers = new Map<number, (answer: Answer) => void>()
  let requested = 0
  let gone: string | undefined
  const checkAll = (): void => {
    for (const each of [...checks]) each()
  }
  child.on('message', (message: Report | Answer) => {
    if (Array.isArray(message)) {
      answers.get(message[0])?.(message as Answer)
      answers.delete(message[0])
      return
    }
    const { what } = message as Report
    reports.set(what, (reports.get(what) ?? 0) + 1)
    checkAll()
  })
  const exited = new Promise<number | string>(resolve => {
    child.once('exit', (code, signal) => {
      children.delete(child)
      gone = `${orders.who} is gone (${code ?? signal})`
      for (const answer of answers.values()) answer([0, 'error', { message: gone }])
      checkAll()
      resolve(code ?? (signal as string))
    })
  })
  return {
    who: orders.who,
    pid: child.pid as number,
    exited,
    reported: (what, times = 1) =>
      new Promise((resolve, reject) => {
        const count = (): number => reports.get(what) ?? 0
        const all = (): string => [...reports].map(([of, often]) => `${of} ${often}`).join(', ') || 'nothing'
        const over = (error?: string): void => {
          checks.delete(check)
          clearTimeout(patience)
          if (error === undefined) resolve()
          else reject(new Error(`${error}; reported '${what}' ${count()} times of ${times}, and ${all()}`))
        }
        const check = (): void => {
          if (count() >= times) over()
          else if (gone !== undefined) over(gone)
        }
        const patience = setTimeout(() => over(`${orders.who} did not report in time`), 40_000)
        checks.add(check)
        check()
      }),
    send: (call, ...args) =>
      new Promise((resolve, reject) => {
        if (gone !== undefined) return reject(new Error(gone))
        answers.set(++requested, ([, of, value]) => {
          if (of === 'ok') resolve(value)
          else reject(Object.assign(new Error((value as Error).message), value))
        })
        child.send([requested, call, args])
      }),
    release: () => {
      child.send([0, 'release', []])
      return exited
    },
    halt: () => halt(child.pid as number, orders.path),
    kill: (signal = 'SIGKILL') => void child.kill(signal),
  }
}

function lineOf(line: string): Line {
  const [at = '', who = '', what = '', job = '', ...more] = line.split(' ')
  return { atMs: Number(at) / 1e6, who, what, job, more: more.join(' ') }
}
