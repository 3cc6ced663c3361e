/**
 * Bundles the package: a file for each entry, and files for what they share. An import then reads a few files instead of
 * a hundred, which takes less than half of the time. The declarations keep the layout of the sources.
 *
 * `node bundle.mjs --tests` bundles the programs that tests start as processes, from `build/` into `build/bundled/`, so
 * that each of hundreds of processes starts faster.
 */
import { build } from 'rolldown'

const entries = [
  'lib/index',
  'lib/cooperate/index',
  'lib/adaptive/index',
  'lib/isolate/index',
  'persistence/sqlite/index',
  'testing/index',
]
// Whoever starts a thread or a process does so by the file beside it, so each is a file of its own, at its place.
const host = 'persistence/sqlite/thread/thread-host'
const thread = 'persistence/sqlite/thread/entry'
const spawn = 'lib/isolate/spawn'
const isolates = ['lib/isolate/entry', 'lib/isolate/orphan-watch']
const calls = ['lib/isolate/call-thread', 'lib/isolate/call-entry']

const ofPackage = {
  input: inputsOf([...entries, host, thread, spawn, ...isolates, ...calls], name => `${name}.ts`),
  output: { dir: 'dist', chunkFileNames: 'shared/[name].js' },
}

const programs = ['test/support/worker-process', 'test/support/sqlite-process', 'test/limit/worker']
const dying = 'test/support/fake-threads/dies-at-point'
/** Chunks that find another file by their own address. */
const placed = { 'thread-host': host, spawn, 'kill-point': 'test/support/kill-point' }
const ofTests = {
  input: inputsOf(
    ['lib/index', 'persistence/sqlite/index', thread, ...isolates, ...programs, dying],
    name => `build/${name}.js`,
  ),
  output: {
    dir: 'build/bundled',
    chunkFileNames: ({ name }) => `${placed[name] ?? 'shared/[name]'}.js`,
    codeSplitting: { groups: Object.keys(placed).map(name => ({ name, test: new RegExp(`[\\\\/]${name}\\.js$`) })) },
  },
}

const { input, output } = process.argv.includes('--tests') ? ofTests : ofPackage
await build({
  input,
  platform: 'node',
  external: /^[^./]/,
  output: { entryFileNames: '[name].js', comments: false, ...output },
})

function inputsOf(names, file) {
  return Object.fromEntries(names.map(name => [name, file(name)]))
}
