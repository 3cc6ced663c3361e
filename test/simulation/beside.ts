/**
 * A second queue in the processes of a run, on the same backlog. It shares a rule with a name with the queue of the plan,
 * so what happens to one of them must never break that rule for both.
 */
import { type Backlog, DispatchQueue, type QueueOptions, Throttled } from '../../lib/index.ts'
import type { SimulatedProcess } from '../../testing/simulated/process.ts'
import { type BesidePlan, type Command, keepOf } from './plan.ts'
import type { ProcessSlot } from './process-slot.ts'
import type { World } from './world.ts'

export const besideName = 'r'
export type BesideQueue = DispatchQueue<string, string>

/** Opens the second queue of a slot, unless it is open. */
export function openBeside(
  world: World,
  slot: ProcessSlot,
  works: boolean,
  { clock }: SimulatedProcess,
  backlog: Backlog,
): void {
  const { config } = world
  const plan = config.beside as BesidePlan
  const { life } = slot
  const options: QueueOptions<string, string> = {
    ...{ name: config.backlog === 'memory' ? `${besideName} ${life}` : besideName, clock, backlog },
    rate: [...plan.rate],
    keep: keepOf(config),
    ...(plan.cost > 0 && { cost: { tokens: plan.cost } }),
    ...(works && { width: plan.width }),
  }
  const sleep = (ms: number): Promise<void> =>
    ms === 0 ? Promise.resolve() : new Promise(resolve => void clock.at(clock.now() + ms, resolve))
  const body = async (payload: string): Promise<string> => {
    const [end = '', ms = '0'] = payload.split(' ')
    await sleep(Number(ms))
    if (world.over || end === 'ok') return payload
    world.faults.fired('a rule that is held')
    throw new Throttled(30, { rule: ruleName })
  }
  const queue = world.history.watch(record => new DispatchQueue<string, string>(works ? record(body) : null, options), {
    process: life,
    attempts: 1,
    ...(options.cost && { cost: options.cost as never }),
  })
  slot.beside = queue
  queue.ready().catch(() => {
    world.track(`stop of the queue beside ${life}, which did not open`, life, queue.stop())
    gone(slot, queue)
  })
  queue.on('error', () => {})
}

/** The name of the rule that both queues share. */
export const ruleName = 'gateway'

export function putBeside(world: World, slot: ProcessSlot, command: Extract<Command, { do: 'put beside' }>): void {
  const { beside, life } = slot
  if (!beside) return
  const payloads = Array.from({ length: command.count }, () => `${command.end} ${command.ms}`)
  const cost = command.tokens > 0 ? { cost: { tokens: command.tokens } } : {}
  world.faults.fired('a put into the queue beside')
  world.track(`put beside ${life}`, life, beside.putMany(payloads, cost))
}

export function stopBeside(world: World, slot: ProcessSlot, options: object): void {
  const { beside, life } = slot
  if (!beside) return
  const stop = beside.stop(options)
  void stop.then(() => gone(slot, beside))
  world.track(`stop of the queue beside ${life}`, life, stop)
}

function gone(slot: ProcessSlot, queue: BesideQueue): void {
  if (slot.beside === queue) slot.beside = undefined
}
