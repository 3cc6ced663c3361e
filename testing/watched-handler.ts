/** Wraps a handler: records its first line, its end, and its calls to its task. */
import { types } from 'node:util'
import { durationMs } from '../lib/options/duration.ts'
import { type Handler, isIterator } from '../lib/run/run.ts'
import type { Task } from '../lib/run/task.ts'
import { RetryLater, Throttled } from '../lib/settle/control-errors.ts'
import type { Fact, Released } from './entry.ts'

type Tell = (fact: Fact) => void

/** Which run of which job something is told of. */
interface Of {
  readonly job: string
  readonly attempt: number
  readonly fence?: number
}

/** @param generates Whether its first line is the first of the generator that it answers with, and not the call's. */
export function watchedHandler<Payload, Result>(
  handler: Handler<Payload, Result>,
  generates: (payload: Payload) => boolean,
  tell: Tell,
  fenceOf: (job: string) => number | undefined,
): Handler<Payload, Result> {
  return (payload, task) => {
    const fence = fenceOf(task.id)
    const of: Of = { job: task.id, attempt: task.attempt, ...(fence !== undefined && { fence }) }
    const { crashes, restored } = task
    const facts = { ...(crashes > 0 && { crashes }), ...(restored !== undefined && { restored: textOf(restored) }) }
    let begun = false
    const begins = (): void => {
      if (begun) return
      begun = true
      tell({ kind: 'launch', ...of, ...facts })
    }
    // A body that never began has no end either.
    const ends = (how: Pick<Released, 'how' | 'code' | 'afterMs' | 'heldKey'>): void => {
      if (begun) tell({ kind: 'release', ...of, ...how })
    }
    const returned = (): void => ends({ how: 'returned' })
    const threw = (error: unknown): void => ends({ how: 'threw', ...meaningOf(error) })
    if (!generates(payload)) begins()
    watchTask(task, of, tell)
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

function watchTask(task: Task, of: Of, tell: Tell): void {
  const { progress, checkpoint, spent } = task
  task.progress = value => {
    tell({ kind: 'progress', ...of, value: textOf(value) })
    progress.call(task, value)
  }
  task.checkpoint = value => {
    const text = textOf(value)
    tell({ kind: 'checkpoint', ...of, value: text })
    const stored = checkpoint.call(task, value).then(() => tell({ kind: 'stored', ...of, value: text }))
    // As the task's own promise: a rejection that nobody awaits ends no process.
    stored.catch(() => {})
    return stored
  }
  task.spent = cost => {
    spent.call(task, cost)
    tell({ kind: 'spent', ...of, cost: { ...cost } })
  }
}

type Step = (value?: unknown) => IteratorResult<unknown> | PromiseLike<IteratorResult<unknown>>
type Steps = { next: Step; return?: Step; throw?: Step }

const steps = ['next', 'return', 'throw'] as const

/** Gives `seen` the steps of `body`, watched. A body begins with its first `next`, and has ended when a step says so, or throws. */
function watchSteps(
  seen: Partial<Steps>,
  body: Steps,
  begins: () => void,
  returned: () => void,
  threw: (error: unknown) => void,
): void {
  let over = false
  const end = (tell: () => void): void => {
    if (!over) tell()
    over = true
  }
  const look = (result: unknown): void => {
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
        if (types.isPromise(result)) result.then(look, failed)
        else if (isThenable(result))
          return watchedThenable(result, look, failed) as PromiseLike<IteratorResult<unknown>>
        else look(result)
        return result
      } catch (error) {
        failed(error)
        throw error
      }
    }
  }
}

/** What is driven as a generator and is none: it may be frozen, so another stands before it. */
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

/** Asks the other once, as whoever awaits it would have done. */
function watchedThenable(
  answer: PromiseLike<unknown>,
  returned: (value: unknown) => void,
  threw: (error: unknown) => void,
): PromiseLike<unknown> {
  const promise = Promise.resolve(answer)
  promise.then(returned, threw)
  return promise
}

/** What an error says of itself: its code, or its name; and what those with a meaning ask for. */
function meaningOf(error: unknown): Pick<Released, 'code' | 'afterMs' | 'heldKey'> {
  const code = codeOf(error)
  if (!(error instanceof RetryLater) && !(error instanceof Throttled)) return { code }
  const heldKey = error instanceof Throttled ? error.key : undefined
  try {
    // A date counts from when the queue reads it, which nobody here knows, and a missing value is for its retry to say.
    return { code, afterMs: durationMs('after', error.after), ...(heldKey !== undefined && { heldKey }) }
  } catch {
    return { code }
  }
}

/** Whatever was thrown, and however it resists. */
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
