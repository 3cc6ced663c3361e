/**
 * The process of a backlog: finds the file at a path, and starts a thread for it. A simulated process of a test has a
 * host of its own.
 */
import { Worker } from 'node:worker_threads'
import { ThreadFileError } from '../errors.ts'
import type { FileToOpen } from '../file/file-to-open.ts'
import { type FileFound, findFile } from '../file/open.ts'
import type { FromThread, ToThread } from './messages.ts'

/** How a thread reports to its connection, and how it ends. */
export interface ThreadEvents {
  message(message: FromThread): void
  /** The error that it threw, before it exits. */
  error(error: unknown): void
  exit(code: number): void
}

/** A started thread, as its connection uses it. */
export interface Thread {
  post(message: ToThread): void
  /** Whether it keeps the process alive; at first it does not. */
  ref(): void
  unref(): void
}

export interface ThreadHost {
  /** Stands for the process: files that are open in it are registered by this object. */
  readonly process: object
  find(path: string): Promise<FileFound>
  start(opening: FileToOpen, events: ThreadEvents): Thread
}

const thisProcess = {}

/**
 * A host for this process. `code` is the file that its threads run, which a test may replace. It is resolved when a
 * thread is started, so that a bundle without that file can still be imported.
 */
export function hostWith(code: URL | ((path: string) => URL)): ThreadHost {
  const start = (opening: FileToOpen, events: ThreadEvents): Thread => {
    const worker = new Worker(code instanceof URL ? code : code(opening.path), {
      workerData: opening,
      name: 'rdq-sqlite',
      execArgv: [],
    })
    worker.on('message', (message: FromThread) => events.message(message))
    worker.on('error', error => events.error(error))
    worker.on('exit', code => events.exit(code))
    worker.unref()
    return {
      post: message => worker.postMessage(message),
      ref: () => worker.ref(),
      unref: () => worker.unref(),
    }
  }
  return { process: thisProcess, find: findFile, start }
}

/**
 * Refuses a bundle, which has no file of the thread beside it. Some bundlers leave no address at all, and others that
 * of the bundle, beside which an entry.js would belong to somebody else. Throws ThreadFileError.
 */
export function refuseBundle(path: string, here: string | undefined): void {
  if (!here?.endsWith('/thread-host.js')) throw new ThreadFileError(path)
}

/** This process, with the thread that users have. */
export const host: ThreadHost = hostWith(path => {
  refuseBundle(path, import.meta.url)
  // Webpack recognises this form too, and copies the file without its imports. With any other form its bundle would run
  // the thread file on the machine that built it, as long as that exists.
  return new URL('./entry.js', import.meta.url)
})
