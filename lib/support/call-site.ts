/**
 * Gives errors the stack of the call that they belong to.
 *
 * An error of a backlog is created when its reply arrives, so its stack shows the code that received the reply and no
 * line of the caller. V8 knows who awaits a promise and writes that into the stack of an error created behind an
 * `await`. So the error is created again there. Nothing is recorded at the call: only a failure costs anything.
 */

import { DispatchError, PayloadError } from '../errors.ts'
import type { MaybePromise } from './replies.ts'

/**
 * Settles as `answer`. An error of rdq is created again, with the stack of the code that awaits the returned promise.
 */
export async function withCallSite<T>(answer: MaybePromise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw recreated(error)
  }
}

/**
 * A promise that rejects with `error`, to be adopted by a promise that the caller holds already. It rejects after the
 * adoption.
 */
export async function rejectionAtCallSite(error: unknown): Promise<never> {
  await undefined
  await undefined
  throw recreated(error)
}

/**
 * If one error refuses many calls, each call gets a copy of its own. Foreign errors, and errors created at the call,
 * stay as they are.
 */
function recreated(error: unknown): unknown {
  if (!(error instanceof DispatchError) || error instanceof PayloadError) return error
  const { stack: _, ...fields } = Object.getOwnPropertyDescriptors(error)
  // The stack begins with the name of the class, which V8 reads from the prototype when it creates the error.
  function Made(): Error {
    return Reflect.construct(Error, [(error as Error).message], Made)
  }
  Made.prototype = Object.getPrototypeOf(error)
  return Object.defineProperties(Made(), fields)
}
