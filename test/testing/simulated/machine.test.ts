/** The simulated machine itself: its order, its times, and what is left of who dies there. */
import test, { type ExecutionContext } from 'ava'
import { DispatchQueue } from '../../../lib/index.ts'
import { Chance } from '../../../testing/simulated/chance.ts'
import { Disk } from '../../../testing/simulated/disk.ts'
import { Loop } from '../../../testing/simulated/loop.ts'
import { Machine } from '../../../testing/simulated/machine.ts'
import { SimulatedProcess } from '../../../testing/simulated/process.ts'
import type { Points } from '../../../testing/simulated/thread.ts'

const machineOf = (seed: number): Machine => new Machine(new Chance(seed))

/** What two loops of three lanes each say, in the order of a seed. */
async function order(seed: number): Promise<string[]> {
  const machine = machineOf(seed)
  const said: string[] = []
  for (const name of ['a', 'b']) {
    const loop = new Loop(name)
    machine.add(loop)
    for (let i = 0; i < 4; i++) {
      const say = (lane: string) => (): void => void said.push(`${name} ${lane} ${i}`)
      loop.soon(say('soon'))
      loop.at(1, say('alarm'))
      loop.send({ at: 0, deliver: say('letter') })
    }
  }
  await machine.run(1)
  return said
}

test('machine: the same seed gives the same order, another one another, and no lane is ever out of order', async t => {
  const orders = await Promise.all(Array.from({ length: 20 }, (_, seed) => order(seed)))

  t.deepEqual(await order(3), orders[3])
  t.true(new Set(orders.map(String)).size > 15)
  for (const said of orders) {
    t.is(said.length, 24)
    for (const lane of ['a soon', 'a alarm', 'a letter', 'b soon', 'b alarm', 'b letter']) {
      t.deepEqual(
        said.filter(line => line.startsWith(lane)).map(line => line.at(-1)),
        ['0', '1', '2', '3'],
      )
    }
  }
})
test('machine: time passes from one instant to the next, and only when nothing is ready', async t => {
  const machine = machineOf(1)
  const loop = new Loop('a')
  machine.add(loop)
  const at: number[] = []
  const report = (): void => void at.push(machine.now)
  loop.at(10, () => loop.soon(() => loop.soon(report)))
  loop.at(2.5, report)
  loop.send({ at: 7, deliver: report })
  loop.send({ at: 5, deliver: report })

  await machine.run(8)
  t.deepEqual(at, [2.5, 7, 7])
  await machine.run(8)
  t.deepEqual(at, [2.5, 7, 7, 10])
  t.is(machine.now, 16)
})
test('machine: a blocked loop delivers no message until it continues, and then all', async t => {
  const machine = machineOf(1)
  const process = new SimulatedProcess(machine, 'a', () => {})
  const rung: number[] = []
  for (const ms of [1, 2, 3]) process.clock.at(ms, () => void rung.push(process.clock.now()))
  process.block(10)
  await machine.run(9)
  t.deepEqual(rung, [])
  await machine.run(1)
  t.deepEqual(rung, [10, 10, 10])

  process.clock.at(20, () => void rung.push(process.clock.now()))
  process.freeze()
  await machine.run(100)
  t.is(rung.length, 3)
  process.thaw()
  await machine.run(0)
  t.is(rung[3], 110)
})
test('machine: each process counts from its own start, and a boot begins the steady clock of all anew', async t => {
  const machine = machineOf(1)
  await machine.run(50)
  const one = new SimulatedProcess(machine, 'a', () => {})
  await machine.run(25)
  t.deepEqual([one.clock.now(), one.clock.origin], [25, { boot: 'boot 1', offsetMs: 50 }])
  one.kill()
  machine.reboot()
  await machine.run(5)
  const other = new SimulatedProcess(machine, 'b', () => {})
  t.deepEqual([other.clock.now(), other.clock.origin], [0, { boot: 'boot 2', offsetMs: 5 }])
})
test('machine: a dead loop delivers no message and sends none', async t => {
  const machine = machineOf(1)
  const process = new SimulatedProcess(machine, 'a', () => {})
  const { clock } = process
  clock.soon(() => t.fail())
  clock.at(1, () => t.fail())
  process.kill()
  clock.soon(() => t.fail())
  clock.at(1, () => t.fail())
  process.loop.send({ at: 0, deliver: () => t.fail() })

  await machine.run(10)
  t.is(machine.next, Infinity)
})

interface Stage {
  readonly machine: Machine
  readonly ran: string[]
  process(name: string, points?: Points): SimulatedProcess
  /** A queue of that process; its bodies take 100 ms. */
  queue(process: SimulatedProcess): DispatchQueue<string, void>
}

function stage(t: ExecutionContext): Stage {
  const disk = new Disk()
  t.teardown(() => disk.remove())
  const machine = machineOf(7)
  const path = disk.make()
  const ran: string[] = []
  return {
    machine,
    ran,
    process: (name, points = () => {}) => new SimulatedProcess(machine, name, points),
    queue: process => {
      const { clock, name } = process
      const body = async (payload: string): Promise<void> => {
        ran.push(`${name} begins ${payload}`)
        await new Promise<void>(resolve => void clock.at(clock.now() + 100, resolve))
        ran.push(`${name} ends ${payload}`)
      }
      return new DispatchQueue(body, { name: 'q', clock, backlog: process.backlog(path) })
    },
  }
}

test('process: jobs of a dead process are run by another at once, and the dead one does nothing more', async t => {
  const { machine, ran, process, queue } = stage(t)
  const [one, two] = [process('one'), process('two')]
  const first = queue(one)
  void first.put('job')
  await machine.run(50)
  const second = queue(two)
  await machine.run(20)
  t.deepEqual(ran, ['one begins job'])

  const at = machine.now
  one.kill()
  await machine.run(200, () => ran.length > 1)
  t.true(machine.now - at < 160, `known after ${machine.now - at} ms`)
  await machine.run(1_000)
  t.deepEqual(ran, ['one begins job', 'two begins job', 'two ends job'])
  t.is(second.counts.finished, 1)
  t.deepEqual(machine.uncaught, [])
  two.kill()
})
test('process: a frozen process does not count as dead', async t => {
  const { machine, ran, process, queue } = stage(t)
  const [one, two] = [process('one'), process('two')]
  void queue(one).put('job')
  await machine.run(50)
  queue(two)
  one.freeze()
  await machine.run(60_000)
  t.deepEqual(ran, ['one begins job'])
  one.thaw()
  await machine.run(200)
  t.deepEqual(ran, ['one begins job', 'one ends job'])
  one.kill()
  two.kill()
})
for (const at of ['received', 'commit', 'committed'] as const) {
  test(`process: a thread that dies when ${at} is started again, and the put is there once`, async t => {
    const { machine, ran, process, queue } = stage(t)
    const one = process('one', (thread, point, _, doing) => {
      if (point === at && doing.startsWith('put') && one.threads.length === 1) thread.fail(new Error('planned'))
    })
    const put = queue(one).put('job', { id: 'id' })
    await machine.run(1_000)

    t.is((await put).id, 'id')
    t.is(one.threads.length, 2)
    t.deepEqual(ran, ['one begins job', 'one ends job'])
    one.kill()
  })
  test(`process: a process that dies when ${at} has stored the whole put or nothing`, async t => {
    const { machine, ran, process, queue } = stage(t)
    const one = process('one', (thread, point, _, doing) => {
      if (point === at && doing.startsWith('put')) thread.process.kill()
    })
    void queue(one)
      .put('job')
      .then(() => t.fail())
    await machine.run(1_000)
    const two = process('two')
    queue(two)
    await machine.run(1_000)

    t.deepEqual(ran, at === 'committed' ? ['two begins job', 'two ends job'] : [])
    two.kill()
  })
}
test('process: an error of SQLite at a point is thrown as a real disk would cause it', async t => {
  const { machine, process, queue } = stage(t)
  const one = process('one', (_, point, __, doing) => {
    if (point === 'commit' && doing.startsWith('put'))
      throw Object.assign(new Error('planned'), { code: 'SQLITE_FULL' })
  })
  const q = queue(one)
  const errors: unknown[] = []
  q.on('error', error => void errors.push(error))
  const put = q.put('job').catch((error: { code: string }) => error.code)
  await machine.run(100)

  t.is(await put, 'DISK_FULL')
  t.is(errors.length, 1)
  one.kill()
})
test('disk: an image equals the file at its instant', async t => {
  const disk = new Disk()
  t.teardown(() => disk.remove())
  const machine = machineOf(1)
  const path = disk.make()
  const put = async (name: string, payload: string): Promise<number> => {
    const process = new SimulatedProcess(machine, name, () => {})
    const queue = new DispatchQueue(null, { name: 'q', clock: process.clock, backlog: process.backlog(path) })
    void queue.put(payload)
    await machine.run(100)
    const { pending } = queue.counts
    process.kill()
    return pending
  }
  t.is(await put('one', 'a'), 1)
  const image = disk.image(path)
  t.is(await put('two', 'b'), 2)
  disk.restore(path, image)
  t.is(await put('three', 'c'), 2)
})
