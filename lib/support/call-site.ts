/**
 * Errors that show where the call was made that they answer.
 *
 * An error of a backlog is made when its report comes in, and its stack then shows how that came in and no line of the
 * caller. V8 knows who awaits a promise, and writes it into the stack of an error that is made behind an `await`. So the
 * error is made again there. Nothing is recorded at the call, which costs nothing until it fails.
 */
import type { MaybePromise } from '../backlog.ts'
import { DispatchError, PayloadError } from '../errors.ts'

/** Settles as `answer`. An error of rdq is made again, with the stack of whoever awaits what this gives. */
export async function withCallSite<T>(answer: MaybePromise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw madeAgain(error)
  }
}

/** A promise that rejects with `error`, for one that a caller has already. It waits until that one has adopted it. */
export async function rejectionAtCallSite(error: unknown): Promise<never> {
  await undefined
  await undefined
  throw madeAgain(error)
}

/** Of one error that refuses many calls each has its own. What is none of ours, or was made at the call, is left as it is. */
function madeAgain(error: unknown): unknown {
  if (!(error instanceof DispatchError) || error instanceof PayloadError) return error
  const { stack: _, ...fields } = Object.getOwnPropertyDescriptors(error)
  // The stack begins with the name of the class, which V8 reads of the prototype when it makes the error.
  function Made(): Error {
    return Reflect.construct(Error, [(error as Error).message], Made)
  }
  Made.prototype = Object.getPrototypeOf(error)
  return Object.defineProperties(Made(), fields)
}
