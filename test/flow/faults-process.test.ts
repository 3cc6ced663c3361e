/**
 * Faults that only a process of its own can show: rows F3, F6, F39, F40 and F51 of our fault catalogue.
 *
 * Each runs a few lines beside this process, and looks at how that one ends and what it says. Nothing here measures time,
 * but that a process which should end does so before it is killed.
 */
import test from 'ava'
import { child } from '../support/child-process.ts'

const later = `const later = (ms, value) => new Promise(resolve => setTimeout(resolve, ms, value).unref())`

for (const [what, lines] of Object.entries({
  'has nothing to do': `await queue.ready()`,
  'has finished all': `await queue.run('a')`,
  'holds jobs behind a pause': `await queue.pause(); await queue.put('a')`,
  'holds jobs behind a width of 0': `queue.width = 0; await queue.put('a')`,
  'holds a delayed job behind a pause': `await queue.pause(); await queue.put('a', { delay: '1h' })`,
  'holds a job that its rate lets start, behind a pause': `queue.rate = { limit: 1, per: '1h' }; await queue.run('a'); await queue.pause(); await queue.put('b')`,
  'was stopped with jobs that waited': `await queue.putMany(['a', 'b'], { delay: '1h' }); await queue.stop()`,
  'was stopped with a body that never ends': `queue.put('never'); setTimeout(() => queue.stop({ cancelUnderway: true }).then(() => print('stopped')), 20)`,
  'is stopped by its signal': `await queue.put('a', { delay: '1h' }); controller.abort(); await queue.stop()`,
  'has a listener and an iterator of events': `void queue.events('finished').next(); queue.on('idle', () => {})`,
  'is idled for in vain': `queue.width = 0; await queue.put('a'); void queue.idle().catch(() => {})`,
})) {
  test(`F51: a queue in memory that ${what} lets its process end`, async t => {
    const { code, stdout, output } = await child(`
      const controller = new AbortController()
      const queue = new rdq.DispatchQueue(
        payload => (payload === 'never' ? new Promise(() => {}) : payload),
        { signal: controller.signal },
      )
      print('begun')
      ${lines}`)

    t.is(code, 0, output)
    t.is(stdout, lines.includes('stopped') ? 'begun\nstopped\n' : 'begun\n')
  })
}

test('F51: a queue without a handler lets its process end, whatever jobs wait', async t => {
  const { code, output } = await child(`
    const queue = new rdq.DispatchQueue(null, { backlog: new rdq.MemoryBacklog() })
    await queue.putMany(['a', 'b', 'c'])
    await queue.put('d', { delay: '1h' })`)

  t.is(code, 0, output)
})

for (const [what, lines] of Object.entries({
  'a job is underway': `await queue.put('slow')`,
  'a job is delayed': `await queue.put('a', { delay: 150 })`,
  'a job has a runAt': `await queue.put('a', { runAt: Date.now() + 150 })`,
  'a job waits out a backoff': `await queue.put('once more')`,
  'a job waits for the rate': `queue.rate = { limit: 1, per: 150 }; await queue.run('before'); await queue.put('a')`,
  'a job was throttled': `await queue.put('throttled')`,
  'a generator waits': `await queue.put('generator')`,
  'a queue was resumed': `await queue.pause(); await queue.put('a', { delay: 150 }); queue.resume()`,
  'a stop waits for a body': `queue.on('underway', () => setTimeout(() => queue.stop(), 20)); await queue.put('slow')`,
})) {
  test(`F51: a queue in memory keeps its process alive while ${what}`, async t => {
    const { code, stdout, output } = await child(`
      ${later}
      const queue = new rdq.DispatchQueue((payload, task) => {
        if (payload === 'slow') return later(150)
        if (payload === 'generator') return (function* () { yield later(150) })()
        if (payload === 'throttled' && ++runs === 1) throw new rdq.Throttled(150)
        if (payload === 'once more' && task.attempt === 1) throw new Error('once more')
      }, { retry: { attempts: 2, delay: 150 } })
      let runs = 0
      queue.on('finished', job => print('finished ' + job.payload))
      ${lines}`)

    t.is(code, 0, output)
    const [, payload] = /put\('([^']+)'(?!.*put)/.exec(lines) ?? []
    t.true(stdout.endsWith(`finished ${payload}\n`), output)
  })
}

test('F39: errors without a listener become process warnings and do not end the process', async t => {
  const { code, stdout, stderr, output } = await child(`
    const queue = new rdq.DispatchQueue(payload => { throw new Error('failure of ' + payload) }, { name: 'mail' })
    queue.on('pending', () => { throw new Error('a listener threw') })
    queue.on('underway', async () => { throw new Error('a listener rejected') })
    await queue.put('a')
    await queue.put('b')
    await queue.idle()
    const { returned } = await queue.stop()
    setImmediate(() => print('still here'))`)

  t.is(code, 0, output)
  t.is(stdout, 'still here\n')
  t.regex(stderr, /DispatchQueueWarning: queue 'mail': an unhandled error; .*: Error: a listener threw/)
  t.regex(stderr, /DispatchQueueWarning: queue 'mail': an unhandled job failure; .*: Error: failure of a/)
  t.regex(stderr, /queue 'mail': 3 more unhandled errors; the first of them: Error: a listener threw/)
  t.regex(stderr, /queue 'mail': 1 more unhandled job failure; the first of them: Error: failure of b/)
  t.is(stderr.match(/DispatchQueueWarning/g)?.length, 4, 'of each kind the first, and at the stop the rest')
})

test('F39: results and puts that are not awaited cause no unhandled rejections', async t => {
  const { code, stdout, output } = await child(`
    const queue = new rdq.DispatchQueue(payload => payload === 'fails' ? Promise.reject(new Error('no')) : new Promise(() => {}), { width: 3 })
    for (const payload of ['fails', 'hangs', 'hangs', 'waits']) (await queue.put(payload)).result
    while (queue.underway().length < 2) await new Promise(resolve => setImmediate(resolve))
    const [first] = queue.underway()
    await first.cancel()
    await queue.clear()
    void queue.pause()
    queue.resume()
    await queue.stop({ cancelUnderway: true })
    print('stopped')`)

  t.is(code, 0, output)
  t.is(stdout, 'stopped\n')
})

test('F40: an unhandled rejection that a handler leaves behind is not swallowed', async t => {
  const { code, stdout, stderr } = await child(`
    const queue = new rdq.DispatchQueue(() => { void Promise.reject(new Error('left behind')) })
    queue.on('finished', () => print('finished'))
    await queue.run('a')
    await new Promise(resolve => setTimeout(resolve, 50))
    print('never said')`)

  t.is(code, 1)
  t.notRegex(stdout, /never said/)
  t.regex(stderr, /left behind/)
})

test('F40: errors that user code throws outside of a handler are not swallowed either', async t => {
  const { code, stderr } = await child(`
    const queue = new rdq.DispatchQueue(() => new Promise(() => setImmediate(() => { throw new Error('thrown later') })))
    await queue.put('a')`)

  t.is(code, 1)
  t.regex(stderr, /thrown later/)
})

test('F6: rdq adds no listener to the process', async t => {
  const { code, output } = await child(`
    const before = process.eventNames().map(name => [name, process.listenerCount(name)])
    const queue = new rdq.DispatchQueue(payload => payload, { rate: { limit: 9, per: '1s' }, signal: new AbortController().signal })
    await queue.run('a')
    const after = process.eventNames().map(name => [name, process.listenerCount(name)])
    await queue.stop()
    process.exit(JSON.stringify(after) === JSON.stringify(before) ? 0 : 1)`)

  t.is(code, 0, output)
})

test('F3: process.exit in a handler ends the process at once, with its code, and no other handler starts', async t => {
  const { code, stdout, output } = await child(`
    const queue = new rdq.DispatchQueue(payload => { print(payload); if (payload === 'b') process.exit(7) }, { width: 9 })
    await queue.putMany(['a', 'b', 'c', 'd'])`)

  t.is(code, 7, output)
  t.is(stdout, 'a\nb\n')
})
