/** Bad input of queues whose handler runs in threads or processes, and what users do to these by hand. Real isolates. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { DispatchQueue, type HandlerUrl, PayloadError } from '../../lib/index.ts'
import { eventually, isAlive, isolated, kinds, listen } from '../support/isolated.ts'
import { runNode } from '../support/repository.ts'
import { temporaryUntilExit } from '../support/temporary-folder.ts'

const folder = temporaryUntilExit('isolate')
function moduleOf(name: string, text: string): HandlerUrl {
  const path = join(folder, name)
  writeFileSync(path, text)
  return pathToFileURL(path) as HandlerUrl
}

for (const kind of kinds) {
  test.serial(`${kind}: a payload that cannot be cloned is refused at the put, and one is copied there`, async t => {
    const queue = isolated(kind)
    const payload = { do: 'look', name: 'before' } as { do: 'look'; name: string }

    await t.throwsAsync(queue.put({ do: 'look', name: (() => {}) as never }), {
      instanceOf: PayloadError,
      message: /^payload/,
    })
    await t.throwsAsync(queue.run({ do: 'look', name: Symbol('s') as never }), { instanceOf: PayloadError })
    await t.throwsAsync(queue.putMany([{ do: 'look' }, { do: 'look', name: (() => {}) as never }]), {
      instanceOf: PayloadError,
      message: /^payloads\[1\] cannot be cloned/,
    })
    const { signal } = new AbortController()
    await t.throwsAsync(queue.putMany([{ do: 'look' }, { do: 'look', name: signal as never }]), {
      instanceOf: PayloadError,
      message: /^payloads\[1\]\.name is an AbortSignal, .* use task\.signal in the handler$/,
    })
    const result = queue.run(payload)
    payload.name = 'after'
    t.like(await result, { name: 'before' })
    await queue.stop()
  })

  test.serial(`${kind}: CommonJS and a transpiled default are loaded`, async t => {
    for (const url of [
      moduleOf('plain.cjs', 'module.exports = async n => n + 1'),
      moduleOf('transpiled.cjs', 'exports.__esModule = true; exports.default = n => n + 1'),
    ]) {
      const queue = new DispatchQueue<number, number>(url as never, { isolate: kind })
      t.is(await queue.run(1), 2)
      await queue.stop()
    }
  })

  test.serial(`${kind}: a module that is there later is loaded then, and the jobs that waited run`, async t => {
    const url = pathToFileURL(join(folder, `later-${kind}`, 'handler.mjs')) as HandlerUrl
    const queue = new DispatchQueue<number, number>(url as never, { isolate: kind })
    queue.on('error', () => {})
    const result = queue.run(20)
    await t.throwsAsync(queue.ready(), { code: 'HANDLER_LOAD' })

    mkdirSync(join(folder, `later-${kind}`))
    writeFileSync(url, 'export default n => n + 1')

    t.is(await result, 21)
    await queue.ready()
    await queue.stop()
  })

  test.serial(
    `${kind}: one that uses up its memory is a crash of its job, and neither of the queue nor of the process`,
    async t => {
      const script = `
      import { DispatchQueue } from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)}
      const url = new URL(${JSON.stringify(new URL('../support/isolated-handler.js', import.meta.url).href)})
      const queue = new DispatchQueue(url, { isolate: '${kind}', crashLimit: 1 })
      queue.on('error', () => {})
      console.log(await queue.run({ do: 'fillMemory' }).catch(error => error.code))
      console.log((await queue.run({ do: 'later', ms: 1, name: 'next' })).name)
      await queue.stop()`
      const { code, stdout } = await runNode(['--max-old-space-size=48', '--input-type=module', '-e', script], folder)

      t.is(code, 0)
      t.deepEqual(stdout.trim().split('\n'), ['POISON', 'next'])
    },
  )

  test.serial(`${kind}: what a handler does to its surroundings stays there`, async t => {
    const queue = isolated(kind)
    const before = process.cwd()

    const there = await queue.run({ do: 'surroundings' })

    t.is(there, kind === 'process' ? '/' : before)
    t.is(process.cwd(), before)
    t.is(process.env.RDQ_TEST, undefined)
    await queue.stop()
  })

  test.serial(`${kind}: a result is copied, or moves with its buffers`, async t => {
    const queue = isolated(kind)

    t.deepEqual(await queue.run({ do: 'buffer', count: 5 }), new Uint8Array(5).fill(7))
    const moved = await queue.run({ do: 'moved', count: 20_000_000 })
    t.deepEqual([moved.length, moved[19_999_999]], [20_000_000, 7])
    await queue.stop()
  })
}

test.serial('process: one that is killed by hand is replaced, and its jobs run again', async t => {
  const queue = isolated('process', { width: 2, isolate: { count: 1 } })
  const errors = listen(queue, 'error')
  const [a, b] = [queue.run({ do: 'later', ms: 300 }), queue.run({ do: 'later', ms: 300 })]
  await eventually(t, () => queue.underway().length === 2, 'both run')
  const pid = queue.isolates()[0]?.pid as number

  process.kill(pid, 'SIGKILL')

  t.like(await a, { attempt: 1, crashes: 1 })
  t.like(await b, { attempt: 1, crashes: 1 })
  t.like(errors.received[0]?.[0] as object, { code: 'ISOLATE_ENDED', signal: 'SIGKILL', underway: 2 })
  await eventually(t, () => !isAlive(pid), 'it is gone')
  await queue.stop()
})

test.serial(
  'process: its output is led through line by line, with the queue and the number of the isolate',
  async t => {
    const script = `
    import { DispatchQueue } from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)}
    const url = new URL(${JSON.stringify(new URL('../support/isolated-handler.js', import.meta.url).href)})
    const queue = new DispatchQueue(url, { name: 'prints', isolate: 'process' })
    await queue.run({ do: 'print', name: 'x' })
    await queue.stop()`
    const { code, stdout, stderr } = await runNode(['--input-type=module', '-e', script], folder)

    t.is(code, 0)
    t.is(stdout, '[prints 1] out x\n')
    t.is(stderr, '[prints 1] err x\n')
  },
)

test.serial(
  'a queue in memory whose handler runs elsewhere does not keep its process alive once it is idle',
  async t => {
    for (const kind of kinds) {
      const script = `
      import { DispatchQueue } from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)}
      const url = new URL(${JSON.stringify(new URL('../support/isolated-handler.js', import.meta.url).href)})
      const queue = new DispatchQueue(url, { isolate: '${kind}' })
      await queue.ready()
      console.log(await queue.run({ do: 'breathe', count: 3 }))`
      const { code, stdout } = await runNode(['--input-type=module', '-e', script], folder)

      t.deepEqual([code, stdout], [0, '3\n'], kind)
    }
  },
)
