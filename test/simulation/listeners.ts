/** Listeners with every bad habit, which must not harm the queue. */
import type { QueueEventName } from '../../lib/events/events.ts'
import type { Job } from '../../lib/index.ts'
import type { Place, Queue } from './place.ts'
import type { ListenerPlan, Script } from './plan.ts'
import type { World } from './world.ts'

/** One listener puts or widens so often at most: it would never come to an end. */
const oftenMost = 3

export function listen(world: World, place: Place, queue: Queue): void {
  for (const plan of world.config.listeners) listenAs(plan, world, place, queue)
}

function listenAs({ event, does }: ListenerPlan, world: World, place: Place, queue: Queue): void {
  let left = oftenMost
  const hear = (subject?: Job<Script, string>): unknown => {
    if (world.over || place.queue !== queue) return
    world.faults.fired(`a listener that ${does}`)
    switch (does) {
      case 'throws':
        throw new Error('a listener throws')
      case 'rejects':
        return Promise.reject(new Error('a listener rejects'))
      case 'leaves':
        return queue.off(event as QueueEventName, hear as never)
    }
    if (place.stopping || left-- <= 0) return
    if (!place.works && (does === 'pauses' || does === 'widens')) return
    switch (does) {
      case 'puts': {
        const n = 1_000 + world.scripts.size
        const script: Script = { n, as: 'async', ms: 3, ends: ['ok'], steps: 0, stubborn: false }
        world.scripts.set(n, script)
        return world.give('put of a listener', place.life, queue.put(script, { id: `j${n}` }))
      }
      case 'pauses':
        world.give('pause of a listener', place.life, queue.pause())
        return queue.resume()
      case 'cancels':
        if (typeof subject === 'object') world.give('cancel of a listener', place.life, queue.cancel(subject))
        return
      case 'widens':
        queue.width = 2 + (left % 2)
        return
      case 'blocks':
        world.machine.pass(7)
        return world.history.add({ kind: 'block', ms: 7 }, place.life)
      default:
        return does satisfies never
    }
  }
  queue.on(event as QueueEventName, hear as never)
}
