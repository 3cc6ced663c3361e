/** The remote double, and the queue on it: it relies on nothing but the contract of backlogs. */
import test from 'ava'
import fc from 'fast-check'
import { DispatchQueue, type Job, MemoryBacklog } from '../../lib/index.ts'
import { assertHolds, drain, History, RemoteBacklog, VirtualClock } from '../../testing/index.ts'

const seeds = Array.from({ length: 30 }, (_, seed) => seed)

test('remote: a job is pending before it is underway and finished, however late the answers to puts are', async t => {
  let overtook = 0
  for (const seed of seeds) {
    const clock = new VirtualClock()
    const backlog = new RemoteBacklog(new MemoryBacklog(), { seed })
    const queue = new DispatchQueue<number, void>(() => {}, { clock, width: 3, backlog })
    const observed = new Map<number, string>()
    for (const event of ['pending', 'underway', 'finished'] as const) {
      queue.on(event, ({ payload }) => observed.set(payload, `${observed.get(payload) ?? ''}${event} `))
    }

    const puts = [1, 2, 3].map(n => queue.put(n))
    await clock.settle()
    for (const n of [4, 5, 6]) puts.push(queue.put(n))
    await Promise.all(puts)
    await drain(queue as unknown as DispatchQueue, clock)

    t.deepEqual(
      [...observed.values()],
      [1, 2, 3, 4, 5, 6].map(() => 'pending underway finished '),
      `seed ${seed}`,
    )
    overtook += backlog.facts.overtook
  }
  t.true(overtook > 0, 'no exchange took effect before a put that had been made before: the test shows too little')
})

test('remote: replies arrive in the order in which requests took effect, with the state of that instant', async t => {
  for (const seed of seeds) {
    const clock = new VirtualClock()
    const queue = new DispatchQueue<number, void>(null, {
      name: 'q',
      clock,
      backlog: new RemoteBacklog(new MemoryBacklog(), { seed, losesOneIn: 3 }),
    })
    const counts: number[] = []
    const put = async (n: number): Promise<void> => {
      await queue.put(n, { id: `${n}` })
      counts.push(queue.counts.pending)
    }

    await Promise.all([1, 2, 3, 4, 5].map(put))

    t.deepEqual(counts, [...counts].sort(), `seed ${seed}`)
    t.is(counts[4], 5)
    await queue.stop()
  }
})

test('remote: the same seed makes the same delays and faults', async t => {
  const run = async (seed: number): Promise<string[]> => {
    const clock = new VirtualClock()
    const backlog = new RemoteBacklog(new MemoryBacklog(), { seed, losesOneIn: 4, refusesOneIn: 5 })
    const queue = new DispatchQueue<number, void>(() => {}, { clock, width: 3, backlog })
    const observed: string[] = []
    queue.on('error', () => observed.push('error'))
    for (const event of ['pending', 'underway', 'finished'] as const) {
      queue.on(event, ({ payload }) => observed.push(`${event} ${payload}`))
    }
    for (let n = 0; n < 20; n++) void queue.put(n)
    await drain(queue as unknown as DispatchQueue, clock)
    return [...observed, JSON.stringify(backlog.facts)]
  }

  t.deepEqual(await run(7), await run(7))
  t.notDeepEqual(await run(7), await run(8))
})

test('remote: a put whose reply is lost for good rejects, and repeating it by its id makes no second job', async t => {
  let unknown = 0
  for (const seed of seeds) {
    const clock = new VirtualClock()
    const backlog = new RemoteBacklog(new MemoryBacklog(), { seed, losesOneIn: 2, forgetsOneIn: 2 })
    let ran = 0
    const queue = new DispatchQueue<number, void>(() => void ran++, { clock, backlog })

    for (let n = 0; n < 5; n++) {
      for (;;) {
        const error = await queue.put(n, { id: `${n}` }).then(
          () => undefined,
          (reason: { code: string }) => reason,
        )
        if (!error) break
        t.is(error.code, 'OUTCOME_UNKNOWN')
        unknown++
      }
    }
    await drain(queue as unknown as DispatchQueue, clock)

    t.is(ran, 5, `seed ${seed}`)
  }
  t.true(unknown > 0)
})

test('remote: a job is run whose put or change rejected because its outcome is unknown, if it was made', async t => {
  const found = { put: 0, run: 0, retry: 0, promote: 0 }
  for (const seed of seeds) {
    for (const verb of Object.keys(found) as (keyof typeof found)[]) {
      const clock = new VirtualClock()
      const backlog = new RemoteBacklog(new MemoryBacklog(), { seed, losesOneIn: 1, forgetsOneIn: 2 })
      let ran = 0
      const handler = (n: number): void => {
        ran++
        if (n === 0) throw new Error('no')
      }
      const queue = new DispatchQueue<number, void>(handler, { clock, backlog })
      queue.on('failed', () => {})
      const job = await queue.put(verb === 'retry' ? 0 : 1, verb === 'promote' ? { delay: '1h' } : {}).catch(() => {})
      if (!job) continue
      await clock.settle()
      const before = ran
      const calls = {
        put: () => queue.put(2),
        run: () => queue.run(2),
        retry: () => queue.retry(job),
        promote: () => queue.promote(job),
      }

      const code = await calls[verb]().then(
        () => undefined,
        error => (error as { code?: string }).code,
      )
      await clock.settle()

      const { pending, underway } = queue.counts
      t.is(pending + underway, 0, `${verb}, seed ${seed}`)
      if (code === 'OUTCOME_UNKNOWN' && ran > before) found[verb]++
    }
  }
  for (const [verb, times] of Object.entries(found)) t.true(times > 0, `no ${verb} was made of which nobody was told`)
})

type Command = { readonly do: string; readonly which: number; readonly ms: number }

const command: fc.Arbitrary<Command> = fc.record({
  do: fc.constantFrom(
    ...['put', 'put', 'put', 'putMany', 'run', 'delayed', 'id', 'cancel', 'retry', 'remove', 'promote', 'reschedule'],
    ...[
      'reprioritize',
      'clear',
      'wider',
      'narrower',
      'pause',
      'resume',
      'rate',
      'advance',
      'exchange',
      'exchange',
      'exchange',
    ],
  ),
  which: fc.nat(99),
  ms: fc.nat(40),
})

test('remote: for any requests and any faults of the connection, the invariants hold', async t => {
  const seen = { together: 0, overtook: 0, lostReplies: 0, refused: 0, forgotten: 0 }
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(command, { maxLength: 40 }), async (seed, commands) => {
      const clock = new VirtualClock({ seed })
      const history = new History({ clock })
      const backlog = new RemoteBacklog(new MemoryBacklog(), { seed, losesOneIn: 6, refusesOneIn: 12 })
      const retry = { attempts: 2, delay: 20, jitter: false } as const
      const queue = history.watch(
        record =>
          new DispatchQueue<number, number>(
            record(async (n: number) => {
              for (let turns = n % 4; turns > 0; turns--) await new Promise<void>(resolve => clock.soon(resolve))
              if (n % 5 === 4) throw new Error('no')
              return n
            }),
            { clock, width: 2, retry, backlog },
          ),
        { retry },
      )
      queue.on('error', () => {})
      queue.on('failed', () => {})
      const jobs: Job<number, number>[] = []
      const requested: Promise<unknown>[] = []
      let n = 0
      const put = (options: object = {}): void => {
        requested.push(queue.put(n++, options).then(job => void jobs.push(job)))
      }
      for (const { do: what, which, ms } of commands) {
        const job = jobs[which % Math.max(jobs.length, 1)]
        if (what === 'put') put()
        else if (what === 'delayed') put({ delay: ms })
        else if (what === 'id') put({ id: `id ${n}` })
        else if (what === 'putMany') requested.push(queue.putMany([n++, n++]).then(many => void jobs.push(...many)))
        else if (what === 'run') requested.push(queue.run(n++).catch(() => {}))
        else if (what === 'wider') queue.width = 3
        else if (what === 'narrower') queue.width = 1
        else if (what === 'pause') void queue.pause()
        else if (what === 'resume') queue.resume()
        else if (what === 'rate') queue.rate = which % 2 === 0 ? undefined : { limit: 2, per: 50 }
        else if (what === 'clear') requested.push(queue.clear())
        else if (what === 'advance') await clock.advance(ms)
        else if (what === 'exchange') await new Promise<void>(resolve => clock.soon(resolve))
        else if (job) {
          const changes = {
            cancel: () => queue.cancel(job),
            retry: () => queue.retry(job),
            remove: () => queue.remove(job),
            promote: () => queue.promote(job),
            reschedule: () => queue.reschedule(job, ms),
            reprioritize: () => queue.reprioritize(job, which % 3),
          }
          requested.push(changes[what as keyof typeof changes]().catch(() => {}))
        }
      }
      queue.resume()
      queue.width = 2
      queue.rate = undefined
      await drain(queue as unknown as DispatchQueue, clock)
      await Promise.all(requested)
      await queue.stop()

      // What was claimed before a more important job was put starts before it: the way there and back takes its time.
      assertHolds(history, { except: ['I6', 'I7', 'I8'] })
      for (const fact of Object.keys(seen) as (keyof typeof seen)[]) {
        seen[fact] = fact === 'together' ? Math.max(seen[fact], backlog.facts[fact]) : seen[fact] + backlog.facts[fact]
      }
    }),
    { numRuns: Number(process.env.REMOTE_RUNS ?? 300), seed: Number(process.env.REMOTE_SEED ?? 1) },
  )
  t.true(seen.together > 1 && seen.overtook > 0 && seen.lostReplies > 0 && seen.refused > 0, JSON.stringify(seen))
})
