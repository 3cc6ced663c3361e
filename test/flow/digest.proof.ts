/** The example that digests files, as a user meets it: processes, signals, an exit code, and a line for each file. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'
import digestFile from '../../docs/examples/digest-file.ts'
import { figure, start, temporaryFolder } from '../support/example-process.ts'

const folders = ['a', 'b/c']

/** A tree of files that take a while to compress. The contents of some are the same. */
function tree(t: ExecutionContext, count: number, size: number): { folder: string; sums: ReadonlyMap<string, string> } {
  const folder = join(temporaryFolder(t), 'files')
  const sums = new Map<string, string>()
  for (let i = 0; i < count; i++) {
    const path = join(folders[i % 2] as string, `${i}.txt`)
    let text = ''
    for (let n = i - (i % 3); text.length < size; n = (n * 48_271 + 11) % 2_147_483_647) text += `${n.toString(36)} `
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
    sums.set(path, createHash('sha256').update(text).digest('hex'))
  }
  return { folder, sums }
}

test('digest: killed in the middle and stopped in the middle, it goes on where it was, and digests each file', async t => {
  const { folder, sums } = tree(t, 150, 30_000)
  const file = join(temporaryFolder(t), 'digest.db')
  const run = (workers: number) =>
    start('digest', file, '--input', folder, '--workers', String(workers), '--sample', '0')
  const first = run(1)
  const line = await first.line(/^digested [1-9]/)
  first.child.kill('SIGKILL')
  t.is((await first.end()).code, null)
  const doneAtKill = figure(line, 'digested')

  const second = run(1)
  const later = await second.line(/^digested [1-9]/)
  second.child.kill('SIGINT')
  const stopped = await second.end()
  const third = await run(2).end()

  t.true(doneAtKill > 0 && doneAtKill < 150, line)
  t.true(figure(later, 'digested') >= doneAtKill, `${line} then ${later}`)
  t.regex(stopped.output, /An earlier run was interrupted: of its files \d+ are left\. It goes on/)
  t.is(stopped.code, 1, stopped.output)
  const [, waiting = ''] = /Stopped: (\d+) files wait/.exec(stopped.output) ?? []
  t.true(Number(waiting) > 0 && Number(waiting) < 150 - doneAtKill, stopped.output)
  t.is(third.code, 0, third.output)
  t.true(third.output.includes(`of its files ${waiting} are left`), third.output)
  const rows = readFileSync(join(dirname(file), 'digest.tsv'), 'utf8')
    .trimEnd()
    .split('\n')
    .map(row => row.split('\t'))
  t.deepEqual(
    rows.map(([sha256, , , , path]) => `${sha256} ${path}`).sort(),
    [...sums].map(([path, sha256]) => `${sha256} ${path}`).sort(),
  )
  t.regex(third.table, /files +150\n/)
  t.regex(third.table, new RegExp(`different +${new Set(sums.values()).size}\\n`))
})

test('digest: it times one process and two, and once all is done the next start begins anew', async t => {
  const { folder } = tree(t, 12, 300)
  const file = join(temporaryFolder(t), 'digest.db')

  const first = await start('digest', file, '--input', folder, '--sample', '5').end()
  writeFileSync(join(folder, 'new.txt'), 'new')
  const second = await start('digest', file, '--input', folder, '--sample', '0').end()

  t.deepEqual([first.code, second.code], [0, 0], first.output + second.output)
  t.regex(first.table, /5 of the files: \d+ files\/s in 1 process, \d+ files\/s in 2: \d+\.\d\dx/)
  t.false(second.output.includes('An earlier run'), second.output)
  t.regex(second.table, /files +13\n/)
})

test('digest: a folder that is not there, and options that make no sense, are refused', async t => {
  const file = join(temporaryFolder(t), 'digest.db')
  for (const [args, problem] of [
    [['--input', 'no-such-folder'], 'no-such-folder'],
    [['--inptu', 'folder'], '--inptu'],
    [['--workers', '0'], '--workers must be a whole number of 1 or more, got 0'],
    [['--sample', 'few'], '--sample must be a whole number of 0 or more, got few'],
  ] as const) {
    const { code, output } = await start('digest', file, ...args).end()

    t.is(code, 2, output)
    t.true(output.includes(problem), output)
  }
})

test('digest: the handler gives the sum and the sizes of a file', t => {
  const file = join(temporaryFolder(t), 'a.txt')
  const text = 'to be or not to be '.repeat(500)
  writeFileSync(file, text)

  const steps = digestFile(file)
  let step = steps.next()
  while (!step.done) step = steps.next()

  const { sha256, bytes, gzip, brotli } = step.value
  t.is(sha256, createHash('sha256').update(text).digest('hex'))
  t.is(bytes, text.length)
  t.is(gzip, gzipSync(text).length)
  t.true(brotli > 0 && brotli < gzip)
})
