/**
 * Acting on what a backlog answers, in the step in which the answer comes.
 *
 * The next turn of the queue may come in the next microtask and launch a job that was just put. So an answer that is there is
 * acted on at once, and a promise in the first reaction to it. The events of a job are then emitted in the order in which the
 * backlog gives its answers.
 */
import { types } from 'node:util'
import type { MaybePromise } from '../backlog.ts'

/** Calls `act` with the answer. Answers what that returns. */
export function whenAnswered<T, R>(answer: MaybePromise<T>, act: (answer: T) => R): MaybePromise<R> {
  return types.isPromise(answer) ? answer.then(act) : act(answer)
}

/**
 * Sends a request, and calls `accepted` with the answer or `refused` with the error.
 * @returns Undefined where the answer was there at once; else a promise that resolves once it has been acted on.
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
    // A refusal lets nothing run, so it has time.
    answer = Promise.reject(error)
  }
  if (types.isPromise(answer)) return answer.then(accepted, refused)
  accepted(answer)
  return undefined
}
