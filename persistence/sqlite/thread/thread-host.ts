/**
 * The process that a backlog is part of: which file a path is, and how a thread is started for it. A process that a test
 * simulates has one of its own.
 */
import { Worker } from 'node:worker_threads'
import { ThreadFileError } from '../errors.ts'
import { type FileFound, findFile } from '../file/open.ts'
import type { FromThread, Opening, ToThread } from './messages.ts'

/** What a thread reports to its connection, and how it ends. */
export interface ThreadEvents {
  message(message: FromThread): void
  /** What it threw, before it exits. */
  error(error: unknown): void
  exit(code: number): void
}

/** A thread that was started, by what its connection does with it. */
export interface Thread {
  post(message: ToThread): void
  /** Whether it keeps the process alive; at first it does not. */
  ref(): void
  unref(): void
}

export interface ThreadHost {
  /** Stands for the process: what is open in it is kept by this. */
  readonly process: object
  find(path: string): Promise<FileFound>
  start(opening: Opening, events: ThreadEvents): Thread
}

const thisProcess = {}

/**
 * This process. `code` is the file that its threads run; a test may put another one in the place of entry.ts. It is asked
 * for when a thread is started, so that a bundle can be imported in which that file has no place.
 */
export function hostWith(code: URL | ((path: string) => URL)): ThreadHost {
  const start = (opening: Opening, events: ThreadEvents): Thread => {
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
 * Refuses a bundle, in which no file of the thread lies beside this one. Some bundlers leave no address at all, and others
 * that of the bundle, beside which an entry.js would be somebody else's. Throws ThreadFileError.
 */
export function refuseBundle(path: string, here: string | undefined): void {
  if (!here?.endsWith('/thread-host.js')) throw new ThreadFileError(path)
}

/** This process, with the thread that users have. */
export const host: ThreadHost = hostWith(path => {
  refuseBundle(path, import.meta.url)
  // In this form webpack sees it too, and copies the file without what it imports. In any other its bundle would run the
  // thread of the machine that built it, for as long as it stays there.
  return new URL('./entry.js', import.meta.url)
})
