/**
 * An async context in which no AsyncLocalStorage has a store, wherever it is entered.
 *
 * A queue is often created when a first request needs it, and this module may itself be imported then. A plain
 * AsyncResource would take over the stores of that request, show them to every job, and keep them in memory as long as
 * the queue lives. Node has no API for a context without stores. But a resource carries its two ids and its stores as
 * own properties, so a resource with nothing but ids is such a context.
 */
import { AsyncResource } from 'node:async_hooks'

const loaded = new AsyncResource('DispatchQueueLoaded', { requireManualDestroy: true })
const { asyncId, triggerAsyncId } = AsyncResource.prototype
const idKey = keyReadBy(asyncId)
const triggerKey = keyReadBy(triggerAsyncId)

/**
 * The property from which a method of AsyncResource reads its id; undefined in a version of Node that stores it
 * differently.
 */
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

/**
 * A resource without stores. If this version of Node stores ids differently, it falls back to the context in which this
 * module was loaded.
 */
export function cleanContext(type: string): AsyncResource {
  // The destroy hook must not fire while the ids are in use.
  const made = new AsyncResource(type, { requireManualDestroy: true })
  if (idKey === undefined || triggerKey === undefined) return loaded
  // The properties are assigned, not defined, because V8 reads assigned ones faster, and every launch reads them.
  const clean: Record<PropertyKey, number> = Object.create(AsyncResource.prototype)
  clean[idKey] = made.asyncId()
  clean[triggerKey] = made.triggerAsyncId()
  return clean as unknown as AsyncResource
}

const shared = cleanContext('DispatchQueueClean')

/**
 * Calls `run` in a clean context of its own: a store that it sets (`enterWith`) ends with the call and is visible to
 * nobody else. All these contexts share the same ids.
 */
export function inCleanContext<This, Args extends unknown[], Result>(
  run: (this: This, ...args: Args) => Result,
  self: This,
  ...args: Args
): Result {
  const own: AsyncResource = Object.create(shared)
  return own.runInAsyncScope(run, self, ...args)
}
