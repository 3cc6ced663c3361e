/** Connects a queue with the isolates in which its handler runs. */
import type { Announcer } from '../announce/announcer.ts'
import type { Dispatch } from '../dispatch/dispatch.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { HandlerUrl } from '../options/isolate.ts'
import type { ParsedOptions } from '../options/options.ts'
import { durationMs } from '../parse/duration.ts'
import { Isolates } from './isolates.ts'
import { type Spawn, spawn as spawnHere } from './spawn.ts'

export interface QueueParts {
  readonly name: string
  readonly durable: boolean
  readonly strict: boolean
  readonly dispatch: Dispatch
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly announcer: Announcer
}

/** Starts isolates of another kind, for a simulation: a queue is given it by its URL object. */
const spawns = new WeakMap<URL, Spawn>()

/** @internal From now on queues whose handler is this very URL object start their isolates with `spawn`. */
export function spawnWith(handler: URL, spawn: Spawn): void {
  spawns.set(handler, spawn)
}

/** The isolates of a queue, which runs its bodies in them from now on. */
export function isolatesOf(handler: HandlerUrl, parsed: ParsedOptions, parts: QueueParts): Isolates | undefined {
  const { isolate: options, clock, crashLimit, slice } = parsed
  const { name, durable, strict, dispatch, emitter, announcer } = parts
  if (!options) return undefined
  const { launcher } = dispatch
  const { kind } = options
  const isolates = new Isolates({
    ...{ options, clock, crashLimit, launcher },
    spawn: spawns.get(handler) ?? spawnHere,
    opening: { kind, queue: name, module: handler.href, sliceMs: durationMs('slice', slice), strict },
    suspectsByProcess: durable && kind === 'thread',
    queue: {
      report: (error, run) => emitter.report(error, run ? { job: announcer.jobOf(run.record) } : {}),
      suspendLaunches: () => dispatch.suspendLaunches(),
      wake: () => dispatch.wake(),
    },
  })
  launcher.isolatedBodies = isolates
  return isolates
}
