/** A handler that does nothing by itself: the test ends each of its runs, in any order and in any way. */

import type { Task } from '../lib/run/task.ts'
import { Deferred } from '../lib/support/deferred.ts'

/** A call of a scripted handler that has not ended. */
export interface ScriptedCall<Payload, Result> {
  readonly payload: Payload
  readonly task: Task
  finish(result: Result): void
  fail(error: unknown): void
}

export interface ScriptedHandler<Payload, Result> {
  (payload: Payload, task: Task): Promise<Result>
  /** The running calls, in the order of their launch. */
  readonly underway: readonly ScriptedCall<Payload, Result>[]
  /** The payloads of all calls so far. */
  readonly called: readonly Payload[]
}

/** A handler whose runs end when the test says so. */
export function scripted<Payload = unknown, Result = unknown>(): ScriptedHandler<Payload, Result> {
  const underway: ScriptedCall<Payload, Result>[] = []
  const called: Payload[] = []
  const handler = (payload: Payload, task: Task): Promise<Result> => {
    const end = new Deferred<Result>()
    const leave = (): void => void underway.splice(underway.indexOf(call), 1)
    const call: ScriptedCall<Payload, Result> = {
      payload,
      task,
      finish: result => {
        leave()
        end.resolve(result)
      },
      fail: error => {
        leave()
        end.reject(error)
      },
    }
    underway.push(call)
    called.push(payload)
    return end.promise
  }
  return Object.assign(handler, { underway, called })
}
