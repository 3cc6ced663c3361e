/** The example that crawls, as a user meets it: a process with arguments, signals, an exit code and its hosts' table. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { linksIn, pathsUnder, readPages } from '../../docs/examples/crawl/pages.ts'
import { start, temporaryFolder } from '../support/example-process.ts'

const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon']

/** A tree with one folder for each host: pages in a chain, and pages to which nothing links. */
function tree(t: ExecutionContext, chained: number, loose: number): string {
  const folder = join(temporaryFolder(t), 'site')
  for (const name of names) {
    for (let i = 0; i < chained; i++) write(folder, `${name}/chain/${i}.md`, `[next](${i + 1}.md)`)
    for (let i = 0; i < loose; i++) write(folder, `${name}/loose ${i}.html`, '<p>Nobody links here')
  }
  return folder
}
function write(folder: string, path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}
/** The rows of the table, by host. */
function rows(table: string): Record<string, string[]> {
  const found = names.map(name => [name, new RegExp(`^ *${name}\\.test +(.*)$`, 'm').exec(table)?.[1] ?? ''] as const)
  return Object.fromEntries(found.map(([name, row]) => [name, row.split(/ {2,}/)]))
}

test('crawl: each host has served all its pages, each once, and received no requests above its rate', async t => {
  const run = start('crawl', join(temporaryFolder(t), 'crawl.db'), '--input', tree(t, 5, 20))

  const { code, table, output } = await run.end()

  t.is(code, 0, `${table}${output}`)
  for (const [name, [pages, window, , repeats, dead, tooMany]] of Object.entries(rows(table))) {
    t.deepEqual([pages, repeats, dead, tooMany], ['26 of 26', '0', '1', '0'], `${name}: ${table}`)
    const [worst = Number.NaN, limit = Number.NaN] = window?.match(/\d+/g)?.map(Number) ?? []
    t.true(worst > 1 && worst <= limit, `${name}: ${table}`)
  }
})

test('crawl: after a kill it continues, and after the last page the next start begins anew', async t => {
  const file = join(temporaryFolder(t), 'crawl.db')
  const input = tree(t, 2, 18)
  const first = start('crawl', file, '--input', input)
  await first.line(/^fetched [1-9]/)
  first.child.kill('SIGKILL')
  t.is((await first.end()).code, null)

  const second = await start('crawl', file, '--input', input).end()
  const third = await start('crawl', file, '--input', input).end()

  t.regex(second.output, /An earlier crawl was interrupted: of what it had found, \d+ pages are left/)
  t.deepEqual([second.code, third.code], [0, 0], second.table + third.table)
  for (const [name, [pages, , , repeats, , tooMany]] of Object.entries(rows(second.table))) {
    t.deepEqual([pages, tooMany], ['21 of 21', '0'], `${name}: in no window of both runs: ${second.table}`)
    t.true(Number(repeats) <= 4, `${name}: only what was underway, four wide, is fetched again: ${second.table}`)
  }
  t.false(third.output.includes('An earlier crawl'), third.output)
  t.deepEqual(
    Object.values(rows(third.table)).map(([pages, , , repeats]) => [pages, repeats]),
    names.map(() => ['21 of 21', '0']),
  )
})

test('crawl: a missing folder and an unknown option are refused', async t => {
  const file = join(temporaryFolder(t), 'crawl.db')

  const missing = await start('crawl', file, '--input', 'no-such-folder').end()
  const unknown = await start('crawl', file, '--inptu', 'folder').end()

  t.deepEqual([missing.code, unknown.code], [2, 2])
  t.true(missing.output.includes('no-such-folder'), missing.output)
  t.true(unknown.output.includes('--inptu'), unknown.output)
})

test('crawl: links are found in Markdown and in HTML, each page once and by one URL', t => {
  const text = [
    '[one](one.md) and [again](./one.md#part "A title"), ![picture](picture.png), [two](<sub/two.html>)',
    '<a href="/top.html?query">three</a> <a href=four.htm>',
    '[five]: ../five.markdown',
    '[mail](mailto:a@b.md) [elsewhere](https://example.org/page.md) [bad](100%.md) [scope](/@scope/a%20b.md)',
  ].join('\n')

  const links = linksIn(text, 'http://alpha.test/folder/page.md')

  t.deepEqual(links.sort(), [
    'http://alpha.test/%40scope/a%20b.md',
    'http://alpha.test/five.markdown',
    'http://alpha.test/folder/four.htm',
    'http://alpha.test/folder/one.md',
    'http://alpha.test/folder/sub/two.html',
    'http://alpha.test/top.html',
  ])
})

test('crawl: each page is on one host, and can be reached from its index', async t => {
  const folder = tree(t, 3, 1)
  for (const page of ['a', 'b']) write(folder, `alpha/ring/${page}.md`, `[other](${page === 'a' ? 'b' : 'a'}.md)`)
  write(folder, 'alpha/.hidden/page.md', '')

  const parts = await Promise.all([0, 1].map(number => pathsUnder(folder, { number, of: 2 })))
  const pages = await readPages('alpha.test', folder, ['alpha/ring/a.md', 'alpha/ring/b.md', 'alpha/chain/0.md'])

  t.is(new Set(parts.flat()).size, parts.flat().length)
  t.is(parts.flat().length, names.length * 4 + 2)
  t.deepEqual(linksIn(pages.get('') ?? '', 'http://alpha.test/'), [
    'http://alpha.test/alpha/ring/a.md',
    'http://alpha.test/alpha/chain/0.md',
  ])
})
