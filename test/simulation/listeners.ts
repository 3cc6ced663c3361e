/** Listeners with every bad habit, which must not harm the queue. */
import type { QueueEventName } from '../../lib/events/events.ts'
import type { Job } from '../../lib/index.ts'
import type { ListenerPlan, Script } from './plan.ts'
import type { ProcessSlot, Queue } from './process-slot.ts'
import type { World } from './world.ts'

/** The most puts, pauses and so on of one listener, because each may cause the next event. */
const maxActions = 3

export function listen(world: World, slot: ProcessSlot, queue: Queue): void {
  for (const plan of world.config.listeners) listenAs(plan, world, slot, queue)
}

function listenAs({ event, does }: ListenerPlan, world: World, slot: ProcessSlot, queue: Queue): void {
  let left = maxActions
  const onWarning = (subject?: Job<Script, string>): unknown => {
    if (world.over || slot.queue !== queue) return
    world.faults.fired(`a listener that ${does}`)
    switch (does) {
      case 'throws':
        throw new Error('a listener throws')
      case 'rejects':
        return Promise.reject(new Error('a listener rejects'))
      case 'leaves':
        return queue.off(event as QueueEventName, onWarning as never)
    }
    if (slot.stopping || left-- <= 0) return
    if (!slot.works && (does === 'pauses' || does === 'widens')) return
    switch (does) {
      case 'puts': {
        const n = 1_000 + world.scripts.size
        const script: Script = { n, as: 'async', ms: 3, ends: ['ok'], steps: 0, stubborn: false }
        world.scripts.set(n, script)
        return world.track('put of a listener', slot.life, queue.put(script, { id: `j${n}` }))
      }
      case 'pauses':
        world.track('pause of a listener', slot.life, queue.pause())
        return queue.resume()
      case 'cancels':
        if (typeof subject === 'object') world.track('cancel of a listener', slot.life, queue.cancel(subject))
        return
      case 'widens':
        queue.width = 2 + (left % 2)
        return
      case 'blocks':
        world.machine.pass(7)
        return world.history.add({ kind: 'block', ms: 7 }, slot.life)
      default:
        return does satisfies never
    }
  }
  queue.on(event as QueueEventName, onWarning as never)
}
