/**
 * The process that a backlog is part of, as a channel sees it: which file a path is, how a thread is started for it, and
 * which channels are open. A process that a test simulates has one of its own.
 */
import { Worker } from 'node:worker_threads'
import type { Channel } from './channel.ts'
import { type FileFound, findFile } from './file.ts'
import type { FromThread, Opening, ToThread } from './messages.ts'

/** What a thread says to its channel, and how it ends. */
export interface Ears {
  message(message: FromThread): void
  /** What it threw, before it exits. */
  error(error: unknown): void
  exit(code: number): void
}

/** A thread that was started, by what its channel does with it. */
export interface Thread {
  post(message: ToThread): void
  /** Whether it keeps the process alive; at first it does not. */
  ref(): void
  unref(): void
}

export interface Host {
  /** By what file they are on: one for each file and process. */
  readonly channels: Map<string, Channel>
  find(path: string): Promise<FileFound>
  start(opening: Opening, ears: Ears): Thread
}

const channels = new Map<string, Channel>()

/** This process. `code` is what its threads run; a test may put another one in the place of thread.ts. */
export function hostWith(code: URL): Host {
  const start = (opening: Opening, ears: Ears): Thread => {
    const worker = new Worker(code, { workerData: opening, name: 'rdq-sqlite', execArgv: [] })
    worker.on('message', (message: FromThread) => ears.message(message))
    worker.on('error', error => ears.error(error))
    worker.on('exit', code => ears.exit(code))
    worker.unref()
    return {
      post: message => worker.postMessage(message),
      ref: () => worker.ref(),
      unref: () => worker.unref(),
    }
  }
  return { channels, find: findFile, start }
}

/** This process, with the thread that users have. */
export const host: Host = hostWith(new URL('./thread.js', import.meta.url))
