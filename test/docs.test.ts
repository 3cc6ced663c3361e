/**
 * Each example of README.md and docs/ is compiled against the package as built, and run to its end.
 *
 * The words after the fence's `ts` say what becomes of a block:
 *
 *   ```ts             a program of its own: it must compile, and end by itself with exit code 0 within 60 s
 *   ```ts continue    goes on with the block before it on the same page, as if both were one file
 *   ```ts no-run      must compile and is not run; nor is the whole program of which it is a part
 *
 * What a reader need not see, a stand-in for his own function say, goes into a comment before the block. It is part of
 * the program, and invisible where Markdown is shown. The first block of README.md has none: it is what people copy.
 *
 *   <!-- ts
 *   const sendSms = async (sms: { to: string }) => console.log(sms.to)
 *   -->
 *
 * Blocks of other languages are left alone; code that uses another library stands in a `js` block, say. Each line keeps
 * its number, so that what fails is reported with the page and the line where it stands.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import test from 'ava'
import { DispatchQueue, Job } from '../lib/index.ts'
import { Task } from '../lib/run/task.ts'
import { filesIn, root, runNode, textOf, tsc } from './support/repository.ts'

/** Programs that run at once: the machine that tests us has two cores, and most programs mostly wait. */
const atOnce = 2
const limitMs = 60_000

/** Programs with a test of their own (flow/deliver.test.ts, crawl.proof.ts and digest.proof.ts), and their parts. */
const testedInFlow = /^docs\/examples\/(?:(?:deliver|gateway|records|terminal|crawl|digest|digest-file)\.ts|crawl\/.*)$/

/** One or more blocks of a page that make one file. */
interface Program {
  readonly page: string
  /** The line of its first block's fence, from 1. */
  readonly line: number
  /** All lines of the page up to its last block, empty where they are not the program's. */
  readonly code: string[]
  runs: boolean
}

interface Page {
  readonly programs: readonly Program[]
  /** Fences that mean nothing, as `page:line: what is wrong`. */
  readonly problems: readonly string[]
}

/** A page that must fail in each way: it shows that the pages which pass could have failed. */
const planted = 'planted.md'
const plantedText = `\`\`\`ts
import { DispatchQueue } from 'rdq'
const queue = new DispatchQueue(async () => {}, { width: 'two' })
\`\`\`
\`\`\`ts
const first: number = 1
\`\`\`
between
\`\`\`ts continue
if (first > 0) throw new Error('planted')
\`\`\`
<!-- ts
const ready = true
-->
\`\`\`ts no-run
if (ready) throw new Error('not to be run')
\`\`\`
\`\`\`ts norun
\`\`\`
\`\`\`js
neither compiled nor run
\`\`\`
`

function readPage(page: string, text: string): Page {
  const programs: Program[] = []
  const problems: string[] = []
  const lines = text.split('\n')
  let hidden: { from: number; code: string[] }[] = []

  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string
    const hides = /^<!-- ts\s*$/.test(line)
    const [, indent = '', fence = '', info = ''] = /^(\s*)(`{3,}|~{3,})\s*(.*)$/.exec(line) ?? []
    if (!hides && fence === '') continue

    const from = i + 1
    const isLast = (inner: string) =>
      hides
        ? inner.trim() === '-->'
        : inner.trim().startsWith(fence) && inner.trim().replaceAll(fence[0] as string, '') === ''
    while (i + 1 < lines.length && !isLast(lines[i + 1] as string)) i++
    i++
    if (i === lines.length) problems.push(`${page}:${from}: what opens here is never closed`)
    const code = lines.slice(from, i).map(inner => (inner.startsWith(indent) ? inner.slice(indent.length) : inner))

    if (hides) {
      hidden.push({ from, code })
      continue
    }
    const [language, ...words] = info.trim().split(/\s+/)
    if (language === 'typescript') problems.push(`${page}:${from}: write ts, so that the example is tested`)
    if (language !== 'ts') continue
    const unknown = words.filter(word => word !== 'continue' && word !== 'no-run')
    if (unknown.length > 0) problems.push(`${page}:${from}: '${unknown[0]}' after ts: must be continue or no-run`)

    let program = programs.at(-1)
    if (program === undefined || !words.includes('continue')) {
      if (words.includes('continue')) problems.push(`${page}:${from}: there is no block to continue`)
      program = { page, line: from, code: [], runs: true }
      programs.push(program)
    }
    for (const part of [...hidden, { from, code }]) put(program, part.from, part.code)
    if (words.includes('no-run')) program.runs = false
    hidden = []
  }
  for (const { from } of hidden) problems.push(`${page}:${from}: no ts block follows this comment`)
  return { programs, problems }
}

/** Lays `code` where it stands on the page: its first line has `from` lines before it. */
function put(program: Program, from: number, code: readonly string[]): void {
  while (program.code.length < from) program.code.push('')
  program.code.push(...code)
}

/** The program's file, from whose name its page can be read again. */
function fileOf({ page, line }: Program): string {
  return `${page.replaceAll('/', '__')}.${line}.ts`
}

/** Gives back page and line for each place in a program's file, as the compiler and stack traces name them. */
function onThePage(output: string, { page }: Program): string {
  const file = page.replaceAll('/', '__').replaceAll('.', '\\.')
  const place = new RegExp(`[^\\s'"(]*${file}\\.\\d+\\.ts(?:\\((\\d+),(\\d+)\\)|:(\\d+))`, 'g')
  return output.replace(place, (_, line, column, other) => `${page}:${other ?? `${line}:${column}`}`)
}

/** What examples use of better-sqlite3, which brings no types of its own. */
const declarations = `declare module 'better-sqlite3' {
  interface Statement {
    run(...values: unknown[]): { changes: number }
    get(...values: unknown[]): unknown
    all(...values: unknown[]): unknown[]
    pluck(): Statement
  }
  class Database {
    constructor(path: string)
    exec(sql: string): this
    prepare(sql: string): Statement
    transaction<R>(run: () => R): { (): R; immediate(): R }
    backup(path: string): Promise<unknown>
    close(): this
  }
  export = Database
}
`

// Inside the repository, where `rdq` means this package; made anew each time, so that no old program is left in it.
const folder = join(root, 'build/documents')

/** Compiles all programs in one go, and tells what the compiler says of each file, or of none. */
async function compile(programs: readonly Program[]): Promise<ReadonlyMap<string, string>> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const options = {
    extends: '../../tsconfig.json',
    compilerOptions: {
      rootDir: '.',
      outDir: 'run',
      noEmit: false,
      declaration: false,
      isolatedDeclarations: false,
      moduleDetection: 'force',
      // An example may name what it does not use.
      noUnusedLocals: false,
      noUnusedParameters: false,
      sourceMap: true,
    },
    include: ['*.ts'],
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(options))
  await writeFile(join(folder, 'better-sqlite3.d.ts'), declarations)
  for (const program of programs) await writeFile(join(folder, fileOf(program)), program.code.join('\n'))

  const { code, stdout, output } = await tsc(['-p', '.'], folder)
  const said = new Map<string, string>()
  let file = ''
  for (const line of stdout.split('\n').filter(Boolean)) {
    if (!line.startsWith(' ')) file = /^([^\s(]+)\(\d+,\d+\): error/.exec(line)?.[1] ?? ''
    said.set(file, `${said.get(file) ?? ''}${line}\n`)
  }
  if (code !== 0 && said.size === 0) said.set('', output)
  return said
}

let running = 0
const waiting: (() => void)[] = []

/** Runs a compiled program in an empty folder, when there is room. */
async function runAlone(file: string): ReturnType<typeof runNode> {
  if (running === atOnce) await new Promise<void>(resolve => waiting.push(resolve))
  else running++
  const place = await mkdtemp(join(tmpdir(), 'rdq-docs-'))
  try {
    return await runNode(['--enable-source-maps', file], place, limitMs)
  } finally {
    await rm(place, { recursive: true, force: true })
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}

/** What the compiler or the run has against a program; empty when all is well. */
async function problemOf(program: Program): Promise<string> {
  const file = fileOf(program)
  const said = (await compiled).get(file)
  if (said !== undefined) return onThePage(said, program)
  if (!program.runs) return ''
  const { code, output } = await runAlone(join(folder, 'run', file.replace(/ts$/, 'js')))
  return code === 0 ? '' : `${program.page}:${program.line}: ${onThePage(output, program)}`
}

const pages = filesIn('README.md', 'CONTRIBUTING.md', 'docs').filter(path => path.endsWith('.md'))
const read = pages.map(page => readPage(page, textOf(page)))
const programs = read.flatMap(page => page.programs)
const bad = readPage(planted, plantedText)
const compiled = compile([...programs, ...bad.programs])

test('docs: each fence of README.md and docs/ says something that this test knows', t => {
  t.true(pages.includes('README.md'))
  t.deepEqual(
    read.flatMap(page => page.problems),
    [],
  )
})

test('docs: the compiler reports no error outside of the examples', async t => {
  t.is((await compiled).get(''), undefined)
})

for (const program of programs) {
  const end = program.runs ? 'compiles and runs to its end' : 'compiles'
  test(`docs: the example at ${program.page}:${program.line} ${end}`, async t => {
    const problem = await problemOf(program)

    t.true(problem === '', problem)
  })
}

test('docs: a planted bad example is found, and named by its page and line', async t => {
  const [typed, thrown, quiet, ...more] = await Promise.all(bad.programs.map(problemOf))

  t.regex(typed as string, /^planted\.md:3:\d+: error TS2322/)
  t.regex(thrown as string, /^planted\.md:5: /)
  t.regex(thrown as string, /Error: planted\n\s+at .*planted\.md:10:/)
  t.deepEqual([quiet, ...more], ['', ''])
  t.deepEqual(bad.problems, [`planted.md:18: 'norun' after ts: must be continue or no-run`])
})

for (const path of filesIn('docs/examples').filter(path => path.endsWith('.ts'))) {
  if (testedInFlow.test(path)) continue
  test(`docs: ${path} runs to its end`, async t => {
    const { code, output } = await runAlone(join(root, 'build', path.replace(/ts$/, 'js')))

    t.is(code, 0, output)
  })
}

/** All that `pattern` captures in the files, each once. */
function named(pattern: RegExp, ...paths: string[]): string[] {
  return [...new Set(paths.flatMap(path => [...textOf(path).matchAll(pattern)].map(([, name]) => name as string)))]
}
/** What stands between two words of a file. */
function between(path: string, from: string, to: string): string {
  const text = textOf(path)
  const start = text.indexOf(from)
  return text.slice(start, text.indexOf(to, start))
}
const optionNames = (list: string): string[] =>
  [...between('lib/options/options.ts', `const ${list} = [`, ']').matchAll(/'(\w+)'/g)].map(
    ([, name]) => name as string,
  )
const eventNames = [
  ...between('lib/events/events.ts', 'export interface QueueEvents', '\n}').matchAll(/^ {2}(\w+): \[/gm),
].map(([, name]) => name as string)

for (const [what, page, names, least] of [
  ['option', 'docs/reference/options.md', [...optionNames('queueNames'), ...optionNames('putNames')], 26],
  ['event', 'docs/reference/events.md', eventNames, 23],
  [
    'error code',
    'docs/reference/errors.md',
    named(/ code(?:: string)? = '([A-Z_]+)'/g, ...filesIn('lib', 'persistence', 'testing')),
    30,
  ],
] as const) {
  test(`docs: ${page} names each ${what} that there is`, t => {
    t.true(names.length >= least, `found only ${names.length}: is this test still looking at the right place?`)

    const text = textOf(page)
    // In the first or second cell of a row: a mention elsewhere explains nothing.
    const rowOf = (name: string): RegExp => new RegExp(`^\\|(?:[^|]*\\|)?[^|]*\`${name}\``, 'm')
    t.deepEqual(
      names.filter(name => !rowOf(name).test(text)),
      [],
    )
  })
}

test('docs: each link within the repository leads to a file', t => {
  const links = pages.flatMap(page =>
    [...textOf(page).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, to]) => ({
      page,
      to: posix.join(posix.dirname(page), to as string),
    })),
  )
  t.true(links.length > 20)

  t.deepEqual(
    links.filter(({ to }) => !existsSync(join(root, to))),
    [],
  )
})

test('docs: each path of the repository that a page names leads to a file or folder', t => {
  const paths = pages.flatMap(page =>
    [...textOf(page).matchAll(/`((?:lib|persistence|testing|test|docs|bench)\/[\w./-]*)`/g)].map(([, path]) => ({
      page,
      path: path as string,
    })),
  )
  t.true(paths.length > 50)

  t.deepEqual(
    paths.filter(({ path }) => !existsSync(join(root, path))),
    [],
  )
})

test('docs: the page of the queue names each verb and member of queue, job and task', t => {
  const [queue = '', job = '', task = ''] = textOf('docs/reference/queue.md').split(/^## (?:Job|Task)$/m)
  for (const [made, text] of [
    [DispatchQueue, queue],
    [Job, job],
    [Task, task],
  ] as const) {
    const members = Object.getOwnPropertyNames(made.prototype).filter(name => name !== 'constructor')
    const own = made === Task ? ['attempt'] : made === Job ? ['existed'] : []
    const named = new Set([...text.matchAll(/`(\w+)(?:\(|`)/g)].map(([, name]) => name))
    t.deepEqual(
      [...members, ...own].filter(name => !named.has(name)),
      [],
    )
  }
})
