/**
 * The declaration for all keys of a queue, and the overrides of single ones. A declaration leaves overrides as they are;
 * lib/limits/keys.ts decides what holds for one key.
 */
import { type KeyOverride, type KeysPolicy, noKeys, overridden, textOfKeys } from '../../../lib/limits/keys.ts'
import type { KeyChange, KeysNow } from '../store.ts'
import type { LimitStore } from './limit-store.ts'
import type { QueueState } from './queue-state.ts'

/** Does nothing if the declaration repeats the last one. */
export function declareKeys<Queue extends QueueState>(
  store: LimitStore<Queue>,
  queue: Queue,
  policy: KeysPolicy,
  now: number,
): void {
  const declared = textOfKeys(policy)
  if (declared === queue.declaredKeys) return
  const reorders = (queue.keys ?? noKeys).order !== policy.order
  queue.keys = policy
  queue.declaredKeys = declared
  queue.keysVersion++
  store.keysDeclared(queue, reorders, now)
}
export function overrideKey<Queue extends QueueState>(
  store: LimitStore<Queue>,
  queue: Queue,
  key: string,
  change: KeyOverride,
  now: number,
): void {
  store.setOverride(queue, key, overridden(store.override(queue, key), change), now)
  queue.keysVersion++
}
export function clearKeyOverrides<Queue extends QueueState>(store: LimitStore<Queue>, queue: Queue, now: number): void {
  for (const [key] of store.overrides(queue)) store.setOverride(queue, key, undefined, now)
  queue.keysVersion++
}
export function keysNow<Queue extends QueueState>(store: LimitStore<Queue>, queue: Queue): KeysNow {
  return { version: queue.keysVersion, policy: queue.keys, overrides: store.overrides(queue) }
}
/** What {@link overrideKey} has changed. */
export function keyChange<Queue extends QueueState>(store: LimitStore<Queue>, queue: Queue, key: string): KeyChange {
  return { version: queue.keysVersion, key, override: store.override(queue, key) }
}
