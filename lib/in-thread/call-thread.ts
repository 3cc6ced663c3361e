/** Starts the threads of `inThread`. */
import { Worker } from 'node:worker_threads'
import { ModuleLoadError } from '../errors.ts'
import { bundleRemedy } from '../isolate/loaded-module.ts'
import type { FromCallThread, ToCallThread } from './call-protocol.ts'

/** A started thread. */
export interface CallThread {
  /** Throws if a part of the message cannot be cloned. */
  post(message: ToCallThread, buffers: readonly object[]): void
  /** Ends it at once. `ended` follows. */
  kill(): void
  /** Whether it keeps this process alive; at first it does. */
  ref(): void
  unref(): void
}

export interface CallThreadEvents {
  message(message: FromCallThread): void
  /** Called once. `error` is what it threw and nobody caught. */
  ended(exitCode: number, error: unknown): void
}

export type StartCallThread = (events: CallThreadEvents) => CallThread

/** For a bundle that has left behind the file of the threads. */
function inBundle(cause?: unknown): ModuleLoadError {
  return new ModuleLoadError('rdq/isolate', bundleRemedy, cause === undefined ? undefined : { cause })
}

/** Throws ModuleLoadError in a bundle that has left behind the file of the threads. */
export const startCallThread: StartCallThread = events => {
  const here: string | undefined = import.meta.url
  // Webpack copies the file of the threads under another name, without its imports.
  const entry = here?.endsWith('/call-thread.js') ? new URL('./call-entry.js', import.meta.url) : undefined
  if (!entry?.pathname.endsWith('/call-entry.js')) throw inBundle()
  const worker = new Worker(entry, { name: 'rdq inThread' })
  let error: unknown
  let hasAnswered = false
  worker.on('message', (message: FromCallThread) => {
    hasAnswered = true
    events.message(message)
  })
  worker.on('error', thrown => {
    error = !hasAnswered && isMissingFile(thrown) ? inBundle(thrown) : thrown
  })
  worker.on('messageerror', thrown => {
    error = thrown
    void worker.terminate()
  })
  worker.on('exit', exitCode => events.ended(exitCode, error))
  return {
    post: (message, buffers) => worker.postMessage(message, buffers as ArrayBuffer[]),
    kill: () => void worker.terminate(),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
  }
}

function isMissingFile(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
}
