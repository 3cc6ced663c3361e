/**
 * An async context in which no AsyncLocalStorage has a store, wherever it is entered.
 *
 * A queue is often made when a first request needs it, and this module may itself be imported then. A plain AsyncResource
 * takes over the stores of that request, shows them to every job, and keeps them in memory as long as the queue lives. Node
 * has no call for a context without stores. But a resource carries its two ids and its stores as properties of its own, so
 * one that has got nothing but ids is such a context.
 */
import { AsyncResource } from 'node:async_hooks'

const loaded = new AsyncResource('DispatchQueueLoaded', { requireManualDestroy: true })
const { asyncId, triggerAsyncId } = AsyncResource.prototype
const idKey = keyReadBy(asyncId)
const triggerKey = keyReadBy(triggerAsyncId)

/** The property from which a method of AsyncResource reads its id; undefined in a Node that keeps it in another way. */
function keyReadBy(method: () => number): PropertyKey | undefined {
  let key: PropertyKey | undefined
  const probe = new Proxy(
    {},
    {
      get: (_, read) => {
        key = read
        return 0
      },
    },
  )
  try {
    method.call(probe as AsyncResource)
  } catch {}
  return key
}

/** A resource without stores. Where Node keeps its ids in another way, it has those of whoever loaded this module. */
export function cleanContext(type: string): AsyncResource {
  // Its destruction must not be told while its ids are in use.
  const made = new AsyncResource(type, { requireManualDestroy: true })
  if (idKey === undefined || triggerKey === undefined) return loaded
  // Properties that are assigned, and not defined, are those that V8 reads quickly: a launch reads them.
  const clean: Record<PropertyKey, number> = Object.create(AsyncResource.prototype)
  clean[idKey] = made.asyncId()
  clean[triggerKey] = made.triggerAsyncId()
  return clean as unknown as AsyncResource
}

const shared = cleanContext('DispatchQueueClean')

/**
 * Calls `run` in a clean context of its own: what it enters (`enterWith`) is over with it, and is met by nobody else. It has
 * the ids of one that all share.
 */
export function inCleanContext<This, Args extends unknown[], Result>(
  run: (this: This, ...args: Args) => Result,
  self: This,
  ...args: Args
): Result {
  const own: AsyncResource = Object.create(shared)
  return own.runInAsyncScope(run, self, ...args)
}
