/**
 * Handles the reply of a backlog in the same step in which it arrives.
 *
 * The next pass of the dispatch loop may run in the next microtask and launch a job that was just put. A synchronous
 * reply is therefore handled at once, and a promise in its first reaction. The events of jobs are then emitted in the
 * order of the backlog's replies.
 */
import { types } from 'node:util'

/**
 * The reply of a backlog: the value itself, or a promise of it if the reply comes from a thread or over a network.
 *
 * The queue handles a value before it makes another request, and a promise in its first reaction.
 */
export type MaybePromise<T> = T | Promise<T>

/** Calls `act` with the reply, at once or when it arrives. Returns the result of `act`. */
export function whenReplied<T, R>(answer: MaybePromise<T>, act: (answer: T) => MaybePromise<R>): MaybePromise<R> {
  return types.isPromise(answer) ? answer.then(act) : act(answer)
}

/**
 * Sends a request, and calls `accepted` with the reply or `refused` with the error.
 * @returns Undefined if the reply was synchronous; else a promise that resolves once the reply has been handled.
 */
export function request<T>(
  send: () => MaybePromise<T>,
  accepted: (answer: T) => void,
  refused: (error: unknown) => void | Promise<void>,
): Promise<void> | undefined {
  let answer: MaybePromise<T>
  try {
    answer = send()
  } catch (error) {
    // A refusal starts no job, so it may take a microtask longer.
    answer = Promise.reject(error)
  }
  if (types.isPromise(answer)) return answer.then(accepted, refused)
  accepted(answer)
  return undefined
}
