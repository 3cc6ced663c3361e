/**
 * Bundles the package: a file for each entry, and files for what they share. An import then reads a few files instead of
 * a hundred, which takes less than half of the time. The declarations keep the layout of the sources.
 *
 * `node bundle.mjs --tests` does the same for the tests, from `build/plain/`. Each of hundreds of test files, and of the
 * processes that they start, would load two hundred modules, which takes longer than most tests:
 *
 * - `build/bundled/` has the programs that tests start as processes, as in the package.
 * - `build/` has all modules at their places, so that a test may import any of them. Each only exports what stands in
 *   one file for each part of rdq, in `build/shared/`. The tests themselves are copied as they are.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { build } from 'rolldown'

const entries = [
  'lib/index',
  'lib/cooperate/index',
  'lib/adaptive/index',
  'lib/in-thread/index',
  'persistence/sqlite/index',
  'testing/index',
]
// Whoever starts a thread or a process does so by the file beside it, so each is a file of its own, at its place.
const host = 'persistence/sqlite/thread/thread-host'
const thread = 'persistence/sqlite/thread/entry'
const spawn = 'lib/isolate/spawn'
const isolates = ['lib/isolate/entry', 'lib/isolate/orphan-watch']
const calls = ['lib/in-thread/call-thread', 'lib/in-thread/call-entry']

const ofPackage = {
  input: inputsOf([...entries, host, thread, spawn, ...isolates, ...calls], name => `${name}.ts`),
  output: { dir: 'dist', chunkFileNames: 'shared/[name].js' },
}

/** Where the compiler puts what the tests need. */
const plain = 'build/plain'
const programs = ['test/support/worker-process', 'test/support/sqlite-process', 'test/limit/worker']
const dying = 'test/support/fake-threads/dies-at-point'
/** Chunks that find another file by their own address. */
const placed = { 'thread-host': host, spawn, 'kill-point': 'test/support/kill-point' }
const ofPrograms = {
  input: inputsOf(
    ['lib/index', 'persistence/sqlite/index', thread, ...isolates, ...programs, dying],
    name => `${plain}/${name}.js`,
  ),
  output: {
    dir: 'build/bundled',
    chunkFileNames: ({ name }) => `${placed[name] ?? 'shared/[name]'}.js`,
    codeSplitting: { groups: Object.keys(placed).map(name => ({ name, test: new RegExp(`[\\\\/]${name}\\.js$`) })) },
  },
}

/** The files of `build/shared/`, and the folders that each holds. A queue in memory needs only the first. */
const parts = {
  queue: ['lib', 'persistence/memory'],
  durable: ['persistence/durable', 'persistence/sqlite'],
  testing: ['testing'],
}
/** These find another file by their own address, so each stays a file at its place. */
const apart = new Set([host, thread, spawn, ...isolates, ...calls].map(name => join(plain, `${name}.js`)))
const isIn = folders => id => {
  const path = relative('.', id)
  return folders.some(folder => path.startsWith(join(plain, folder, '/'))) && !apart.has(path)
}
const ofModules = {
  input: () => inputsOf(Object.values(parts).flat().flatMap(modulesIn), name => `${plain}/${name}.js`),
  preserveEntrySignatures: 'allow-extension',
  output: {
    dir: 'build',
    chunkFileNames: 'shared/[name].js',
    comments: true,
    codeSplitting: {
      // Otherwise what is imported from a part belongs to it too.
      includeDependenciesRecursively: false,
      groups: Object.entries(parts).map(([name, folders]) => ({ name, test: isIn(folders) })),
    },
  },
}

const forTests = process.argv.includes('--tests')
for (const { input, output, ...options } of forTests ? [ofPrograms, ofModules] : [ofPackage]) {
  await build({
    input: typeof input === 'function' ? input() : input,
    platform: 'node',
    external: /^[^./]/,
    ...options,
    output: { entryFileNames: '[name].js', comments: false, ...output },
  })
}
if (forTests) for (const folder of ['test', 'docs']) copy(folder)

/** A source map names its source from where it lies, which is one folder higher in the copy. */
function copy(folder) {
  cpSync(join(plain, folder), join('build', folder), { recursive: true })
  for (const file of readdirSync(join('build', folder), { recursive: true })) {
    if (!file.endsWith('.js.map')) continue
    const path = join('build', folder, file)
    const map = JSON.parse(readFileSync(path, 'utf8'))
    writeFileSync(path, JSON.stringify({ ...map, sources: map.sources.map(source => source.replace('../', '')) }))
  }
}
function inputsOf(names, file) {
  return Object.fromEntries(names.map(name => [name, file(name)]))
}
function modulesIn(folder) {
  return readdirSync(join(plain, folder), { recursive: true })
    .filter(file => file.endsWith('.js'))
    .map(file => join(folder, file.slice(0, -'.js'.length)))
}
