/** Whom a crash condemns: the one that killed its process, and nobody that was beside it. */
import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import { Disk } from '../../testing/simulated/disk.ts'
import { Machine } from '../../testing/simulated/machine.ts'
import { SimulatedProcess } from '../../testing/simulated/process.ts'
import { simulatePoison, survivesPoison } from '../support/simulated-poison.ts'

for (const width of [1, 10, 100]) {
  for (const killsAfterMs of [0, 30, 200]) {
    test(`a job that kills its process after ${killsAfterMs} ms, among 100 at width ${width}, is the only one that fails as poison`, async t => {
      const { deaths, crashes } = await survivesPoison(t, {
        jobs: 100,
        width,
        kills: [killsAfterMs],
        ms: n => 5 + (n % 7) * 30,
      })

      t.deepEqual(crashes, [3])
      // Once more where nobody could know whether it had been called.
      t.is(deaths, killsAfterMs > 100 ? 3 : 4)
    })
  }
}

test('with three processes and three jobs that kill them, no other job fails as poison', async t => {
  await survivesPoison(t, { jobs: 60, width: 10, workers: 3, kills: [0, 120, 40], ms: n => 10 + (n % 5) * 50 })
})

test('processes that die before they have called a handler fail no job as poison, however often', async t => {
  const { deaths } = await survivesPoison(t, { jobs: 20, width: 10, kills: [], dies: { afterMs: 0, times: 20 } })

  t.is(deaths, 20)
})

test('a long innocent job finishes although other jobs crash beside it one after the other', async t => {
  // 20 jobs kill once each, 130 ms after they were called; the innocent one takes 150.
  const kills = Array.from({ length: 20 }, () => 130)
  const { deaths } = await survivesPoison(t, { jobs: 1, width: 5, kills, times: 1, ms: () => 150 })

  t.true(deaths >= 5, `${deaths} deaths`)
})

test('with a crashLimit of 1 the jobs that were underway in the first proven crash fail, and no others', async t => {
  const { condemned, finished } = await simulatePoison({
    jobs: 50,
    width: 10,
    kills: [200],
    crashLimit: 1,
    ms: () => 1_000,
  })

  t.is(condemned.length, 10)
  t.true(condemned.includes('poison 1'))
  t.is(finished.length, 41)
})

for (const width of [1, 10]) {
  for (const killsAfterMs of [0, 200]) {
    test(`with crashLimit Infinity a job that kills its process after ${killsAfterMs} ms at width ${width} delays no other job for ever`, async t => {
      await survivesPoison(t, {
        jobs: 40,
        width,
        kills: [killsAfterMs],
        crashLimit: Infinity,
        endless: true,
        ms: () => 40,
      })
    })
  }
}

test("afterCrash 'fail': a job whose handler had not been called goes back, and runs once", async t => {
  const { entries, condemned } = await simulatePoison({
    ...{ jobs: 40, width: 10, kills: [60], times: 1, afterCrash: 'fail', ms: n => (n % 3) * 50 },
  })

  const launches = new Map<string, number>()
  for (const entry of entries) if (entry.kind === 'launch') launches.set(entry.job, (launches.get(entry.job) ?? 0) + 1)
  t.is(launches.size, 41)
  t.deepEqual([...new Set(launches.values())], [1])
  t.true(condemned.includes('poison 1'))
  t.true(condemned.length <= 10)
})

test('one suspect runs at a time over all queues of a process, and its last run is alone', async t => {
  const after = await survivesPoison(t, {
    jobs: 30,
    width: 5,
    kills: [0, 70],
    beside: ['r', 's'],
    ms: n => 10 + (n % 4) * 60,
  })

  // Each process is one worker, whatever queues it has.
  const running = new Map<string, number>()
  for (const entry of after.entries) {
    const key = `${entry.process} ${'job' in entry ? entry.job : ''}`
    if (entry.kind === 'launch') {
      const others = [...running].filter(([other]) => other.startsWith(`${entry.process} `))
      const suspects = others.filter(([, crashes]) => crashes > 0).length
      t.true((entry.crashes ?? 0) === 0 || suspects === 0, `${entry.job} ran beside a suspect`)
      const lone = (entry.crashes ?? 0) >= 2 || others.some(([, crashes]) => crashes >= 2)
      t.true(!lone || others.length === 0, `${entry.job} ran beside ${others.join()}`)
      running.set(key, entry.crashes ?? 0)
    }
    if (entry.kind === 'release') running.delete(key)
    if (entry.kind === 'crash') {
      for (const other of running.keys()) if (other.startsWith(`${entry.process} `)) running.delete(other)
    }
  }
})

test('job.crashes and task.crashes count crashes, afterCrash gets them, and explain names a wait for a suspect', async t => {
  const disk = new Disk()
  const machine = new Machine(new Chance(1))
  const path = disk.make()
  const seen: string[] = []
  let kills = 2
  const start = (name: string): DispatchQueue<string, void> => {
    const process = new SimulatedProcess(machine, name, () => {})
    const { clock } = process
    return new DispatchQueue<string, void>(
      async (payload, task) => {
        if (payload === 'poison') seen.push(`runs after ${task.crashes}`)
        await new Promise<void>(resolve => void clock.at(clock.now() + 200, resolve))
        if (payload === 'poison' && kills-- > 0) {
          process.kill()
          await new Promise(() => {})
        }
      },
      {
        ...{ name: 'q', clock, backlog: process.backlog(path), width: 3 },
        afterCrash: async job => {
          if (job.payload === 'poison') seen.push(`asked after ${job.crashes}`)
          return 'again'
        },
      },
    )
  }
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let answer: { readonly value: T } | undefined
    void promise.then(value => {
      answer = { value }
    })
    await machine.run(1_000, () => answer !== undefined)
    return (answer as unknown as { readonly value: T }).value
  }

  const first = start('first')
  const job = await settled(first.put('poison', { id: 'p' }))
  t.is(job.crashes, 0)
  await settled(first.put('innocent', { id: 'i' }))
  await machine.run(250)
  const second = start('second')
  await machine.run(100)
  t.is((await settled(second.explain('i'))).why, 'suspect')
  t.is((await settled(second.get('i')))?.crashes, 1)
  await machine.run(250)
  const third = start('third')
  await machine.run(5_000)

  t.deepEqual(seen, ['runs after 0', 'asked after 1', 'runs after 1', 'asked after 2', 'runs after 2'])
  t.is(third.counts.finished, 2)
  await settled(third.stop())
  disk.remove()
})

for (const how of ['at once', 'beside another queue on the file'] as const) {
  test(`no job runs alone beside a body whose queue has stopped, also where its job had ended before: ${how}`, async t => {
    const disk = new Disk()
    const machine = new Machine(new Chance(1))
    const path = disk.make()
    const seen: string[] = []
    let end!: () => void
    const open = (name: string, process: SimulatedProcess): DispatchQueue<string, void> =>
      new DispatchQueue<string, void>(
        async (payload, task) => {
          seen.push(`${payload} after ${task.crashes}`)
          if (payload === 'deaf') await new Promise<void>(resolve => (end = resolve))
          else if (task.crashes === 0) await new Promise(() => {})
        },
        { name, clock: process.clock, backlog: process.backlog(path), crashLimit: 2 },
      )
    const dying = new SimulatedProcess(machine, 'dying', () => {})
    const first = open('q', dying)
    first.put('a')
    await machine.run(1_000)
    dying.kill()
    const process = new SimulatedProcess(machine, 'living', () => {})
    const other = how === 'at once' ? undefined : open('s', process)
    const stopped = open('r', process)
    const deaf = stopped.put('deaf')
    await machine.run(1_000)
    void stopped.cancel((await deaf).id)
    await machine.run(100)
    void stopped.stop({ cancelUnderway: true })
    await machine.run(6_000)

    const queue = open('q', process)
    await machine.run(30_000)
    t.deepEqual(seen, ['a after 0', 'deaf after 0'])
    end()
    await machine.run(15_000)

    t.deepEqual(seen, ['a after 0', 'deaf after 0', 'a after 1'])
    void queue.stop()
    void other?.stop()
    await machine.run(1_000)
    disk.remove()
  })
}
