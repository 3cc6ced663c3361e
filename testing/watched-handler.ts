/** A handler that does what another does, while its first line, its end and what it asks of its task are written down. */
import { types } from 'node:util'
import { RetryLater, Throttled } from '../lib/control-errors.ts'
import { durationMs } from '../lib/duration.ts'
import type { Handler } from '../lib/run.ts'
import type { Task } from '../lib/task.ts'
import type { Fact, Released } from './entry.ts'

type Tell = (fact: Fact) => void

/** Which run of which job something is told of. */
interface Of {
  readonly job: string
  readonly attempt: number
  readonly fence?: number
}

export function watchedHandler<Payload, Result>(
  handler: Handler<Payload, Result>,
  tell: Tell,
  fenceOf: (job: string) => number | undefined,
): Handler<Payload, Result> {
  return (payload, task) => {
    const fence = fenceOf(task.id)
    const of: Of = { job: task.id, attempt: task.attempt, ...(fence !== undefined && { fence }) }
    tell({ kind: 'launch', ...of, ...(task.restored !== undefined && { restored: textOf(task.restored) }) })
    watchTask(task, of, tell)
    const returned = (): void => tell({ kind: 'release', ...of, how: 'returned' })
    const threw = (error: unknown): void => tell({ kind: 'release', ...of, how: 'threw', ...meaningOf(error) })
    let answer: ReturnType<Handler<Payload, Result>>
    try {
      answer = handler(payload, task)
    } catch (error) {
      threw(error)
      throw error
    }
    if (types.isGeneratorObject(answer)) watchGenerator(answer as unknown as AnyGenerator, returned, threw)
    else if (types.isPromise(answer)) answer.then(returned, threw)
    else if (isThenable(answer)) return watchedThenable(answer, returned, threw) as typeof answer
    else returned()
    return answer
  }
}

function watchTask(task: Task, of: Of, tell: Tell): void {
  const { progress, checkpoint, spent } = task
  task.progress = value => {
    tell({ kind: 'progress', ...of, value: textOf(value) })
    progress.call(task, value)
  }
  task.checkpoint = async value => {
    const text = textOf(value)
    tell({ kind: 'checkpoint', ...of, value: text })
    await checkpoint.call(task, value)
    tell({ kind: 'stored', ...of, value: text })
  }
  task.spent = cost => {
    spent.call(task, cost)
    tell({ kind: 'spent', ...of, cost: { ...cost } })
  }
}

type Step = (value?: unknown) => IteratorResult<unknown> | Promise<IteratorResult<unknown>>
type AnyGenerator = Record<'next' | 'return' | 'throw', Step>

/** Stays the true generator object that it must be; its body has ended when a step says so, or throws. */
function watchGenerator(generator: AnyGenerator, returned: () => void, threw: (error: unknown) => void): void {
  let over = false
  const end = (tell: () => void): void => {
    if (!over) tell()
    over = true
  }
  const look = ({ done }: IteratorResult<unknown>): void => {
    if (done) end(returned)
  }
  const failed = (error: unknown): void => end(() => threw(error))
  for (const name of ['next', 'return', 'throw'] as const) {
    const step = generator[name]
    generator[name] = value => {
      try {
        const result = step.call(generator, value)
        if (types.isPromise(result)) result.then(look, failed)
        else look(result as IteratorResult<unknown>)
        return result
      } catch (error) {
        failed(error)
        throw error
      }
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** Asks the other once, as whoever awaits it would have done. */
function watchedThenable(
  answer: PromiseLike<unknown>,
  returned: () => void,
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
