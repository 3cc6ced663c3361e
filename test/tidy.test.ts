/**
 * The rules of this house that no compiler knows, held over all files of the repository.
 *
 * Each rule is a function from files to complaints. It is first shown a planted file that breaks it, because a rule
 * that finds nothing in the tree may also be one that can find nothing at all.
 */
import { posix } from 'node:path'
import test from 'ava'
import { filesIn, textOf } from './support/repository.ts'

/** May be longer than the rest, and why. The limit is an alarm: what belongs together stands together. */
const longFiles: Readonly<Record<string, string>> = {}
const mostLines = 600

/** Files of lib and testing without a test file of their own name, and why. */
const testedElsewhere: Readonly<Record<string, string>> = {
  'lib/support/shape-samples.ts':
    'what it does is speed: `npm run bench -- sqlite` makes a full collection before each run',
  'lib/support/call-site.ts': 'the stacks that callers see: test/flow/located.test.ts',
  'lib/index.ts': 'only names what others make; test/package.proof.ts imports it as users do',
  'lib/adaptive/index.ts': 'only names what others make; flow/adaptive.test.ts and classify.test.ts import from here',
  'lib/adaptive/adapt.ts': 'what it does to a queue: test/flow/adaptive.test.ts',
  'lib/control/steering.ts': 'what a controller of the width sees: test/flow/adaptive.test.ts',
  'lib/backlog.ts': 'only types and rules: the suites in testing/contract/ are its test',
  'lib/cooperate/index.ts': 'only names what lib/cooperate/cooperator.ts makes, and its test imports from here',
  'lib/cooperate/errors.ts': 'what cooperators throw: test/lib/cooperate/cooperator.test.ts',
  'lib/dispatch/keep-alive.ts': 'whom it holds and whom not: test/flow/dropped.test.ts',
  'lib/put/entries.ts': 'what goes the way that test/flow/put.test.ts goes',
  'lib/control/job-operations.ts': 'what a user calls on a job: test/lib/queue.test.ts and test/flow/look.test.ts',
  'lib/control/opening.ts':
    'a backlog that opens, or does not: test/lib/queue.test.ts, test/flow/ready.test.ts and doors.test.ts',
  'lib/put/arrivals.ts': 'what follows a put: test/flow/put.test.ts, events.test.ts and signals.test.ts',
  'lib/announce/announcer.ts': 'which events a job has, and in which order: test/flow/events.test.ts',
  'lib/run/run-state.ts': 'the table of test/lib/run/run.test.ts',
  'lib/run/self-waits.ts': 'what a handler is warned of: test/flow/own-waits.test.ts',
  'lib/run/past-run.ts': 'what is left of a run: test/lib/run/runs.test.ts and test/flow/look.test.ts',
  'lib/cooperate/yield-point.ts':
    'what works a slice at a time: test/flow/mass.test.ts, and task.breathe in tasks.test.ts',
  'lib/control/aborts.ts': 'what the abort of a signal does: test/flow/signals.test.ts and mass.test.ts',
  'lib/run/isolated-body.ts': 'only types',
  'lib/run/pausable-task.ts': 'only types',
  'lib/run/isolated-bodies.ts': 'only types',
  'lib/isolate/protocol.ts': 'only types, and one number',
  'lib/isolate/entry.ts': 'what a thread or a process runs: test/flow/isolates.test.ts and test/isolate/',
  'lib/isolate/spawn.ts': 'how they are started and end: test/flow/isolates.test.ts and test/isolate/',
  'lib/isolate/orphan-watch.ts': 'who ends without a parent: test/isolate/orphans.test.ts',
  'lib/isolate/isolate.ts': 'one isolate, as its queue shows it: test/flow/isolates.test.ts',
  'lib/isolate/isolates.ts': 'where jobs run, and what an end means for them: test/flow/isolates.test.ts',
  'lib/isolate/isolates-of-queue.ts': 'what a queue does with them: test/flow/isolates.test.ts',
  'lib/in-thread/index.ts': 'only names what others make; test/package.proof.ts imports it as users do',
  'lib/in-thread/call-protocol.ts': 'only types',
  'lib/in-thread/call-thread.ts': 'how threads of calls are started: test/lib/in-thread/thread-pool.test.ts',
  'lib/in-thread/call-entry.ts': 'what such a thread runs: test/lib/in-thread/in-thread.test.ts',
  'lib/isolate/loaded-module.ts':
    'modules of all kinds: test/lib/in-thread/in-thread.test.ts, test/flow/isolates.test.ts',
  'lib/decisions/suspects.ts':
    'the order among suspects: test/persistence/sqlite/store/suspects.test.ts, test/persistence/memory/suspects.test.ts',
  'lib/run/task.ts': 'what a handler sees: test/flow/tasks.test.ts',
  'lib/job.ts': 'what a user holds: test/flow/look.test.ts',
  'testing/simulated/loop-clock.ts': 'the clock of a loop: test/testing/simulated/machine.test.ts',
  'lib/control/keys.ts': 'what callers see and set of keys: test/flow/keys.test.ts',
  'lib/limits/limit.ts': 'the contract of test/lib/limits/limits.test.ts, and one constant',
  'lib/limits/pause.ts': 'one of the limits of test/lib/limits/limits.test.ts',
  'lib/limits/width.ts': 'one of the limits of test/lib/limits/limits.test.ts',
  'lib/limits/turn.ts': 'what it refuses: test/lib/limits/named-rules.test.ts',
  'lib/limits/hold.ts': 'one of the limits of test/lib/limits/limits.test.ts',
  'lib/limits/rate-limit.ts': 'one of the limits of test/lib/limits/limits.test.ts',
  'lib/rate/rules.ts': 'parsing and units, by the tests of the rate: test/lib/rate/rate.test.ts',
  'lib/run/launch-report-state.ts': 'constants and a type',
  'lib/control/pauses.ts': 'what follows from the states of test/lib/lifecycle.test.ts: test/flow/pause-stop.test.ts',
  'lib/control/queries.ts': 'test/flow/look.test.ts',
  'lib/control/commands.ts': 'test/flow/look.test.ts and retry.test.ts',
  'lib/events/events.ts': 'test/flow/events.test.ts',
  'lib/control/shutdown.ts': 'test/flow/pause-stop.test.ts',
  'lib/options/name-taken.ts': 'a constructor that refuses: test/flow/ready.test.ts, on both backlogs',
  'lib/options/no-handler.ts': 'what a queue refuses: test/flow/without-handler.test.ts, on both backlogs',
  'lib/dispatch/crash-verdicts.ts': 'verdicts on jobs whose process died: test/crash/recovery.test.ts',
  'lib/dispatch/notice-handler.ts': 'notices come only from a backlog that others share: test/crash/recovery.test.ts',
  'lib/decisions/bounds.ts': 'only numbers: what keeps to them is tested where it does',
  'lib/rate/start-log.ts': 'a part of the rate, which test/lib/rate/rate.test.ts holds against brute force',
  'lib/rate/window.ts': 'a part of the rate, which test/lib/rate/rate.test.ts holds against brute force',
  'testing/entry.ts': 'only types',
  'testing/contract/': 'suites of contracts: whoever passes them is their test, test/persistence/ above all',
  'testing/remote-line.ts': 'the delays and faults of a remote backlog: test/testing/remote-backlog.test.ts',
  'testing/witness.ts': 'what a history writes down of a queue: test/testing/history.test.ts',
  'testing/watched-handler.ts': 'what a history writes down of a handler: test/testing/history.test.ts',
  'testing/history-builder.ts': 'what the tests of the checkers are written with',
  'testing/checkers/judge.ts': 'what all checkers share, and their tests use',
  'testing/checkers/announcements.ts': 'a part of I11 and of what waits: endings.test.ts and limits.test.ts',
  'testing/checkers/free-keys.ts':
    'since when a key may start a job, for I6 to I8 and I27: order.test.ts and fairness.test.ts',
  'testing/checkers/key-settings.ts': 'what holds for a key, for I24 to I27: keys.test.ts',
  'testing/checkers/requested.ts': 'what a setting may be while it is changed, for I24 to I27: keys.test.ts',
  'testing/checkers/starts.ts': 'the brute force of I5 and I6: limits.test.ts',
  'testing/checkers/waiting.ts': 'what I6 to I8 know of jobs that wait: limits.test.ts and order.test.ts',
  'testing/index.ts': 'only names what others make, and their tests import from here',
  'testing/simulated/chance.ts': 'a part of the simulated machine: test/testing/simulated/machine.test.ts',
  'testing/simulated/disk.ts': 'a part of the simulated machine: test/testing/simulated/machine.test.ts',
  'testing/simulated/library.ts': 'a part of the simulated machine: test/testing/simulated/machine.test.ts',
  'testing/simulated/loop.ts': 'a part of the simulated machine: test/testing/simulated/machine.test.ts',
  'testing/simulated/process.ts': 'a part of the simulated machine: test/testing/simulated/machine.test.ts',
  'testing/simulated/thread.ts': 'a part of the simulated machine: test/testing/simulated/machine.test.ts',
}

/** Files outside lib/clock.ts that may ask for a later turn of the loop or a microtask, and why. */
const turns: Readonly<Record<string, string>> = {
  'testing/virtual-clock.ts':
    'its clock stands still, and must all the same let the loop take real turns until work settles',
  'testing/simulated/machine.ts': 'what it delivers goes on in promises, for which the real loop must take a turn',
}

/** Files outside lib/clock.ts that may make random bytes, and why a test need not command them. */
const randomBytes: Readonly<Record<string, string>> = {
  'lib/job-id.ts': 'one tag a process, which only has to differ from those of other processes',
}

/** Files of lib that may name a backend, and why. */
const backends: Readonly<Record<string, string>> = {
  'lib/index.ts': 'exports it to users',
  'lib/queue.ts': 'makes the default one when no backlog is given, which options.ts cannot without a cycle',
}

/** Files of test that may skip a test, and why. */
const skips: Readonly<Record<string, string>> = {
  'test/environments/servers.mjs':
    'needs servers that a user may not have, and says so by a skipped test; .ci/run makes their absence a failure',
}

/** Files that comments name and a test writes. */
const writtenByTests: ReadonlySet<string> = new Set(['app.ts'])

interface File {
  readonly path: string
  readonly text: string
}
/** What is wrong with the files, one line each, as `path:line: what`. */
type Rule = (files: readonly File[]) => string[]

const read = (...paths: string[]): File[] => filesIn(...paths).map(path => ({ path, text: textOf(path) }))
const all = read().filter(({ text }) => !text.includes('\0'))
const under = (...folders: string[]) => all.filter(({ path }) => folders.some(folder => path.startsWith(`${folder}/`)))
const sources = under('lib', 'persistence', 'testing')
const tests = under('test')

/** Holds `rule` over `files`, once it has found what is wrong with the planted ones. */
function hold(title: string, files: readonly File[], rule: Rule, ...planted: readonly File[]): void {
  test(`tidy: ${title}`, t => {
    const sanity = planted.map(file => rule([file]))
    t.true(sanity.length > 0 && sanity.every(found => found.length > 0), 'the rule overlooks what was planted')
    t.true(files.length > 0)

    t.deepEqual(rule(files), [])
  })
}

hold(
  'time and chance come from lib/clock.ts alone',
  sources.filter(({ path }) => path !== 'lib/clock.ts'),
  eachMatch(
    /\b(?:Date\.now|performance\.now|setTimeout|setInterval|Math\.random|process\.hrtime|AbortSignal\.timeout)\b|\bnew Date\(\)|'node:(?:timers|timers\/promises|perf_hooks)'/g,
  ),
  { path: 'lib/a.ts', text: '/* A comment may say Date.now. */ const now = Date.now()' },
  { path: 'lib/b.ts', text: `import { setTimeout as sleep } from 'node:timers/promises'` },
  { path: 'lib/c.ts', text: `const at = new Date()` },
)

hold(
  'turns of the loop come from lib/clock.ts, and microtasks from promises, unless it is argued here why not',
  sources.filter(({ path }) => path !== 'lib/clock.ts' && turns[path] === undefined),
  eachMatch(/\b(?:process\.nextTick|queueMicrotask|setImmediate)\b/g),
  { path: 'lib/a.ts', text: 'queueMicrotask(() => {})' },
  { path: 'lib/a.ts', text: 'setImmediate(wake)' },
  { path: 'persistence/b.ts', text: 'process.nextTick(wake)' },
)

hold(
  'nothing makes random bytes but lib/job-id.ts',
  sources.filter(({ path }) => randomBytes[path] === undefined),
  eachMatch(/\b(?:randomBytes|randomUUID|randomInt|getRandomValues|randomFill(?:Sync)?)\b/g),
  { path: 'lib/a.ts', text: `import { randomUUID } from 'node:crypto'` },
)

hold(
  'lib names no backend, but where it is exported and where it is the default',
  under('lib').filter(({ path }) => backends[path] === undefined),
  eachImport((_, to) => to.startsWith('persistence/') && 'a backend'),
  { path: 'lib/job.ts', text: `import { Heap } from '../persistence/memory/heap.ts'` },
  { path: 'lib/job.ts', text: `export type { Heap } from '../persistence/memory/heap.ts'` },
)

hold(
  'lib speaks of no backlog in particular, but where it exports it',
  under('lib').filter(({ path }) => path !== 'lib/index.ts'),
  eachMatch(/\bSqlite\w*|\bbetter-sqlite3\b/g, 'as it stands'),
  { path: 'lib/a.ts', text: `throw new OptionError('db', db, 'goes with a SqliteBacklog')` },
  { path: 'lib/a.ts', text: '/** A better-sqlite3 handle. */' },
)

hold(
  'persistence knows the parts of lib, and never the queue that holds them',
  under('persistence'),
  eachImport((_, to) => ['lib/queue.ts', 'lib/index.ts'].includes(to) && 'the queue'),
  { path: 'persistence/memory/backlog.ts', text: `import { DispatchQueue } from '../../lib/queue.ts'` },
  { path: 'persistence/sqlite/thread/entry.ts', text: `const rdq = await import('../../../lib/index.ts')` },
)

hold(
  'the queue side of durable backlogs knows no store, no SQL and no thread',
  under('persistence/durable'),
  eachImport((_, to) => {
    const isOurs = to.startsWith('persistence/durable/') || to.startsWith('lib/')
    return !isOurs && 'what belongs to one kind of store'
  }),
  { path: 'persistence/durable/link.ts', text: `import { Worker } from 'node:worker_threads'` },
  { path: 'persistence/durable/link.ts', text: `import type { Host } from '../sqlite/host.ts'` },
  { path: 'persistence/durable/session.ts', text: `import Database from 'better-sqlite3'` },
)

const { dependencies, peerDependencies = {} } = JSON.parse(textOf('package.json'))
hold(
  'lib, persistence and testing import nothing but themselves, Node, and what the package depends on',
  sources,
  eachImport((from, to) => {
    const known = to.startsWith('node:') || to in dependencies || to in peerDependencies
    return !known && !/^(?:lib|persistence|testing)\//.test(to) && `not for ${from} to import`
  }),
  { path: 'lib/a.ts', text: `import fc from 'fast-check'` },
  { path: 'lib/a.ts', text: `import { root } from '../test/support/repository.ts'` },
)

hold(
  'lib and persistence do not know what is there for tests',
  under('lib', 'persistence'),
  eachImport((_, to) => to.startsWith('testing/') && 'for tests'),
  { path: 'lib/a.ts', text: `import { VirtualClock } from '../testing/index.ts'` },
)

hold(
  'a checker shares nothing with what it judges: of lib it knows types alone',
  under('testing/checkers'),
  files =>
    files.flatMap(file =>
      found(file, /^import (?!type\b)[^;]*? from '\.\.\/(?:\.\.\/(?:lib|persistence)|history|witness)[^']*'/gm),
    ),
  { path: 'testing/checkers/a.ts', text: `import { Rate } from '../../lib/rate/rate.ts'` },
  { path: 'testing/checkers/a.ts', text: `import { History } from '../history.ts'` },
)

hold(
  `no file of lib, persistence or testing is longer than ${mostLines} lines, unless it is argued here`,
  sources.filter(({ path }) => longFiles[path] === undefined),
  files => files.filter(isLong).map(({ path, text }) => `${path}: ${lineCount(text)} lines`),
  { path: 'lib/a.ts', text: 'x\n'.repeat(mostLines + 1) },
)

hold(
  'no test is left out, unless it is argued here why, and none keeps the others out',
  tests.filter(({ path }) => skips[path] === undefined),
  eachMatch(/\.(?:only|skip)(?=\s*\()/g),
  { path: 'test/a.test.ts', text: `test.${'only'}('a', t => t.pass())` },
  { path: 'test/b.test.ts', text: `test.serial.${'skip'}('b', t => t.pass())` },
)

/** Words that once meant several things each, with the identifiers in which they have their one meaning. */
const ambiguous: ReadonlyMap<string, RegExp> = new Map([
  ...['news', 'begun', 'again', 'place'].map((word): [string, RegExp] => [word, /^$/]),
  // The next look of a queue at its backlog.
  ['look', /^(?:nextLook\w*|lookNext|wallLookMs)$/],
  // A key or rule that is held.
  ['held', /^(?:isHeld|keyHeld|\w*[hH]eld(?:Keys?|Rules?|Until)\w*)$/],
])
/** Words for requests, reports and notifications that no protocol has, in all their forms. `ask` is a policy's name. */
const spoken = /^(?:un)?(?:hear(?:s|d|er|ers|ing)?|tell(?:s|er|ers|ing)?|told|ask(?:s|ed|er|ers|ing))$/
hold(
  'no identifier of lib, persistence or testing has a word that means several things (docs/reference/glossary.md)',
  sources,
  files =>
    files.flatMap(file =>
      found({ ...file, text: withoutTexts(file.text) }, /\b[A-Za-z]\w*/g).filter(place => {
        const name = place.slice(place.lastIndexOf(' ') + 1)
        const words = name.split(/(?=[A-Z])|_/).map(word => word.toLowerCase())
        return words.some(word => spoken.test(word) || ambiguous.get(word)?.test(name) === false)
      }),
    ),
  { path: 'lib/a.ts', text: 'const told = (): void => {}' },
  { path: 'lib/a.ts', text: 'unheardFailure(error)' },
  { path: 'lib/a.ts', text: 'interface StoryTeller {}' },
  { path: 'lib/a.ts', text: 'this.#heldBack.add(run)' },
  { path: 'persistence/a.ts', text: 'const roomAgain = 1' },
  { path: 'testing/a.ts', text: 'readonly lookAt: number' },
)

hold(
  'no identifier of the tests and benchmarks is a word for requests or reports that no protocol has',
  under('test', 'bench', 'docs/examples').filter(({ path }) => path !== 'test/tidy.test.ts'),
  files =>
    files.flatMap(file =>
      found({ ...file, text: withoutTexts(file.text) }, /\b[A-Za-z]\w*/g).filter(place => {
        const name = place.slice(place.lastIndexOf(' ') + 1)
        return name.split(/(?=[A-Z])|_/).some(word => spoken.test(word.toLowerCase()))
      }),
    ),
  { path: 'test/a.test.ts', text: 'const told: string[] = []' },
  { path: 'test/a.test.ts', text: 'await worker.askedAgain()' },
)

hold(
  'no error has the code of another',
  sources,
  files => {
    const codes = files.flatMap(file => found(file, /\bcode(?:: string)? = '\w+'/g))
    const code = (place: string) => place.split(`'`)[1] as string
    return codes.filter((place, i) => codes.findIndex(other => code(other) === code(place)) < i)
  },
  { path: 'lib/errors.ts', text: `readonly code = 'COST'\nreadonly code: string = 'COST'` },
)

hold(
  'each class of errors states its name as text, which a minifier leaves alone',
  sources,
  files =>
    files.flatMap(file =>
      found(file, /\bexport class \w+ extends (?:\w*Error|TaskFinished) \{\n.*/g).filter(place => {
        const [, name] = /class (\w+)/.exec(place) ?? []
        return !place.includes(`  static override readonly name: string = '${name}'`)
      }),
    ),
  { path: 'lib/a.ts', text: `export class AError extends DispatchError {\n  readonly code = 'A'\n}` },
  { path: 'lib/b.ts', text: `export class B extends AError {\n  static override readonly name: string = 'A'\n}` },
)

hold(
  'each file of TypeScript that a comment names is there, by its path or the end of it',
  all.filter(({ path }) => path.endsWith('.ts')),
  files =>
    files.flatMap(({ path, text }) =>
      (text.match(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/ .*/g) ?? [])
        .flatMap(comment => comment.match(/(?<![\w/.-])[\w-][\w./-]*\.ts\b/g) ?? [])
        .filter(name => !writtenByTests.has(name) && !all.some(file => `/${file.path}`.endsWith(`/${name}`)))
        .map(name => `${path} names ${name}`),
    ),
  { path: 'lib/a.ts', text: `/** As ${'nowhere'}.ts does. */` },
  { path: 'lib/b.ts', text: `const b = 1 // see lib/${'nowhere'}.ts` },
)

hold(
  'no text names a path of the machine on which it was written',
  all,
  eachMatch(/(?<![\w.~)}\]-])\/(?:(?:work|root)\/|home\/\w|tmp\/p\b)/g, 'as it stands'),
  { path: 'a.md', text: `see ${['', 'work', 'shared'].join('/')}` },
  { path: 'a.ts', text: `cd '${['', 'root', 'x'].join('/')}'` },
)

hold(
  'no text names the host of a package registry',
  all,
  eachMatch(/\bregistry\.[\w-]+\.\w|\bnpmmirror\b|https?:\/\/[\w.:@-]*registry/g, 'as it stands'),
  { path: '.npmrc', text: `registry=${['https:', '', 'registry', 'x.org'].join('/')}` },
)

hold(
  'the lock files leave open from where a package is fetched',
  all.filter(({ path }) => posix.basename(path) === 'package-lock.json'),
  eachMatch(/"resolved":(?! "file:)/g, 'as it stands'),
  { path: 'package-lock.json', text: '"resolved": "x"' },
)

test('tidy: each file of lib and testing has a test file of its name, or it is argued here why not', t => {
  const untested = (files: readonly File[]) =>
    files
      .map(({ path }) => path)
      .filter(path => !isTestedElsewhere(path) && !tests.some(test => test.path === testOf(path)))
  t.deepEqual(untested([{ path: 'lib/planted.ts', text: '' }]), ['lib/planted.ts'])

  const missing = untested(under('lib', 'testing'))

  t.deepEqual(missing, [])
})

test('tidy: the naive store has at most 400 lines, because a store has no more to do than to store', t => {
  const files = ['test/support/naive-database.ts', 'test/support/naive-store.ts']
  const lines = files.map(path => textOf(path).split('\n').length - 1)

  t.true(lines.every(count => count > 50))
  t.true(lines.reduce((sum, count) => sum + count, 0) <= 400, `${lines.join(' and ')} lines`)
})

test('tidy: no circle of imports, of types neither', t => {
  const planted = [
    { path: 'lib/a.ts', text: "import { b } from './deep/b.ts'" },
    { path: 'lib/deep/b.ts', text: "import type { A } from '../a.ts'" },
  ]

  t.deepEqual(circleIn(importsOf(sources)), [])
  t.deepEqual(circleIn(importsOf(planted)), ['lib/a.ts', 'lib/deep/b.ts'])
})

test('tidy: no circle of folders: each has a place above all that it imports', t => {
  const planted = [
    { path: 'lib/a.ts', text: "import { b } from './put/b.ts'" },
    { path: 'lib/put/b.ts', text: "import { c } from '../run/c.ts'" },
    { path: 'lib/run/c.ts', text: '' },
    { path: 'lib/run/d.ts', text: "import type { E } from '../put/e.ts'" },
    { path: 'lib/put/e.ts', text: '' },
  ]

  t.deepEqual(circleIn(placesOf(sources)), [])
  t.deepEqual(circleIn(placesOf(planted)), ['lib/put', 'lib/run'])
})

test('tidy: no exception outlives its need', t => {
  const text = (path: string) => sources.find(file => file.path === path)?.text
  const stale = [
    ...Object.keys(longFiles).filter(path => !isLong({ path, text: text(path) ?? '' })),
    ...Object.keys(testedElsewhere).filter(path =>
      path.endsWith('/')
        ? !sources.some(file => file.path.startsWith(path))
        : !text(path) || tests.some(test => test.path === testOf(path)),
    ),
    ...Object.keys(turns).filter(path => !/nextTick|queueMicrotask|setImmediate/.test(text(path) ?? '')),
    ...Object.keys(randomBytes).filter(path => !/random/.test(text(path) ?? '')),
    ...Object.keys(backends).filter(path => !text(path)?.includes('../persistence/')),
    ...Object.keys(skips).filter(path => !tests.some(test => test.path === path && /\.skip\b/.test(test.text))),
  ]

  t.deepEqual(stale, [])
})

test('tidy: each code in a title of a test, or in the reason of a planted bug, has its line in the key to the codes', t => {
  const key = textOf('docs/design/codes.md')
  const rules = textOf('lib/backlog.ts')
  const hasLine = (code: string): boolean => {
    if (code.startsWith('wart ')) return key.includes(`\n| ${code.slice(5)} |`)
    return key.includes(`\n| \`${code}\` |`) || rules.includes(` * - ${code}. `)
  }
  const codes = tests.flatMap(codesOf)
  t.deepEqual(codesOf({ path: 'a.ts', text: `${'test'}('Z9: x', t)` }), ['Z9'])
  t.false(hasLine('Z9'))
  t.true(new Set(codes).size > 60, 'the rule overlooks codes')

  const unknown = codes.filter(code => !hasLine(code))

  t.deepEqual([...new Set(unknown)], [])
})

/** The files that each file imports. */
function importsOf(files: readonly File[]): Map<string, readonly string[]> {
  return new Map(
    files.map(({ path, text }) => [
      path,
      [...codeOf(text).matchAll(/ from '(\.[^']+)'/g)].map(([, to = '']) => posix.join(posix.dirname(path), to)),
    ]),
  )
}

/**
 * The same for places. The files of a folder are one place; but a file that stands beside folders, such as lib/job.ts,
 * is a place of its own, because those folders may stand above and below it.
 */
function placesOf(files: readonly File[]): Map<string, readonly string[]> {
  const folders = files.map(({ path }) => posix.dirname(path))
  const placeOf = (path: string): string => {
    const folder = posix.dirname(path)
    return folders.some(other => other.startsWith(`${folder}/`)) ? path : folder
  }
  const places = new Map<string, string[]>()
  for (const [path, imported] of importsOf(files)) {
    const from = placeOf(path)
    const others = imported.map(placeOf).filter(to => to !== from)
    places.set(from, [...(places.get(from) ?? []), ...others])
  }
  return places
}

/** The files, or places, of a circle in which each imports the next; none if there is no circle. */
function circleIn(imports: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const free = new Set<string>()
  const circleFrom = (path: string, way: readonly string[]): readonly string[] => {
    if (way.includes(path)) return way.slice(way.indexOf(path))
    for (const next of free.has(path) ? [] : (imports.get(path) ?? [])) {
      const circle = circleFrom(next, [...way, path])
      if (circle.length > 0) return circle
    }
    free.add(path)
    return []
  }
  for (const path of imports.keys()) {
    const circle = circleFrom(path, [])
    if (circle.length > 0) return circle
  }
  return []
}

/** The codes that begin a title or a reason (any letter), or stand in one (those of faults and invariants). */
function codesOf({ text }: File): string[] {
  const titles = text.matchAll(/(?:\btest(?:\.\w+)*\(|\bwhy:)\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g)
  return [...titles].flatMap(
    ([, , title = '']) => title.match(/^[A-Z]\d{1,2}(?=[:, ])|\b(?:[FI]\d{1,2}|wart \d+)\b/g) ?? [],
  )
}

/** Itself, or as all of its folder are. */
function isTestedElsewhere(path: string): boolean {
  return Object.keys(testedElsewhere).some(known => known === path || (known.endsWith('/') && path.startsWith(known)))
}

function testOf(path: string): string {
  return `test/${path.replace(/\.ts$/, '.test.ts')}`
}

function lineCount(text: string): number {
  return text.trimEnd().split('\n').length
}

function isLong({ text }: File): boolean {
  return lineCount(text) > mostLines
}

/** Complains of each match of `pattern` in the code of the files, or in all of their text. */
function eachMatch(pattern: RegExp, where: 'in code' | 'as it stands' = 'in code'): Rule {
  return files => files.flatMap(file => found(file, pattern, where))
}

/** Complains of each import of which `wrong` says what is wrong. `to` is a path from the root, or a package. */
function eachImport(wrong: (from: string, to: string) => string | false): Rule {
  return files =>
    files.flatMap(({ path, text }) =>
      [...codeOf(text).matchAll(/\b(?:from|import) ?\(?'([^']+)'/g)].flatMap(([, specifier = '']) => {
        const to = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier
        const problem = wrong(path, to)
        return problem ? [`${path} imports ${to}: ${problem}`] : []
      }),
    )
}

function found({ path, text }: File, pattern: RegExp, where: 'in code' | 'as it stands' = 'in code'): string[] {
  const searched = where === 'in code' ? codeOf(text) : text
  return [...searched.matchAll(pattern)].map(
    match => `${path}:${lineCount(searched.slice(0, match.index))}: ${match[0]}`,
  )
}

/** The same with the contents of strings blanked out too: words in messages and values are no identifiers. */
function withoutTexts(text: string): string {
  return codeOf(text).replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g, part =>
    part.replace(/[^\n]/g, ' '),
  )
}

/** The text with its comments blanked out, and each line where it was. Strings stay, for imports are strings. */
function codeOf(text: string): string {
  return text.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/.*/g, part =>
    part.startsWith('/') ? part.replace(/[^\n]/g, ' ') : part,
  )
}
