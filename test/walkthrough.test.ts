/**
 * docs/design/walkthrough.md, held to the code: each station names a file and functions that are there, and is
 * connected to the station before it; the first two walks pass no more files than they may.
 */
import { posix } from 'node:path'
import test from 'ava'
import { filesIn, textOf } from './support/repository.ts'

/** How many files a job may pass from its put to its event. */
const maxInMemory = 14
const maxOnFile = 30

interface Named {
  readonly file: string
  readonly functions: readonly string[]
}
interface Station extends Named {
  readonly text: string
  /** The interface by which it is connected to the station before it, where no import does. */
  readonly through: string | undefined
  /** Other files that it uses, or that do their part in the store while it waits. */
  readonly helpers: readonly (Named & { readonly isFar: boolean })[]
}
interface Walk {
  readonly title: string
  readonly stations: readonly Station[]
}

const inBackticks = (list: string): string[] => [...list.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string)

function readWalks(page: string): Walk[] {
  return page
    .split(/^## /m)
    .slice(1)
    .map(section => ({ title: section.split('\n', 1)[0] as string, stations: readStations(section) }))
}

function readStations(section: string): Station[] {
  return [...section.matchAll(/^\d+\. `([^`]+)` — ((?:`[^`]+`(?:, )?)+) — (.*)$/gm)].map(
    ([, file = '', functions = '', text = '']) => ({
      file,
      functions: inBackticks(functions),
      text,
      through: /^Through `(\w+)`/.exec(text)?.[1],
      helpers: [...text.matchAll(/(In the store, )?`([\w/.-]+\.ts)`(?: \(((?:`[^`]+`(?:, )?)+)\))?/g)].map(
        ([, far, helper = '', names = '']) => ({
          file: helper,
          functions: inBackticks(names),
          isFar: far !== undefined,
        }),
      ),
    }),
  )
}

const sources = new Set(filesIn('lib', 'persistence'))

/** Whether a function, method, accessor or field of that name is declared in the file. */
function declares(file: string, name: string): boolean {
  const word = name.replace('#', '\\#').replaceAll('$', '\\$')
  const member = `^\\s+(?:(?:readonly|static|async|get|set|\\*) ?)*${word}(?:[(<:?!]| =)`
  const toplevel = `^(?:export )?(?:async )?(?:function\\*?|const) ${word}\\b`
  return new RegExp(`${member}|${toplevel}`, 'm').test(textOf(file))
}

function imports(from: string, to: string): boolean {
  return [...textOf(from).matchAll(/ from '(\.[^']+)'/g)].some(
    ([, specifier = '']) => posix.join(posix.dirname(from), specifier) === to,
  )
}

function isConnected(a: string, b: string, through?: string): boolean {
  if (a === b || imports(a, b) || imports(b, a)) return true
  if (through === undefined) return false
  const mentions = new RegExp(`\\b${through}\\b`)
  return mentions.test(textOf(a)) && mentions.test(textOf(b))
}

/** What is wrong with a walk, a line each. */
function problemsOf({ title, stations }: Walk): string[] {
  const problems: string[] = []
  const complain = (i: number, what: string): void => void problems.push(`${title}, station ${i + 1}: ${what}`)
  for (const [i, station] of stations.entries()) {
    for (const { file, functions } of [station, ...station.helpers]) {
      if (!sources.has(file)) complain(i, `there is no file ${file}`)
      else for (const name of functions) if (!declares(file, name)) complain(i, `${file} has no ${name}`)
    }
    if (!sources.has(station.file)) continue
    for (const { file, isFar } of station.helpers) {
      if (sources.has(file) && !isFar && !isConnected(station.file, file)) complain(i, `it does not use ${file}`)
    }
    const before = stations[i - 1]?.file
    if (before === undefined || !sources.has(before) || isConnected(before, station.file, station.through)) continue
    complain(i, `${station.file} is not connected with ${before}${station.through ? ` by ${station.through}` : ''}`)
  }
  return problems
}

const walks = readWalks(textOf('docs/design/walkthrough.md'))
const filesOf = ({ stations }: Walk): Set<string> =>
  new Set(stations.flatMap(station => [station.file, ...station.helpers.map(({ file }) => file)]))

test('walkthrough: every list item of the page is a station', t => {
  const items = textOf('docs/design/walkthrough.md').match(/^\d+\. /gm) ?? []

  t.is(walks.length, 6)
  t.is(walks.flatMap(({ stations }) => stations).length, items.length)
})

test('walkthrough: a station that is not there, or leads nowhere, is found', t => {
  const walk = readWalks(`## Planted
1. \`lib/queue.ts\` — \`put\` — Fine.
2. \`lib/nowhere.ts\` — \`go\` — No such file.
3. \`lib/queue.ts\` — \`fly\` — No such function.
4. \`persistence/memory/heap.ts\` — \`push\` — Not connected.
`)[0] as Walk

  t.deepEqual(problemsOf(walk), [
    'Planted, station 2: there is no file lib/nowhere.ts',
    'Planted, station 3: lib/queue.ts has no fly',
    'Planted, station 4: persistence/memory/heap.ts is not connected with lib/queue.ts',
  ])
})

for (const walk of walks) {
  test(`walkthrough: ${walk.title}: each station is in the code, and connected with the one before it`, t => {
    t.deepEqual(problemsOf(walk), [])
  })
}

for (const [i, most] of [maxInMemory, maxOnFile].entries()) {
  const walk = walks[i] as Walk
  test(`walkthrough: ${walk.title}: a job passes at most ${most} files`, t => {
    const files = filesOf(walk)

    t.true(files.size <= most, `${files.size} files:\n${[...files].join('\n')}`)
  })
}

test('the table of CONTRIBUTING says in which file to change what, by files and names that exist', t => {
  const missing = (page: string): string[] =>
    [...page.matchAll(/^\| (?!…|---)[^|]+ \| (.*) \|$/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([\w/.-]+\.ts)`(?: \(((?:`[^`]+`(?:, )?)+)\))?/g)].flatMap(([, file = '', names = '']) =>
        sources.has(file)
          ? inBackticks(names).filter(name => !new RegExp(`(?<![\\w#])${name}\\b`).test(textOf(file)))
          : [file],
      ),
    )
  const [, table = ''] = /^## Where to change …\n([\s\S]*?)^## /m.exec(textOf('CONTRIBUTING.md')) ?? []
  t.true(table.split('\n').length > 30)
  t.deepEqual(missing('| x | `lib/planted.ts` |\n| y | `lib/decisions/bounds.ts` (`maxPlanted`) |'), [
    'lib/planted.ts',
    'maxPlanted',
  ])

  t.deepEqual(missing(table), [])
})
