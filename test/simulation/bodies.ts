/** Handlers of every kind and with every bad habit, which a script chooses attempt by attempt. */
import type { Clock } from '../../lib/clock.ts'
import type { Handler } from '../../lib/run/run.ts'
import type { Task } from '../../lib/run/task.ts'
import { RetryLater, Throttled, Unrecoverable } from '../../lib/settle/control-errors.ts'
import type { End, Script } from './plan.ts'

/** A body that runs until a command of the plan ends it. */
export interface WaitingBody {
  readonly who: string
  finish(): void
  fail(error: unknown): void
}

/** What bodies use of the simulated world. */
export interface BodyContext {
  readonly clock: Clock
  /** Names the life of the queue object that calls them. */
  readonly life: string
  /** The plan is over: from here on no body waits or fails. */
  readonly over: boolean
  /** Registers a body that waits for a command. */
  waits(body: WaitingBody): void
  /** Blocks the event loop for that long. In an isolate that may be for ever. */
  block(ms: number): void
  /** Called before the body passes a value that no file can store. */
  unstorable(): void
  /** Called once the body has corrected its cost. */
  spends(): void
  /** Called before the body holds the rule that its queue shares. */
  holds(): void
  /** Kills the process, or the isolate. `ranMs`: how long the body has run. */
  die(ranMs: number): void
  /** Finishes the job in a transaction of the user. */
  within(task: Task, value: string, undo: boolean): void
}

/** Odd values to throw: no errors, frozen, cyclic, or with a getter that throws. */
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

/** Whether the first line of the script's body is that of a generator. */
export function generates({ as }: Script): boolean {
  return as === 'generator' || as === 'async generator'
}

/** Values that no file can store: as a result, a checkpoint, a cost, a key and an error. */
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

export function bodyOf(context: BodyContext): Handler<Script, string> {
  const sleep = (ms: number): Promise<void> =>
    ms === 0 ? Promise.resolve() : new Promise(resolve => void context.clock.at(context.clock.now() + ms, resolve))
  const endOf = ({ ends }: Script, task: Task): End => {
    const end = ends[Math.min(task.attempt, ends.length) - 1] as End
    return context.over ? 'ok' : end
  }
  const untilSettled = (task: Task, deaf: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      context.waits({ who: context.life, finish: resolve, fail: reject })
      if (deaf) return
      if (task.signal.aborted) reject(task.signal.reason)
      task.signal.addEventListener('abort', () => reject(task.signal.reason))
    })
  /** The part of a body that takes no time: its end, or all of it. */
  const conclude = (script: Script, task: Task, calledAt = context.clock.now()): string => {
    const { n, spends } = script
    if (spends) {
      task.spent(spends)
      context.spends()
    }
    switch (endOf(script, task)) {
      case 'throws':
        throw new RangeError(`job ${n} throws`)
      case 'throws oddly':
        throw oddities[n % oddities.length]?.()
      case 'unstorable':
        context.unstorable()
        return unstorable[n % unstorable.length]?.(task) as string
      case 'later':
        throw new RetryLater(15)
      case 'throttled':
        throw new Throttled(25)
      case 'key throttled':
        throw task.key === undefined ? new RetryLater(5) : new Throttled(40, { key: task.key })
      case 'rule throttled':
        context.holds()
        throw new Throttled(35, { rule: 'gateway' })
      case 'gives up':
        throw new Unrecoverable(`job ${n} gives up`)
      case 'blocks':
        context.block(12)
        return 'late'
      case 'within':
      case 'within undone':
        context.within(task, `job ${n}`, endOf(script, task) === 'within undone')
        return `job ${n}`
      case 'hangs':
        context.block(Infinity)
        return 'late'
      case 'dies':
        context.die(context.clock.now() - calledAt)
        return 'never heard'
      default:
        return `job ${n}`
    }
  }
  /** The first line of a generator, which may block too. */
  const begin = (script: Script, task: Task): void => {
    if (endOf(script, task) === 'blocks') context.block(3)
  }
  async function work(script: Script, task: Task): Promise<string> {
    const calledAt = context.clock.now()
    const end = endOf(script, task)
    for (let step = 0; step < script.steps; step++) {
      task.progress(step)
      if (script.n % 2 === 0) await task.checkpoint(step)
      await sleep(script.ms)
    }
    if (end === 'waits' || end === 'deaf') await untilSettled(task, end === 'deaf')
    else if (end === 'late') {
      await sleep(script.ms + 10)
      if (task.signal.aborted) await sleep(70)
    } else if (script.steps === 0) await sleep(script.ms)
    if (task.signal.aborted && end !== 'late' && end !== 'deaf') throw task.signal.reason
    return conclude(script, task, calledAt)
  }
  function* generator(script: Script, task: Task): Generator<unknown, string> {
    const calledAt = context.clock.now()
    try {
      begin(script, task)
      const from = typeof task.restored === 'number' ? task.restored + 1 : 0
      for (let step = from; step < script.steps; step++) {
        task.progress(step)
        yield script.n % 2 === 0 ? task.checkpoint(step) : sleep(script.ms)
        yield
      }
      const end = endOf(script, task)
      if (end === 'waits' || end === 'deaf') yield untilSettled(task, end === 'deaf')
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
        // biome-ignore lint/suspicious/noThenProperty: the thenable is the subject.
        return { then: promise.then.bind(promise) } as PromiseLike<string>
      }
      default:
        return script.as satisfies never
    }
  }
}
