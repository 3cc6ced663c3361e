/** Wraps a handler: records its first line, its end, and its calls to its task. */
import { types } from 'node:util'
import { durationMs } from '../lib/parse/duration.ts'
import { type Handler, isIterator } from '../lib/run/run.ts'
import type { Task } from '../lib/run/task.ts'
import { RetryLater, Throttled } from '../lib/settle/control-errors.ts'
import type { Fact, Released } from './entry.ts'

type Write = (fact: Fact) => void

/** The run and the job of an entry. */
interface Of {
  readonly job: string
  readonly attempt: number
  readonly fence?: number
}

/** @param generates Whether its first line is the first of the generator that it returns, and not that of the call. */
export function watchedHandler<Payload, Result>(
  handler: Handler<Payload, Result>,
  generates: (payload: Payload) => boolean,
  write: Write,
  fenceOf: (job: string) => number | undefined,
): Handler<Payload, Result> {
  return (payload, task) => {
    const fence = fenceOf(task.id)
    const of: Of = { job: task.id, attempt: task.attempt, ...(fence !== undefined && { fence }) }
    const { crashes, restored, key } = task
    const facts = {
      ...(crashes > 0 && { crashes }),
      ...(restored !== undefined && { restored: textOf(restored) }),
      ...(key !== undefined && { key }),
    }
    let began = false
    const begins = (): void => {
      if (began) return
      began = true
      write({ kind: 'launch', ...of, ...facts })
    }
    // A body that never began has no end either.
    const ends = (how: Pick<Released, 'how' | 'code' | 'afterMs' | 'heldKey' | 'heldRule'>): void => {
      if (began) write({ kind: 'release', ...of, ...how })
    }
    const returned = (): void => ends({ how: 'returned' })
    const threw = (error: unknown): void => ends({ how: 'threw', ...meaningOf(error, key) })
    if (!generates(payload)) begins()
    watchTask(task, of, write)
    let answer: ReturnType<Handler<Payload, Result>>
    try {
      answer = handler(payload, task)
    } catch (error) {
      begins()
      threw(error)
      throw error
    }
    const steps = answer as unknown as Steps
    if (types.isGeneratorObject(answer)) watchSteps(steps, steps, begins, returned, threw)
    else if (!isThenable(answer) && isIterator(answer)) {
      return watchedIterator(steps, begins, returned, threw) as typeof answer
    } else {
      begins()
      if (types.isPromise(answer)) answer.then(returned, threw)
      else if (isThenable(answer)) return watchedThenable(answer, returned, threw) as typeof answer
      else returned()
    }
    return answer
  }
}

function watchTask(task: Task, of: Of, write: Write): void {
  const { progress, checkpoint, spent } = task
  task.progress = value => {
    write({ kind: 'progress', ...of, value: textOf(value) })
    progress.call(task, value)
  }
  task.checkpoint = value => {
    const text = textOf(value)
    write({ kind: 'checkpoint', ...of, value: text })
    const stored = checkpoint.call(task, value).then(() => write({ kind: 'stored', ...of, value: text }))
    // Same as the task's own promise: an unhandled rejection does not end the process.
    stored.catch(() => {})
    return stored
  }
  task.spent = cost => {
    spent.call(task, cost)
    write({ kind: 'spent', ...of, cost: { ...cost } })
  }
}

type Step = (value?: unknown) => IteratorResult<unknown> | PromiseLike<IteratorResult<unknown>>
type Steps = { next: Step; return?: Step; throw?: Step }

const steps = ['next', 'return', 'throw'] as const

/**
 * Gives `seen` the steps of `body`, recorded. A body begins with its first `next`, and has ended when a step says so,
 * or throws.
 */
function watchSteps(
  seen: Partial<Steps>,
  body: Steps,
  begins: () => void,
  returned: () => void,
  threw: (error: unknown) => void,
): void {
  let over = false
  const end = (record: () => void): void => {
    if (!over) record()
    over = true
  }
  const endIfDone = (result: unknown): void => {
    if ((result as IteratorResult<unknown>).done) end(returned)
  }
  const failed = (error: unknown): void => end(() => threw(error))
  for (const name of steps) {
    const step = body[name]
    if (!step) continue
    seen[name] = value => {
      if (name === 'next') begins()
      try {
        const result = step.call(body, value)
        if (types.isPromise(result)) result.then(endIfDone, failed)
        else if (isThenable(result))
          return watchedThenable(result, endIfDone, failed) as PromiseLike<IteratorResult<unknown>>
        else endIfDone(result)
        return result
      } catch (error) {
        failed(error)
        throw error
      }
    }
  }
}

/** An object that is driven as a generator without being one. It may be frozen, so a wrapper takes its place. */
function watchedIterator(
  body: Steps,
  begins: () => void,
  returned: () => void,
  threw: (error: unknown) => void,
): unknown {
  const seen: Partial<Steps> & Iterable<unknown> = {
    [Symbol.iterator]() {
      return this as unknown as Iterator<unknown>
    },
  }
  watchSteps(seen, body, begins, returned, threw)
  return seen
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** Calls the other `then` once, as an `await` would have done. */
function watchedThenable(
  answer: PromiseLike<unknown>,
  returned: (value: unknown) => void,
  threw: (error: unknown) => void,
): PromiseLike<unknown> {
  const promise = Promise.resolve(answer)
  promise.then(returned, threw)
  return promise
}

/** How an error identifies itself, by its code or name, and the requests of control errors. */
function meaningOf(
  error: unknown,
  key: string | undefined,
): Pick<Released, 'code' | 'afterMs' | 'heldKey' | 'heldRule'> {
  const code = codeOf(error)
  if (!(error instanceof RetryLater) && !(error instanceof Throttled)) return { code }
  const throttled = error instanceof Throttled ? error : undefined
  const heldKey = throttled?.key === true ? key : throttled?.key
  const heldRule = throttled?.rule
  try {
    // A date counts from when the queue reads it, which is unknown here, and a missing value is decided by the queue's
    // `retry`.
    return {
      ...{ code, afterMs: durationMs('after', error.after) },
      ...(heldKey !== undefined && { heldKey }),
      ...(heldRule !== undefined && { heldRule }),
    }
  } catch {
    return { code }
  }
}

/** Never throws, whatever the value is. */
export function codeOf(error: unknown): string {
  try {
    const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
    return typeof code === 'string' ? code : typeof name === 'string' ? name : typeof error
  } catch {
    return 'unreadable'
  }
}

export function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'undefined'
  } catch {
    return 'not JSON'
  }
}
