import test from 'ava'
import { inThread } from '../../../lib/in-thread/index.ts'
import { DispatchQueue, MemoryBacklog } from '../../../lib/index.ts'
import { parseIsolate } from '../../../lib/options/isolate.ts'

const url = new URL('../../support/isolated-handler.js', import.meta.url)
const make = (handler: unknown, options: object) => () => new DispatchQueue(handler as never, options as never)

test('isolate: a word or an object, with the same defaults', t => {
  const thread = parseIsolate('thread')
  t.like(thread, { kind: 'thread', jobs: Infinity, memoryMb: Infinity, graceMs: 5_000, idleMs: 60_000 })
  t.true(thread.count >= 1)
  t.deepEqual(parseIsolate({ kind: 'process', count: 3, jobs: 5, memoryMb: 100, grace: '1s', idle: 10 }), {
    ...{ kind: 'process', count: 3, jobs: 5, memoryMb: 100, graceMs: 1_000, idleMs: 10 },
  })
})

test('isolate: what is not legal is refused by its name', t => {
  for (const [isolate, message] of [
    ['worker', /^isolate must be 'thread' or 'process'/],
    [7, /^isolate must be 'thread', 'process' or an object/],
    [null, /^isolate must be/],
    [{}, /^isolate\.kind must be 'thread' or 'process'/],
    [{ kind: 'fork' }, /^isolate\.kind must be/],
    [{ kind: 'thread', count: 0 }, /^isolate\.count must be a whole number of 1 or more/],
    [{ kind: 'thread', count: Infinity }, /^isolate\.count must be at most 1024/],
    [{ kind: 'thread', jobs: 0.5 }, /^isolate\.jobs/],
    [{ kind: 'thread', memoryMb: '5' }, /^isolate\.memoryMb/],
    [{ kind: 'thread', grace: 'soon' }, /^isolate\.grace/],
    [{ kind: 'thread', threads: 2 }, /isolate\.threads/],
  ] as const) {
    t.throws(make(url, { isolate }), { code: 'OPTION', message }, JSON.stringify(isolate))
  }
})

test('isolate: a URL needs it, and a function, null and the context of a put refuse it', t => {
  t.throws(make(url, {}), { code: 'OPTION', message: /^isolate is required with a handler that is a URL/ })
  t.throws(
    make(() => {}, { isolate: 'thread' }),
    { code: 'OPTION', message: /^isolate needs a handler .* URL of a module/ },
  )
  t.throws(make(null, { isolate: 'thread', backlog: new MemoryBacklog() }), { code: 'OPTION', message: /^isolate/ })
  t.throws(make(url, { isolate: 'thread', context: 'put' }), { code: 'OPTION', message: /^context 'put'/ })
  t.throws(make(new URL('https://x.org/a.js'), { isolate: 'thread' }), {
    code: 'OPTION',
    message: /^handler must be a file:/,
  })
  t.throws(make(url.href, { isolate: 'thread' }), { code: 'OPTION', message: /^handler must be a function, the URL/ })
})

test('isolate: a handler that cannot even be looked at is refused by name', async t => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()

  t.throws(make(proxy, {}), { code: 'OPTION', message: /^handler must be / })
  t.throws(make(proxy, { isolate: 'thread' }), { code: 'OPTION', message: /^(?:handler|isolate) / })
  await t.throwsAsync(inThread(proxy as never), { code: 'OPTION', message: /module must be / })
})

test('isolate: a constructor starts nothing, and a queue without isolates has none to set', async t => {
  const queue = new DispatchQueue(url as never, { isolate: { kind: 'process', count: 2 } })
  t.deepEqual([queue.isolateCount, queue.isolates()], [2, []])
  await queue.stop()
  t.throws(() => Object.assign(queue, { isolateCount: 1 }), { code: 'QUEUE_STOPPED' })
  const here = new DispatchQueue(() => {})
  t.deepEqual([here.isolateCount, here.isolates()], [0, []])
  t.throws(() => Object.assign(here, { isolateCount: 1 }), { code: 'OPTION', message: /^isolateCount needs a queue/ })
})
