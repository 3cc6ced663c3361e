/** The package as its users get it: packed, installed into an empty folder without a network, imported and compiled. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, posix } from 'node:path'
import test from 'ava'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { entries, installPacked, manifest, type Packed } from './support/packed-package.ts'
import { filesIn, root, runNode, textOf, tsc } from './support/repository.ts'

const attw = createRequire(import.meta.url).resolve('@arethetypeswrong/cli/package.json')

/** The oldest compiler at hand, which attw brings along; npm test itself uses the newest. */
const olderTsc = join(
  dirname(createRequire(attw).resolve('@arethetypeswrong/core/package.json')),
  'node_modules/typescript/bin/tsc',
)

let installed: Packed

test.before('package: it is packed, and installed with nothing but its dependencies, offline', async () => {
  installed = await installPacked()
})

test.after.always('package: the folder goes', () => installed?.remove())

test.serial('package: the tarball holds what was built, and the pages a user looks for, and no more', t => {
  const { files } = installed
  const built = files.filter(path => path.startsWith('dist/'))

  t.deepEqual(
    files.filter(path => !path.startsWith('dist/')),
    [
      ...['CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md', 'package.json'],
      ...filesIn('docs').filter(path => path.endsWith('.md') || path.endsWith('.svg')),
    ].sort(),
  )
  // The declarations of each source, and none of a removed source. Source maps would name files that are not packed.
  t.deepEqual(
    built.filter(path => !path.endsWith('.js')),
    filesIn('lib', 'persistence', 'testing')
      .map(path => `dist/${path.replace(/\.ts$/, '.d.ts')}`)
      .sort(),
  )
  const entryFiles = Object.values(manifest.exports).flatMap(entry => (typeof entry === 'string' ? [] : entry.default))
  const threadFiles = ['entry', 'thread-host'].map(name => `./dist/persistence/sqlite/thread/${name}.js`)
  const isolateFiles = ['entry', 'orphan-watch', 'spawn'].map(name => `./dist/lib/isolate/${name}.js`)
  const callFiles = ['call-entry', 'call-thread'].map(name => `./dist/lib/in-thread/${name}.js`)
  t.deepEqual(
    built.filter(path => path.endsWith('.js') && !path.startsWith('dist/shared/')),
    [...entryFiles, ...threadFiles, ...isolateFiles, ...callFiles].map(path => path?.slice(2)).sort(),
  )
})

test.serial('package: each link of its pages leads to a file that is packed, and to a heading that is there', t => {
  const { files } = installed
  const links = files.filter(path => path.endsWith('.md')).flatMap(page => linksOf(page, textOf(page)))
  const broken = (link: Link): boolean => !files.includes(link.file) || !hasHeading(link)
  const planted = linksOf('docs/a.md', '[a](b.md) [b](#nothing) [c](../README.md#no-such-heading) [d](https://x.org)')

  t.deepEqual(
    links.filter(broken).map(({ page, to }) => `${page}: ${to}`),
    [],
  )
  t.true(links.length > 100)
  t.is(planted.filter(broken).length, 3)
})

interface Link {
  readonly page: string
  readonly to: string
  readonly file: string
  readonly heading: string
}

/** Where a page leads within the package: with links and with pictures. */
function linksOf(page: string, text: string): Link[] {
  return [...text.matchAll(/\]\(((?!https?:)[^)\s]+)\)/g)].map(([, to = '']) => {
    const [path = '', heading = ''] = to.split('#')
    return { page, to, file: path === '' ? page : posix.join(posix.dirname(page), path), heading }
  })
}

/** Whether the page has the heading, as GitHub and registries make addresses of headings. */
function hasHeading({ file, heading }: Link): boolean {
  if (heading === '') return true
  const headings = [...textOf(file).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return headings.includes(heading) || textOf(file).includes(`id="${heading}"`)
}

test.serial('package: an install adds one dependency and nothing else', async t => {
  const modules = await readdir(join(installed.folder, 'node_modules'))

  t.deepEqual(Object.keys(manifest.dependencies), ['eventemitter3'])
  t.deepEqual(modules.filter(name => !name.startsWith('.')).sort(), ['eventemitter3', 'rdq'])
})

test.serial('package: publint reports no error, warning or suggestion', async t => {
  const { buffer, byteOffset, byteLength } = await readFile(installed.tarball)
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer

  const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true })

  t.deepEqual(
    messages.map(message => formatMessage(message, pkg, { color: false })),
    [],
  )
})

test.serial('package: the types of each entry are found and are right, as Are The Types Wrong sees them', async t => {
  const cli = join(dirname(attw), 'dist/index.js')

  const { code, output } = await runNode(
    [cli, installed.tarball, '--profile', 'esm-only', '--no-color', '--no-emoji'],
    installed.folder,
  )

  t.is(code, 0, output)
})

test.serial('package: each entry can be imported, and required, by an application', async t => {
  for (const entry of entries) {
    const imported = await runNode(
      ['-e', `import('${entry}').then(m => console.log(Object.keys(m).length))`],
      installed.folder,
    )
    t.is(imported.code, 0, imported.output)
    t.true(Number(imported.stdout) > 0, `${entry} exports nothing`)

    const required = await runNode(['-e', `console.log(Object.keys(require('${entry}')).length)`], installed.folder)
    t.is(required.stdout, imported.stdout, required.output)
  }
})

test.serial('package: a file that is not in exports cannot be imported', async t => {
  const { code, stderr } = await runNode(['-e', `import('${manifest.name}/dist/lib/queue.js')`], installed.folder)

  t.not(code, 0)
  t.regex(stderr, /ERR_PACKAGE_PATH_NOT_EXPORTED/)
})

/** The first block of README.md, or of one of its sections, which is what people copy. */
function firstLines(section?: string): string {
  const text = textOf('README.md')
  const from = section === undefined ? 0 : text.indexOf(`\n## ${section}\n`)
  const [, lines] = (from >= 0 && /^```ts\n([\s\S]*?)^```$/m.exec(text.slice(from))) || []
  if (lines === undefined) throw new Error(`README.md has no block of plain ts${section ? ` under ${section}` : ''}`)
  return lines
}

test.serial(
  'package: the first lines of README.md run without better-sqlite3 once the two lines are left out',
  async t => {
    const all = firstLines()
    const inMemory = all.replace(/^ *(?:name|backlog):.*\n/gm, '')
    t.is(all.split('\n').length - inMemory.split('\n').length, 2)
    const place = await application('memory', inMemory)

    t.is(await complaints(place), '')
    const { code, output } = await runNode(['app.js'], place)
    t.is(code, 0, output)
  },
)

test.serial('package: the first lines of README.md compile and run where it is installed with its peer', async t => {
  const place = await application('readme', firstLines())
  t.is(await complaints(place), '')
  const without = await runNode(['app.js'], place)
  await installed.addPeer()
  const { code, output } = await runNode(['app.js'], place)

  t.not(without.code, 0)
  t.regex(without.output, /npm install better-sqlite3/)
  t.is(code, 0, output)
})

test.serial('package: the restart example of README.md continues where it was after being killed', async t => {
  const place = await application('restart', firstLines('Survive a restart'))
  t.is(await complaints(place), '')
  // By its own hand, so that it is known what was underway: in the handler of the third job.
  const dies = `
    const { log } = console
    let said = 0
    console.log = (...all) => {
      log(...all)
      if (++said === 3) process.kill(process.pid, 'SIGKILL')
    }`
  const killed = ['--import', `data:text/javascript,${encodeURIComponent(dies)}`]
  const start = async (...flags: readonly string[]): Promise<{ code: number; jobs: readonly string[] }> => {
    const { code, stdout } = await runNode([...flags, 'app.js'], place)
    return { code, jobs: stdout.split('\n').filter(Boolean) }
  }
  const jobs = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `job ${from + i}`)

  const [first, second] = [await start(...killed), await start(...killed)]
  const [third, fourth] = [await start(), await start()]

  t.deepEqual(
    [first, second],
    [jobs(0, 3), jobs(2, 5)].map(jobs => ({ code: -1, jobs })),
  )
  t.deepEqual(third, { code: 0, jobs: jobs(4, 20) })
  t.deepEqual(fourth, { code: 0, jobs: [] })
})

const consumer = `
import { DispatchQueue, type Job, OptionError } from 'rdq'
${entries.map((entry, i) => `import * as entry${i} from '${entry}'`).join('\n')}
export const all: readonly object[] = [${entries.map((_, i) => `entry${i}`).join(', ')}]

const queue = new DispatchQueue(async (sms: { to: string }, task) => sms.to.length + task.attempt, { width: 2 })
queue.on('finished', job => console.log(job.id satisfies string, job.payload.to satisfies string))
const length: number = await queue.run({ to: 'you' })
const job: Job<{ to: string }, number> = await queue.put({ to: 'you' }, { delay: '10ms' })
export const said: string = \`\${length} \${job.id}\`
// @ts-expect-error: a payload is what the handler takes.
queue.put({ too: 'you' })
// @ts-expect-error: there is no such option.
export const wrong = (): unknown => new DispatchQueue(async () => {}, { concurrency: 2 })
export const is = (error: unknown): boolean => error instanceof OptionError && error.code === 'OPTION'
`

test.serial(
  'package: a strict application compiles, with declarations checked too, under the newest compiler',
  async t => {
    t.is(await complaints(await application('newest', consumer)), '')
  },
)

test.serial('package: a strict application compiles under an older compiler', async t => {
  t.true(existsSync(olderTsc))

  const { code, output } = await runNode([olderTsc, '-p', '.'], await application('older', consumer))

  t.is(code, 0, output)
})

/** A folder with app.ts in it, and options as a careful application has them. */
async function application(name: string, code: string): Promise<string> {
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: false,
    typeRoots: [join(root, 'node_modules/@types')],
    types: ['node'],
  }
  return installed.place(name, {
    'app.ts': code,
    'tsconfig.json': JSON.stringify({ compilerOptions, files: ['app.ts'] }),
  })
}

/** What the newest compiler says of an application; empty when all is well. */
async function complaints(place: string): Promise<string> {
  const { code, output } = await tsc(['-p', '.'], place)
  return code === 0 ? '' : output
}
