/**
 * Which names have a queue with a handler in this process, for each backlog object.
 *
 * A second queue of the name is refused in its constructor, before it has done anything. If the backlog refused it
 * later, the first queue might be the one to be refused. Queues are held weakly, so that a queue that nobody uses any
 * more does not keep its name.
 */
import type { Backlog } from '../backlog.ts'
import { QueueNameTakenError } from '../errors.ts'

const taken = new WeakMap<Backlog, Map<string, WeakRef<object>>>()

/** Takes the name. Returns a function that releases it. Throws QueueNameTakenError. */
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
