/**
 * Turns thenables into promises that settle once, and never synchronously.
 *
 * A foreign `then`, even of a subclass of Promise, may call back synchronously, or twice. The second time the run may
 * belong to another job.
 */
import { types } from 'node:util'

const { then } = Promise.prototype

/** Whether its `then` can be called directly. */
export function isNativePromise(value: object): value is Promise<unknown> {
  return types.isPromise(value) && value.then === then
}

export function toNativePromise<T>(promise: PromiseLike<T>): PromiseLike<T> {
  return isNativePromise(promise) ? promise : new Promise(resolve => resolve(promise))
}
