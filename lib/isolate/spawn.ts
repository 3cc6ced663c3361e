/**
 * Starts threads and processes. A simulated isolate of a test has a `Spawn` of its own.
 *
 * A process gets no input, and its output goes through this process, line by line, with the number of the isolate.
 */
import type { Readable, Writable } from 'node:stream'
import type { Worker } from 'node:worker_threads'
import { HandlerLoadError } from '../errors.ts'
import { bundleRemedy } from './loaded-module.ts'
import type { FromIsolateBatch, IsolateOpening, ToIsolate } from './protocol.ts'

/** How an isolate ended. */
export interface IsolateExit {
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  /** The error that a thread threw and nobody caught. */
  readonly error: unknown
}

export interface IsolateEvents {
  message(batch: FromIsolateBatch): void
  /** Called once. Nothing of it runs any more. */
  ended(ending: IsolateExit): void
}

/** A started isolate. It may still be loading the module. */
export interface Spawned {
  readonly pid: number
  /** Throws if a part of it cannot be cloned. */
  post(batch: readonly ToIsolate[]): void
  /** Ends it at once. `ended` follows. */
  kill(): void
  /** Whether it keeps this process alive; at first it does. */
  ref(): void
  unref(): void
}

export type Spawn = (opening: IsolateOpening, events: IsolateEvents) => Promise<Spawned>

/** Settings of this process that would stop a second one, or make no sense for a file. */
const notInherited = /^--(?:inspect|input-type|eval|print|check|interactive|test(?:-|$)|watch)|^-[a-z]*[epci]$/
/** Options whose value is an argument of its own. */
const withValue = /^--(?:eval|print)$|^-[a-z]*[ep]$/

function inherited(args: readonly string[]): string[] {
  return args.filter((arg, i) => !notInherited.test(arg) && !withValue.test(args[i - 1] ?? ''))
}

/** Resolved when an isolate is started, so that a bundle without the file can still be imported. */
function entryFile(module: string): URL {
  const here: string | undefined = import.meta.url
  // Webpack copies the file of the isolates under another name, without its imports.
  const entry = here?.endsWith('/spawn.js') ? new URL('./entry.js', import.meta.url) : undefined
  if (!entry?.pathname.endsWith('/entry.js')) throw new HandlerLoadError(module, bundleRemedy)
  return entry
}

export const spawn: Spawn = (opening, events) =>
  opening.kind === 'thread' ? startThread(opening, events) : startProcess(opening, events)

/**
 * A thread has the settings of its process, unless they are for a text on the command line, of which it runs none. Node
 * refuses a list with settings that only a whole process can have.
 */
function startWorker(opening: IsolateOpening, { Worker }: typeof import('node:worker_threads')): Worker {
  const options = { workerData: opening, name: `rdq ${opening.queue}` }
  const file = entryFile(opening.module)
  const execArgv = inherited(process.execArgv)
  if (execArgv.length === process.execArgv.length) return new Worker(file, options)
  try {
    return new Worker(file, { ...options, execArgv })
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'ERR_WORKER_INVALID_EXEC_ARGV') throw error
    return new Worker(file, { ...options, execArgv: [] })
  }
}

async function startThread(opening: IsolateOpening, events: IsolateEvents): Promise<Spawned> {
  const worker = startWorker(opening, await import('node:worker_threads'))
  let error: unknown
  worker.on('message', (batch: FromIsolateBatch) => events.message(batch))
  worker.on('error', thrown => {
    error = thrown
  })
  // A message that cannot be read is lost, and with it perhaps the end of a job, for which its slot would wait for ever.
  worker.on('messageerror', unread => {
    error = unread
    void worker.terminate()
  })
  worker.on('exit', exitCode => events.ended({ exitCode, signal: undefined, error }))
  return {
    pid: process.pid,
    post: batch => worker.postMessage(batch),
    kill: () => void worker.terminate(),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
  }
}

async function startProcess(opening: IsolateOpening, events: IsolateEvents): Promise<Spawned> {
  const { fork } = await import('node:child_process')
  const child = fork(entryFile(opening.module), [String(process.pid)], {
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: inherited(process.execArgv),
  })
  const prefix = `[${opening.queue} ${opening.id}] `
  const outputs = [
    leadThrough(child.stdout as Readable, process.stdout, prefix),
    leadThrough(child.stderr as Readable, process.stderr, prefix),
  ]
  let hasEnded = false
  const ended = (exitCode: number | undefined, signal: string | undefined, error?: unknown): void => {
    if (hasEnded) return
    hasEnded = true
    events.ended({ exitCode, signal, error })
  }
  child.on('message', batch => events.message(batch as FromIsolateBatch))
  child.on('error', error => ended(undefined, undefined, error))
  // Its last messages have been read once it is disconnected, and they may be ends of jobs.
  child.on('exit', (exitCode, signal) => {
    const end = (): void => ended(exitCode ?? undefined, signal ?? undefined)
    if (child.connected) child.once('disconnect', end)
    else end()
  })
  child.send(opening)
  return {
    pid: child.pid ?? 0,
    post: batch => void (child.connected && child.send(batch as ToIsolate[])),
    kill: () => void child.kill('SIGKILL'),
    ref: () => {
      child.ref()
      child.channel?.ref()
    },
    unref: () => {
      child.unref()
      child.channel?.unref()
      for (const output of outputs) output.unref()
    },
  }
}

/** Each line with the number of its isolate, so that lines of several processes can be told apart. */
function leadThrough(from: Readable, to: Writable, prefix: string): { unref(): void } {
  let rest = ''
  from.setEncoding('utf8')
  from.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() as string
    if (lines.length > 0) to.write(lines.map(line => `${prefix}${line}\n`).join(''))
  })
  from.on('end', () => {
    if (rest !== '') to.write(`${prefix}${rest}\n`)
  })
  return { unref: () => (from as unknown as { unref?(): void }).unref?.() }
}
