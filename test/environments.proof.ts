/**
 * The package, as it is installed, in what Node itself offers: CommonJS, its own test runner, threads and clusters. What
 * needs other tools stands in test/environments/, and is run by `npm run environments`.
 */
import { join } from 'node:path'
import test from 'ava'
import { installPacked, type Packed } from './support/packed-package.ts'
import { root, runNode, tsc } from './support/repository.ts'

let installed: Packed

test.before('environments: rdq is packed and installed, with better-sqlite3', async () => {
  installed = await installPacked()
  await installed.addPeer()
})

test.after.always('environments: the folder goes', () => installed?.remove())

const program = (head: string): string => `${head}
async function main() {
  const queue = new DispatchQueue(async (n) => n * 2, { name: 'q', backlog: new SqliteBacklog('jobs.db') })
  const result = await queue.run(21)
  const refused = await queue.put(NaN).catch((error) => error)
  await queue.stop()
  if (result !== 42 || !(refused instanceof DispatchError)) throw new Error('rdq does not work here')
  console.log('well')
}
`
const imports = `import { DispatchError, DispatchQueue } from 'rdq'
import { SqliteBacklog } from 'rdq/sqlite'`
const requires = `const { DispatchError, DispatchQueue } = require('rdq')
const { SqliteBacklog } = require('rdq/sqlite')`

test('environments: CommonJS can require rdq, and gets the same classes as an import', async t => {
  const same = `import('rdq').then(m => { if (m.DispatchQueue !== DispatchQueue) throw new Error('two copies') })`
  const place = await installed.place('commonjs', { 'app.cjs': `${program(requires)}\nmain()\n${same}` })

  const { code, stdout, output } = await runNode(['app.cjs'], place)

  t.is(code, 0, output)
  t.is(stdout, 'well\n')
})

const compilerOptions = {
  target: 'es2022',
  lib: ['es2022', 'esnext.disposable'],
  strict: true,
  outDir: 'out',
  typeRoots: [join(root, 'node_modules/@types')],
  types: ['node'],
}

for (const [module, moduleResolution, type] of [
  ['nodenext', 'nodenext', 'commonjs'],
  ['nodenext', 'nodenext', 'module'],
  ['node20', 'nodenext', 'commonjs'],
  ['node16', 'node16', 'module'],
  ['esnext', 'bundler', 'module'],
  ['preserve', 'bundler', 'module'],
] as const) {
  test(`environments: TypeScript compiles to ${type} that runs, with module ${module} and moduleResolution ${moduleResolution}`, async t => {
    const options = { ...compilerOptions, module, moduleResolution }
    const place = await installed.place(`${module}-${moduleResolution}-${type}`, {
      'package.json': JSON.stringify({ type }),
      'tsconfig.json': JSON.stringify({ compilerOptions: options, files: ['app.ts'] }),
      'app.ts': `${program(imports).replace('(n)', '(n: number)')}\nvoid main()`,
    })

    const compiled = await tsc(['-p', '.'], place)
    t.is(compiled.code, 0, compiled.output)
    const { code, stdout, output } = await runNode(['out/app.js'], place)
    t.is(code, 0, output)
    t.is(stdout, 'well\n')
  })
}

test('environments: with module node16 the compiler refuses CommonJS that requires it', async t => {
  const place = await installed.place('node16-commonjs', {
    'package.json': '{ "type": "commonjs" }',
    'tsconfig.json': JSON.stringify({
      compilerOptions: { ...compilerOptions, module: 'node16', moduleResolution: 'node16' },
    }),
    'app.ts': imports,
  })

  const { code, stdout } = await tsc(['-p', '.'], place)

  t.not(code, 0)
  t.regex(stdout, /TS1479/)
})

for (const [type, head] of [
  ['module', imports],
  ['commonjs', requires],
] as const) {
  test(`environments: node:test, in a test file that is ${type}`, async t => {
    const runner = type === 'module' ? `import { test } from 'node:test'` : `const { test } = require('node:test')`
    const place = await installed.place(`node-test-${type}`, {
      'package.json': JSON.stringify({ type }),
      'a.test.js': `${runner}\n${program(head)}\ntest('a', main)`,
    })

    const { code, output } = await runNode(['--test', 'a.test.js'], place)

    t.is(code, 0, output)
    t.regex(output, /pass 1/)
  })
}

test('environments: ava', async t => {
  const place = await installed.place('ava', {
    'package.json': '{ "type": "module" }',
    'a.test.js': `import test from '${join(root, 'node_modules/ava/entrypoints/main.mjs')}'
      ${program(imports)}
      test('a', async t => { await main(); t.pass() })`,
  })

  const { code, output } = await runNode([join(root, 'node_modules/ava/entrypoints/cli.mjs'), '--timeout=2m'], place)

  t.is(code, 0, output)
  t.regex(output, /1 test passed/)
})

/** Works on what is put by whoever has the file, in a thread or a process of its own, until nothing is left. */
const worker = `${imports}
export async function work() {
  const done = []
  const handler = async n => { done.push(n); await new Promise(resolve => setTimeout(resolve, 5)) }
  const queue = new DispatchQueue(handler, { name: 'q', width: 2, backlog: new SqliteBacklog('jobs.db') })
  await queue.idle()
  await queue.stop()
  return done
}
`

/** Puts 40 jobs, has three workers do them, and holds that each was done once. */
const manager = (hire: string): string => `${imports}
const queue = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog('jobs.db') })
await queue.putMany(Array.from({ length: 40 }, (_, n) => n))
${hire}
const done = (await Promise.all([1, 2, 3].map(hire))).flat().sort((a, b) => a - b)
if (done.join() !== Array.from({ length: 40 }, (_, n) => n).join()) throw new Error('done: ' + done)
if (queue.counts.pending + queue.counts.underway > 0) throw new Error(JSON.stringify(queue.counts))
await queue.stop()
console.log('well')
`

for (const [what, app, own] of [
  [
    'worker_threads: threads of one process share a file',
    manager(`import { Worker } from 'node:worker_threads'
const hire = () => new Promise((resolve, reject) => {
  new Worker(new URL('./own.js', import.meta.url)).once('message', resolve).once('error', reject)
})`),
    `import { parentPort } from 'node:worker_threads'
import { work } from './worker.js'
parentPort.postMessage(await work())`,
  ],
  [
    'cluster: processes of a cluster share a file',
    manager(`import cluster from 'node:cluster'
cluster.setupPrimary({ exec: 'own.js' })
const hire = () => new Promise((resolve, reject) => {
  cluster.fork().once('message', resolve).once('error', reject)
})`),
    `import { work } from './worker.js'
const done = await work()
process.send(done, () => process.disconnect())`,
  ],
] as const) {
  test(`environments: ${what}, and each job is done once`, async t => {
    const place = await installed.place(what.slice(0, 7), { 'app.js': app, 'own.js': own, 'worker.js': worker })

    const { code, stdout, output } = await runNode(['app.js'], place)

    t.is(code, 0, output)
    t.is(stdout, 'well\n')
  })
}

test('environments: a queue in memory in each of several threads', async t => {
  const place = await installed.place('memory-threads', {
    'app.js': `import { Worker } from 'node:worker_threads'
const hire = n => new Promise((resolve, reject) => {
  new Worker(new URL('./own.js', import.meta.url), { workerData: n }).once('message', resolve).once('error', reject)
})
console.log((await Promise.all([1, 2, 3].map(hire))).join())`,
    'own.js': `import { parentPort, workerData } from 'node:worker_threads'
import { DispatchQueue } from 'rdq'
const queue = new DispatchQueue(async n => n * 2, { rate: { limit: 5, per: '1s' } })
parentPort.postMessage(await queue.run(workerData))`,
  })

  t.is((await runNode(['app.js'], place)).stdout, '2,4,6\n')
})

const double = `export default async (n, task) => n * 2
`
/** A queue on a module in threads and in processes, and a call in a thread of a function and of a module. */
const elsewhere = `
async function main() {
  const url = new URL('./double.mjs', pathToFileURL(__filename))
  for (const isolate of ['thread', 'process']) {
    const queue = new DispatchQueue(url, { isolate })
    const result = await queue.run(21)
    await queue.stop()
    if (result !== 42) throw new Error(isolate + ': ' + result)
  }
  const calls = [inThread(n => n * 2, [21]), inThread(url, [21])]
  if ((await Promise.all(calls)).join() !== '42,42') throw new Error('inThread')
  console.log('well')
}
main()
`

for (const [type, file, head] of [
  [
    'an ES module',
    'app.mjs',
    `import { fileURLToPath, pathToFileURL } from 'node:url'
    import { DispatchQueue } from 'rdq'
    import { inThread } from 'rdq/isolate'
    const __filename = fileURLToPath(import.meta.url)`,
  ],
  [
    'CommonJS',
    'app.cjs',
    `const { pathToFileURL } = require('node:url')
    const { DispatchQueue } = require('rdq')
    const { inThread } = require('rdq/isolate')`,
  ],
] as const) {
  test(`environments: handlers in threads and processes, and calls in threads, from ${type}`, async t => {
    const place = await installed.place(`elsewhere-${file}`, { [file]: `${head}\n${elsewhere}`, 'double.mjs': double })

    const { code, stdout, output } = await runNode([file], place)

    t.is(code, 0, output)
    t.is(stdout, 'well\n', 'and nothing keeps the process alive')
  })
}

test('environments: a handler in TypeScript runs where Node strips types, and is refused with what to do where it does not', async t => {
  const place = await installed.place('elsewhere-ts', {
    'app.mjs': `import { DispatchQueue } from 'rdq'
      import { inThread } from 'rdq/isolate'
      const url = new URL('./double.ts', import.meta.url)
      const queue = new DispatchQueue(url, { isolate: 'process' })
      queue.on('error', () => {})
      const said = await Promise.all([
        queue.ready().then(() => queue.run(21)).catch(error => error.message),
        inThread(url, [21]).catch(error => error.message),
      ])
      await queue.stop()
      console.log(JSON.stringify(said))`,
    'double.ts': 'export default async (n: number): Promise<number> => n * 2',
  })

  const { code, stdout, output } = await runNode(['app.mjs'], place)

  t.is(code, 0, output)
  for (const said of JSON.parse(stdout)) {
    if ((process.features as { typescript?: unknown }).typescript) t.is(said, 42)
    else t.regex(said, /does not run this TypeScript: compile the module, and give the URL of its \.js file$/)
  }
})
