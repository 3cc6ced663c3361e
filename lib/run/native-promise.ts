/**
 * Promises that settle once and never at once, whatever they were.
 *
 * A `then` that is not the language's own, of a subclass of Promise too, may call back synchronously, or twice. A run may
 * be that of another job by the second time.
 */
import { types } from 'node:util'

const { then } = Promise.prototype

/** Whether its `then` can be called as it is. */
export function isNativePromise(value: object): value is Promise<unknown> {
  return types.isPromise(value) && value.then === then
}

export function toNativePromise<T>(promise: PromiseLike<T>): PromiseLike<T> {
  return isNativePromise(promise) ? promise : new Promise(resolve => resolve(promise))
}
