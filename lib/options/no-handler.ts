/** The options that a queue without a handler refuses, because only a queue that runs jobs can honour them. */
import type { Backlog } from '../backlog.ts'
import { describe, OptionError } from '../errors.ts'

/** By option: what to do instead. */
const instead: Readonly<Record<string, string>> = {
  width: 'set it on the queues with a handler',
  isolate: 'set it on the queues with a handler',
  timeout: 'set it on the queues with a handler, or for one job by put(payload, { timeout })',
  retry: 'set it on the queues with a handler, or for one job by put(payload, { retry })',
  slice: 'set it on the queues with a handler',
  afterCrash: 'set it on the queues with a handler',
  crashLimit: 'set it on the queues with a handler',
  maxHold: 'set it on the queues with a handler',
  paused: 'call pause({ shared: true }), which holds the name in every process',
}

/** Throws OptionError if one of these options is given, or if there is no backlog to share. */
export function refuseWithoutHandler(options: object, backlog: Backlog | undefined): void {
  for (const option of Object.keys(instead)) {
    const value = (options as Record<string, unknown>)[option]
    if (value !== undefined) throw withoutHandler(option, value)
  }
  if (backlog === undefined) {
    throw new OptionError(
      'backlog',
      backlog,
      'is required without a handler, because no other queue could run the jobs in one of its own; give it that of the queue with the handler: the very object, or one on the same store',
    )
  }
}

export function withoutHandler(option: string, value: unknown): OptionError {
  return new OptionError(
    option,
    value,
    `means nothing to a queue without a handler, which runs no job: ${instead[option]}`,
  )
}

export function pauseWithoutHandler(): OptionError {
  return new OptionError(
    'pause.shared',
    false,
    'must be true on a queue without a handler: a plain pause would hold nothing, because each queue with a handler goes on; call pause({ shared: true }), which holds the name in every process',
  )
}

/** The handler is neither a function nor an address. */
export function noHandler(handler: unknown): OptionError {
  const hint = typeof handler === 'object' ? '; the handler comes first: new DispatchQueue(handler, { width: 5 })' : ''
  const problem = `must be a function, the URL of a module (see isolate), or null for a queue that only puts, got ${describe(handler)}${hint}`
  return new OptionError('handler', handler, problem)
}
