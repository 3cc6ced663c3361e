/** A handler that waits for its own queue waits for itself, and is told so. */
import type { DispatchQueue as Queue } from '../../lib/queue.ts'
import type { Task } from '../../lib/run/task.ts'
import { VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

type Waits = (queue: Queue<string, unknown>) => Promise<unknown>

const kinds: Readonly<Record<string, Waits>> = {
  idle: queue => queue.idle(),
  pause: queue => queue.pause(),
  stop: queue => queue.stop(),
  run: queue => queue.run('inner'),
}

/** What the process was warned of about that queue. */
async function warned(name: string, act: () => Promise<void>): Promise<(Error & { code?: string })[]> {
  const warnings: Error[] = []
  const listen = (warning: Error): void => {
    if (warning.message.includes(`'${name}'`)) warnings.push(warning)
  }
  process.on('warning', listen)
  await act()
  await new Promise(resolve => setImmediate(resolve))
  process.off('warning', listen)
  return warnings
}

let queues = 0

function waiting(handler: (queue: Queue<string, unknown>, payload: string, task: Task) => unknown, width = 1) {
  const clock = new VirtualClock()
  const name = `own ${++queues}`
  const queue: Queue<string, unknown> = new DispatchQueue<string, unknown>(
    (payload, task) => handler(queue, payload, task) as never,
    { clock, name, width },
  )
  return { clock, name, queue }
}

for (const [kind, wait] of Object.entries(kinds)) {
  test.serial(`a handler that awaits ${kind}() of its own queue is warned once, after 10 s`, async t => {
    const { clock, name, queue } = waiting((queue, payload) => payload === 'inner' || wait(queue))
    const { id } = await queue.put('outer')
    const early = await warned(name, () => clock.advance(9_999))
    const warnings = await warned(name, () => clock.advance(60_000))

    t.deepEqual(early, [])
    t.is(warnings.length, 1)
    t.is(warnings[0]?.code, 'RDQ_OWN_WAIT')
    t.true(warnings[0]?.message.includes(`job ${id} called ${kind}() of its own queue`))
  })
}

test.serial('a generator that waits for its own queue gets an error that says so, in whichever step', async t => {
  const { clock, name, queue } = waiting(function* (queue): Generator<unknown> {
    yield
    yield queue.idle()
  })
  await queue.put('a')

  t.is((await warned(name, () => clock.advance(20_000))).length, 1)
})

test.serial(
  'code outside of bodies may wait long without a warning, and so may a body that does not wait for its queue',
  async t => {
    const { clock, name, queue } = waiting(async (queue, payload) => {
      if (payload === 'asks') void queue.pause().then(() => queue.resume())
      else if (payload === 'runs') void queue.run('free')
      else await new Promise<void>(resolve => clock.at(clock.now() + 60_000, resolve))
    }, 3)
    const warnings = await warned(name, async () => {
      await queue.putMany(['asks', 'long', 'runs', 'long'])
      void queue.idle()
      await clock.advance(30_000)
      void queue.pause()
      await clock.advance(30_000)
      queue.resume()
      await clock.advance(120_000)
    })

    t.deepEqual(warnings, [])
  },
)
