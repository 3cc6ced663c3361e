/** rdq under the test runners that people have. docs/guides/bundlers-and-test-runners.md */
import test from 'ava'
import { packed, runs, tool } from './support.mjs'

const installed = packed()

const body = `
  const queue = new DispatchQueue(async ({ n }) => ({ n: n * 2 }), { name: 'q', backlog: new SqliteBacklog('jobs.db') })
  const result = await queue.run({ n: 21 })
  const refused = await queue.put(() => {}).catch(error => error)
  await queue.stop()
  if (result.n !== 42 || !(refused instanceof DispatchError)) throw new Error('rdq does not work here')
`
const imports = `import { DispatchError, DispatchQueue } from 'rdq'
import { SqliteBacklog } from 'rdq/sqlite'`
const requires = `const { DispatchError, DispatchQueue } = require('rdq')
const { SqliteBacklog } = require('rdq/sqlite')`
const jest = tool('jest', 'bin/jest.js')
/** A busy machine needs more than the 5 s of these runners. */
const patience = ['--testTimeout', '40000']
const withModules = ['--experimental-vm-modules', '--no-warnings', jest, ...patience]

test('vitest: with its defaults', async t => {
  const place = await installed().place('vitest', {
    'a.test.js': `${imports}\nimport { test } from 'vitest'\ntest('a', async () => {${body}})`,
  })

  const { output } = await runs(t, [tool('vitest', 'vitest.mjs'), 'run', '--root', '.', ...patience], place)

  t.regex(output, /1 passed/)
})

test('vitest: its fake timers stop a queue, and a VirtualClock does not need them', async t => {
  const place = await installed().place('vitest-timers', {
    'a.test.js': `import { DispatchQueue } from 'rdq'
      import { drain, VirtualClock } from 'rdq/testing'
      import { expect, test, vi } from 'vitest'
      const { setTimeout } = globalThis
      test('a', async () => {
        vi.useFakeTimers()
        const stuck = new DispatchQueue(async n => n)
        const answer = Promise.race([stuck.run(1), new Promise(resolve => setTimeout(resolve, 200, 'stuck'))])
        expect(await answer).toBe('stuck')
        vi.useRealTimers()
        const clock = new VirtualClock()
        const queue = new DispatchQueue(async n => n, { clock })
        const late = queue.run(1, { delay: '1h' })
        await drain(queue, clock)
        expect(await late).toBe(1)
      })`,
  })

  const { output } = await runs(t, [tool('vitest', 'vitest.mjs'), 'run', '--root', '.', ...patience], place)

  t.regex(output, /1 passed/)
})

test('jest: with its defaults it refuses every package of ES modules, and says so', async t => {
  const place = await installed().place('jest-plain', {
    'package.json': '{}',
    'a.test.js': `${requires}\ntest('a', async () => {${body}})`,
  })

  const { output } = await runs(t, [jest, ...patience], place, 1)

  t.regex(output, /Must use import to load ES Module/)
})

test('jest: with --experimental-vm-modules, a test that is an ES module', async t => {
  const place = await installed().place('jest-esm', {
    'package.json': '{ "type": "module", "jest": { "transform": {} } }',
    'a.test.js': `${imports}\ntest('a', async () => {${body}})`,
  })

  const { output } = await runs(t, withModules, place)

  t.regex(output, /1 passed/)
})

test('jest: with --experimental-vm-modules, a test in CommonJS that imports rdq inside', async t => {
  const place = await installed().place('jest-cjs', {
    'package.json': '{}',
    'a.test.js': `test('a', async () => {
      const { DispatchError, DispatchQueue } = await import('rdq')
      const { SqliteBacklog } = await import('rdq/sqlite')
      ${body}
    })`,
  })

  const { output } = await runs(t, withModules, place)

  t.regex(output, /1 passed/)
})

test('tsx: TypeScript, as an ES module and as CommonJS', async t => {
  const cli = tool('tsx', 'dist/cli.mjs')
  const typed = `${imports}\nconst main = async (): Promise<void> => {${body}\n  console.log('well')\n}\nvoid main()`
  for (const [name, type] of [
    ['tsx-esm', 'module'],
    ['tsx-cjs', 'commonjs'],
  ]) {
    const place = await installed().place(name, { 'package.json': JSON.stringify({ type }), 'app.ts': typed })

    t.is((await runs(t, [cli, 'app.ts'], place)).stdout, 'well\n')
  }
})

test('tsx: handlers in TypeScript run in processes, and in threads if its loader is there; functions run in threads', async t => {
  const app = `import { DispatchQueue } from 'rdq'
    import { inThread } from 'rdq/isolate'
    const url = new URL('./double.ts', import.meta.url)
    const results: unknown[] = []
    for (const isolate of ['thread', 'process'] as const) {
      const queue = new DispatchQueue(url, { isolate })
      queue.on('error', error => console.error(error))
      results.push(await queue.ready().then(() => queue.run(21), error => error.message))
      await queue.stop()
    }
    const named = (n: number): number => {
      const twice = (value: number): number => value * 2
      return twice(n)
    }
    results.push(await inThread(url, [21]).catch(error => error.message), await inThread(named, [21]))
    console.log(JSON.stringify(results))`
  const double = 'export default async (n: number): Promise<number> => { enum By { two = 2 } return n * By.two }'
  const place = await installed().place('tsx-isolate', {
    'package.json': '{ "type": "module" }',
    'app.ts': app,
    'double.ts': double,
  })

  const { stdout } = await runs(t, [tool('tsx', 'dist/cli.mjs'), 'app.ts'], place)

  const [thread, inProcess, module, text] = JSON.parse(stdout)
  t.deepEqual([inProcess, text], [42, 42])
  for (const result of [thread, module]) {
    if (result !== 42)
      t.regex(result, /does not run this TypeScript: compile the module, and give the URL of its \.js file$/)
  }
})
