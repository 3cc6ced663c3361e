/** Processes of a queue whose parent is gone, and signals to the whole group. Real time and real processes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { eventually, isAlive } from '../support/isolated.ts'
import { bundled } from '../support/repository.ts'

const rdq = pathToFileURL(bundled('lib/index')).href
const handler = new URL('../support/isolated-handler.js', import.meta.url).href

/** A program with a queue of two processes, which prints their numbers once both run a job. */
function parent(deed: string, then = '') {
  const script = `
    import { DispatchQueue } from '${rdq}'
    const queue = new DispatchQueue(new URL('${handler}'), { isolate: { kind: 'process', count: 2 }, width: 2 })
    const jobs = [await queue.put({ do: '${deed}', ms: 1e9 }), await queue.put({ do: '${deed}', ms: 1e9 })]
    const timer = setInterval(() => {
      if (queue.underway().length < 2) return
      clearInterval(timer)
      console.log(JSON.stringify(queue.isolates().map(({ pid }) => pid)))
    }, 10)
    ${then}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pids = once(child.stdout.setEncoding('utf8'), 'data').then(([text]) => JSON.parse(text as string) as number[])
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  return { child, pids, exit }
}

for (const deed of ['block', 'hang']) {
  test(`no process outlives a parent that was killed by more than 5 s, when its handler does '${deed}'`, async t => {
    const { child, pids, exit } = parent(deed)
    const children = await pids
    t.is(children.length, 2)
    t.true(children.every(isAlive))

    child.kill('SIGKILL')
    await exit
    await eventually(t, () => !children.some(isAlive), 'the processes end', 5_000)
  })
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} to the whole group lets the parent stop in order, and ends the processes after it`, async t => {
    const stops = `process.on('${signal}', async () => {
      const { returned } = await queue.stop({ cancelUnderway: true })
      process.exit(returned.length === 2 ? 7 : 1)
    })`
    const { child, pids, exit } = parent('heed', stops)
    const children = await pids

    process.kill(-(child.pid as number), signal)

    t.deepEqual(await exit, [7, null])
    t.false(children.some(isAlive))
  })
}
