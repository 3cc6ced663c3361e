/**
 * Which names of which backlog objects have a queue with a handler in this process.
 *
 * A second one is refused in its constructor, before it has done anything: refused later, by the backlog, it might be the
 * first one that is too late. Queues are held weakly, so that one that nobody uses any more does not keep its name.
 */
import type { Backlog } from '../backlog.ts'
import { QueueNameTakenError } from '../errors.ts'

const taken = new WeakMap<Backlog, Map<string, WeakRef<object>>>()

/** Answers what gives the name up. Throws QueueNameTakenError. */
export function takeName(backlog: Backlog, name: string, queue: object): () => void {
  let names = taken.get(backlog)
  if (!names) taken.set(backlog, (names = new Map()))
  if (names.get(name)?.deref()) throw new QueueNameTakenError(name)
  const mine = new WeakRef(queue)
  names.set(name, mine)
  return () => {
    if (names.get(name) === mine) names.delete(name)
  }
}
