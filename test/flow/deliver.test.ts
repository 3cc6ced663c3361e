/** The example as a user meets it: a process with arguments, signals, an exit code and the gateway's table. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test from 'ava'
import { packagesUnder } from '../../docs/examples/records.ts'
import { figure, fileWith, lines, start, temporaryFolder } from '../support/example-process.ts'

const posix = process.platform === 'win32' ? test.skip : test // Windows has no signals to send.

test('deliver: each line of a file reaches the gateway once, in spite of its 503s, and none too fast', async t => {
  const run = start('deliver', join(temporaryFolder(t), 'deliveries.db'), '--input', fileWith(t, lines(120)))

  const { code, table } = await run.end()

  t.is(code, 0, table)
  t.deepEqual([figure(table, 'delivered'), figure(table, 'duplicates'), figure(table, '429s')], [120, 0, 0])
  t.true(figure(table, '503s') > 0)
  t.true(figure(table, 'worst window') <= 80)
})

test('deliver: a bad line is refused with its file and line number, before anything is sent', async t => {
  const file = fileWith(t, '{"to":"+31612345678"}\n\n{"to":\n')

  const { code, table, output } = await start(
    'deliver',
    join(temporaryFolder(t), 'deliveries.db'),
    '--input',
    file,
  ).end()

  t.is(code, 2)
  t.is(table, '')
  t.true(output.includes(`${file}:3: not JSON`), output)
})

test('deliver: a line with JSON that is not an object is refused too', async t => {
  const file = fileWith(t, '{}\n[1, 2]\n')

  const { code, output } = await start('deliver', join(temporaryFolder(t), 'deliveries.db'), '--input', file).end()

  t.is(code, 2)
  t.true(output.includes(`${file}:2: must be a JSON object`), output)
})

test('deliver: a missing file and an unknown option are refused', async t => {
  const missing = await start(
    'deliver',
    join(temporaryFolder(t), 'deliveries.db'),
    '--input',
    'no-such-file.jsonl',
  ).end()
  const unknown = await start('deliver', join(temporaryFolder(t), 'deliveries.db'), '--inptu', 'file').end()

  t.deepEqual([missing.code, unknown.code], [2, 2])
  t.true(missing.output.includes('cannot read no-such-file.jsonl'))
  t.true(unknown.output.includes('--inptu'))
})

test('deliver: an empty file ends at once with nothing delivered', async t => {
  const { code, table } = await start(
    'deliver',
    join(temporaryFolder(t), 'deliveries.db'),
    '--input',
    fileWith(t, ''),
  ).end()

  t.is(code, 0)
  t.is(figure(table, 'delivered'), 0)
})

posix('deliver: SIGUSR2 pauses the deliveries and a second one resumes them', async t => {
  const run = start('deliver', join(temporaryFolder(t), 'deliveries.db'), '--input', fileWith(t, lines(60)))

  await run.line(/sent [1-9]/)
  run.child.kill('SIGUSR2')
  const paused = await run.line(/^paused .* underway 0 /)
  const later = await run.line(/sent/)
  run.child.kill('SIGUSR2')
  const { code, table } = await run.end()

  t.is(
    later,
    paused.replace(/rate \d+/, /rate \d+/.exec(later)?.[0] ?? ''),
    'only the rate, which recovers, has changed',
  )
  t.true(figure(paused, 'sent') < 60)
  t.is(code, 0, table)
  t.is(figure(table, 'delivered'), 60)
})

posix('deliver: SIGINT stops gently, and what was sent is what the gateway has', async t => {
  const run = start('deliver', join(temporaryFolder(t), 'deliveries.db'), '--input', fileWith(t, lines(60)))

  await run.line(/sent [1-9]/)
  run.child.kill('SIGINT')
  const { code, table, output } = await run.end()

  t.is(code, 1, 'not everything was delivered')
  t.is(figure(table, 'delivered'), figure(output.slice(output.lastIndexOf('pending')), 'sent'))
  t.true(figure(table, 'delivered') < 60)
  t.is(figure(table, 'duplicates'), 0)
})

test('deliver: packages are found in scopes and below one another, and each version counts once', async t => {
  const folder = temporaryFolder(t)
  await installed(folder, 'node_modules/one', { name: 'one', version: '1.0.0', description: 'First' })
  await installed(folder, 'node_modules/@scope/two', { name: '@scope/two', version: '2.0.0' })
  await installed(folder, 'node_modules/@scope/two/node_modules/one', { name: 'one', version: '0.9.0' })
  await installed(folder, 'node_modules/three/node_modules/one', { name: 'one', version: '0.9.0' })

  const found = await packagesUnder(join(folder, 'node_modules'))

  t.deepEqual(found.map(delivery => delivery.id).sort(), ['@scope/two@2.0.0', 'one@0.9.0', 'one@1.0.0'])
  t.deepEqual(found.find(delivery => delivery.id === 'one@1.0.0')?.record, {
    name: 'one',
    version: '1.0.0',
    description: 'First',
  })
})

async function installed(folder: string, path: string, manifest: object): Promise<void> {
  const file = join(folder, path, 'package.json')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, JSON.stringify(manifest))
}
