/**
 * Queues in memory that are used and forgotten, as one does with a queue for each request: collected, unless they have
 * work.
 */
import test from 'ava'
import { child } from '../support/child-process.ts'

/** How a queue is used before it is dropped. Each is done with 20 queues, and all 20 must be gone. */
const uses: Readonly<Record<string, string>> = {
  'was only made': '',
  'ran a job': 'await queue.run(1)',
  'ran jobs that were put': 'await queue.putMany([1, 2, 3]); await queue.idle()',
  'ran a generator': "await queue.run('generator')",
  'had a timeout that was not over': "await queue.run(1, { timeout: '1h' })",
  'had a timeout that was over': "await queue.run('waits', { timeout: 5 }).catch(() => {})",
  retried: "await queue.run('fails', { retry: { attempts: 2, delay: 1 } }).catch(() => {})",
  'failed a job, which it keeps': "await queue.run('fails').catch(() => {})",
  'had a delayed job that was cancelled': "const job = await queue.put(1, { delay: '1h' }); await job.cancel()",
  'had a job for a time of day that was removed':
    'const job = await queue.put(1, { runAt: new Date(Date.now() + 3_600_000) }); await queue.remove(job)',
  'had jobs with a signal': 'await queue.run(1, { signal }); await queue.put(1, { signal }); await queue.idle()',
  'cancelled a body':
    "const job = await queue.put('waits'); await turn(); await job.cancel(); await queue.idle(); await turn()",
  'had a rate': 'queue.rate = { limit: 1, per: 5 }; await Promise.all([queue.run(1), queue.run(2)])',
  'was paused and resumed': 'await queue.run(1); await queue.pause(); queue.resume(); await queue.run(2)',
  'is paused': 'await queue.run(1); await queue.pause()',
  'has listeners': "queue.on('finished', () => {}); await queue.run(1)",
  'had an iterator of events that was left':
    "const events = queue.events('finished'); await queue.run(1); for await (const _ of events) break",
  'had an iterator of events whose signal aborted':
    "const end = new AbortController(); const events = queue.events('finished', { signal: end.signal }); await queue.run(1); " +
    'end.abort(); try { for await (const _ of events); } catch {}',
  'was stopped': 'await queue.run(1); await queue.stop()',
}

const program = `
  const { DispatchQueue } = rdq
  const turn = () => new Promise(resolve => setTimeout(resolve, 5))
  /** Five times, and then until \`enough\`: some of what is dropped is only freed a few turns later. */
  const collect = async (enough = () => true) => {
    for (let i = 0; i < 5 || (i < 200 && !enough()); i++) {
      gc()
      await turn()
    }
  }
  const signal = new AbortController().signal
  const body = (what, task) => {
    if (what === 'fails') throw new Error('it fails')
    if (what === 'generator') return (function* () { yield; yield })()
    if (what !== 'waits') return what
    return new Promise((_, reject) => task.signal.addEventListener('abort', () => reject(task.signal.reason)))
  }`

for (const [options, text] of [
  ['{}', 'without options'],
  ['{ signal }', 'with a signal that lives on'],
] as const) {
  test(`20 of 20 dropped queues ${text} are garbage collected`, async t => {
    const { code, stdout, output } = await child(
      `${program}
      const uses = {
        ${Object.entries(uses)
          .map(([name, use]) => `${JSON.stringify(name)}: async queue => { ${use} },`)
          .join('\n')}
      }
      for (const [name, use] of Object.entries(uses)) {
        const dropped = []
        for (let i = 0; i < 20; i++) {
          await (async () => {
            const queue = new DispatchQueue(body, ${options})
            dropped.push(new WeakRef(queue))
            queue.on('failed', () => {})
            await use(queue)
          })()
        }
        await collect(() => dropped.every(queue => !queue.deref()))
        print(name + ': ' + dropped.filter(queue => !queue.deref()).length)
      }
      const { getEventListeners } = await import('node:events')
      print('listeners left: ' + getEventListeners(signal, 'abort').length)`,
      { flags: ['--expose-gc'] },
    )

    t.is(code, 0, output)
    t.deepEqual(stdout.trim().split('\n'), [...Object.keys(uses).map(name => `${name}: 20`), 'listeners left: 0'])
  })
}

test('a signal rejects the calls that wait for a dropped queue', async t => {
  const { code, stdout, output } = await child(
    `${program}
    const end = new AbortController()
    ;(() => {
      new DispatchQueue(body, { paused: true }).run(1, { signal: end.signal }).catch(error => print(error.name))
      const read = async () => {
        for await (const _ of new DispatchQueue(body).events('finished', { signal: end.signal }));
        print('read')
      }
      void read()
    })()
    await collect()
    end.abort()
    await new Promise(resolve => setTimeout(resolve, 50))`,
    { flags: ['--expose-gc'] },
  )

  t.is(code, 0, output)
  t.deepEqual(stdout.trim().split('\n').sort(), ['CancelledError', 'read'])
})

test('a dropped queue with work to do completes it, and its signal still stops it', async t => {
  const { code, stdout, output } = await child(
    `${program}
    const end = new AbortController()
    await (async () => {
      await new DispatchQueue(() => print('delayed')).put(1, { delay: 200 })
      await new DispatchQueue(n => print('limited ' + n), { rate: { limit: 1, per: 100 } }).putMany([1, 2])
      await new DispatchQueue(body, { signal: end.signal }).put('waits')
    })()
    await collect()
    await new Promise(resolve => setTimeout(resolve, 300))
    await collect()
    print('aborts')
    end.abort()`,
    // Nothing but the body that waits keeps it alive at the end; it ends in time only if the signal reaches that.
    { flags: ['--expose-gc'] },
  )

  t.is(code, 0, output)
  t.deepEqual(stdout.trim().split('\n').sort(), ['aborts', 'delayed', 'limited 1', 'limited 2'])
})
