/** Handlers of every kind and with every bad habit, which a script chooses attempt by attempt. */
import type { Clock } from '../../lib/clock.ts'
import type { Handler } from '../../lib/run/run.ts'
import type { Task } from '../../lib/run/task.ts'
import { RetryLater, Throttled, Unrecoverable } from '../../lib/settle/control-errors.ts'
import type { End, Script } from './plan.ts'

/** A body that ends when it is told to. */
export interface Held {
  readonly who: string
  finish(): void
  fail(error: unknown): void
}

/** What bodies need of the world that they are in. */
export interface Ground {
  readonly clock: Clock
  /** Names the life of the queue object that calls them. */
  readonly life: string
  /** From here on nothing waits or fails any more: what is left runs to its end. */
  readonly over: boolean
  hold(held: Held): void
  /** The loop stands still for so long. */
  block(ms: number): void
  /** Something that no file can hold is about to be handed over. */
  unstorable(): void
  /** Kills the process, so long after the body was called. */
  die(ranMs: number): void
  /** A transaction of the user's own, in which the run finishes its job. */
  within(task: Task, value: string, undo: boolean): void
}

/** Things that somebody throws, and that resist who looks at them. */
const oddities: readonly (() => unknown)[] = [
  () => undefined,
  () => 'a string',
  () => Object.freeze(new Error('frozen')),
  () => {
    const error = new Error('cyclic') as Error & { self?: unknown }
    error.self = error
    return error
  },
  () =>
    Object.defineProperty(new Error('resists'), 'code', {
      enumerable: true,
      get: () => {
        throw new Error('no')
      },
    }),
]

/** Whose first line is that of a generator. */
export function generates({ as }: Script): boolean {
  return as === 'generator' || as === 'async generator'
}

/** What no file can hold, at each door that a body has. */
const unstorable: readonly ((task: Task) => unknown)[] = [
  () => () => 'a function for a result',
  task => {
    void task.checkpoint({ at: Symbol('s') })
    return 'stored none'
  },
  task => {
    task.spent({ tokens: Number.NaN })
  },
  () => {
    throw Object.assign(new Error('a key that is none'), { code: 'THROTTLED', after: 1, key: 'half \ud83d' })
  },
  () => {
    throw Object.assign(new Error('half \ud83d'), { big: 1n, symbol: Symbol('s'), nul: 'a\0b' })
  },
]

export function bodyOf(ground: Ground): Handler<Script, string> {
  const sleep = (ms: number): Promise<void> =>
    ms === 0 ? Promise.resolve() : new Promise(resolve => void ground.clock.at(ground.clock.now() + ms, resolve))
  const endOf = ({ ends }: Script, task: Task): End => {
    const end = ends[Math.min(task.attempt, ends.length) - 1] as End
    return ground.over ? 'ok' : end
  }
  const held = (task: Task, deaf: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      ground.hold({ who: ground.life, finish: resolve, fail: reject })
      if (deaf) return
      if (task.signal.aborted) reject(task.signal.reason)
      task.signal.addEventListener('abort', () => reject(task.signal.reason))
    })
  /** What needs no time: at the end of a body, or instead of it. */
  const conclude = (script: Script, task: Task, calledAt = ground.clock.now()): string => {
    const { n } = script
    switch (endOf(script, task)) {
      case 'throws':
        throw new RangeError(`job ${n} throws`)
      case 'throws oddly':
        throw oddities[n % oddities.length]?.()
      case 'unstorable':
        ground.unstorable()
        return unstorable[n % unstorable.length]?.(task) as string
      case 'later':
        throw new RetryLater(15)
      case 'throttled':
        throw new Throttled(25)
      case 'key throttled':
        throw task.key === undefined ? new RetryLater(5) : new Throttled(40, { key: task.key })
      case 'gives up':
        throw new Unrecoverable(`job ${n} gives up`)
      case 'blocks':
        ground.block(12)
        return 'late'
      case 'within':
      case 'within undone':
        ground.within(task, `job ${n}`, endOf(script, task) === 'within undone')
        return `job ${n}`
      case 'dies':
        ground.die(ground.clock.now() - calledAt)
        return 'never heard'
      default:
        return `job ${n}`
    }
  }
  /** The first line takes its time too. */
  const begin = (script: Script, task: Task): void => {
    if (endOf(script, task) === 'blocks') ground.block(3)
  }
  async function work(script: Script, task: Task): Promise<string> {
    const calledAt = ground.clock.now()
    const end = endOf(script, task)
    for (let step = 0; step < script.steps; step++) {
      task.progress(step)
      if (script.n % 2 === 0) await task.checkpoint(step)
      await sleep(script.ms)
    }
    if (end === 'waits' || end === 'deaf') await held(task, end === 'deaf')
    else if (end === 'late') {
      await sleep(script.ms + 10)
      if (task.signal.aborted) await sleep(70)
    } else if (script.steps === 0) await sleep(script.ms)
    if (task.signal.aborted && end !== 'late' && end !== 'deaf') throw task.signal.reason
    return conclude(script, task, calledAt)
  }
  function* generator(script: Script, task: Task): Generator<unknown, string> {
    const calledAt = ground.clock.now()
    try {
      begin(script, task)
      const from = typeof task.restored === 'number' ? task.restored + 1 : 0
      for (let step = from; step < script.steps; step++) {
        task.progress(step)
        yield script.n % 2 === 0 ? task.checkpoint(step) : sleep(script.ms)
        yield
      }
      const end = endOf(script, task)
      if (end === 'waits' || end === 'deaf') yield held(task, end === 'deaf')
      else yield sleep(script.ms)
      return conclude(script, task, calledAt)
    } finally {
      if (script.stubborn) {
        yield sleep(20)
        yield
      }
    }
  }
  async function* asyncGenerator(script: Script, task: Task): AsyncGenerator<unknown, string> {
    try {
      begin(script, task)
      for (let step = 0; step < script.steps; step++) {
        task.progress(step)
        yield
        await sleep(script.ms)
      }
      return await work({ ...script, steps: 0 }, task)
    } finally {
      if (script.stubborn) await sleep(20)
    }
  }
  return (script, task) => {
    switch (script.as) {
      case 'plain':
        return conclude(script, task)
      case 'async':
        return work(script, task)
      case 'generator':
        return generator(script, task)
      case 'async generator':
        return asyncGenerator(script, task)
      case 'thenable': {
        const promise = work(script, task)
        // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tried.
        return { then: promise.then.bind(promise) } as PromiseLike<string>
      }
      default:
        return script.as satisfies never
    }
  }
}
