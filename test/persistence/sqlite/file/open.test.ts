/** Which file a path leads to: links, odd names, relative paths, and what is refused with its reason. */
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readdirSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { DispatchQueue } from '../../../../lib/index.ts'
import { BacklogFileError, SqliteBacklog } from '../../../../persistence/sqlite/index.ts'
import { fileSessions } from '../../../support/file-sessions.ts'

const { at } = fileSessions()
const lib = new URL('../../../../lib/index.js', import.meta.url).href
const sqlite = new URL('../../../../persistence/sqlite/index.js', import.meta.url).href

const queueOn = (path: string, name = 'q'): DispatchQueue<unknown> => {
  const queue = new DispatchQueue<unknown>(null, { name, backlog: new SqliteBacklog(path) })
  queue.on('error', () => {})
  return queue
}
/** What opening it says, or undefined. */
async function refusal(path: string): Promise<BacklogFileError | undefined> {
  const queue = queueOn(path)
  const error = await queue.ready().then(
    () => undefined,
    error => error,
  )
  await queue.stop()
  return error
}
async function putIn(path: string, payload: unknown): Promise<void> {
  const queue = queueOn(path)
  await queue.put(payload)
  await queue.stop()
}
async function payloadsIn(path: string): Promise<unknown[]> {
  const queue = queueOn(path)
  await queue.ready()
  const jobs = await queue.jobs()
  await queue.stop()
  return jobs.map(({ payload }) => payload)
}

test('file: a hard link is refused under either name, with the reason, and nothing is put by it', async t => {
  const path = at('hard.db')
  await putIn(path, 1)
  linkSync(path, at('hard-too.db'))
  for (const name of [path, at('hard-too.db')]) {
    const error = await refusal(name)
    t.true(error instanceof BacklogFileError)
    t.like(error, { code: 'BACKLOG_FILE', problem: 'hard links', path: name })
    t.regex(error?.message ?? '', /2 names \(hard links\).*log/)
  }
  unlinkSync(at('hard-too.db'))
  t.deepEqual(await payloadsIn(path), [1])
})
test('file: a hard link made while the file is open is refused when it is opened', async t => {
  const path = at('hard-open.db')
  const queue = queueOn(path)
  await queue.put(1)
  linkSync(path, at('hard-open-too.db'))
  t.like(await refusal(at('hard-open-too.db')), { problem: 'hard links' })
  await queue.put(2)
  await queue.stop()
  unlinkSync(at('hard-open-too.db'))
  t.deepEqual(await payloadsIn(path), [2, 1])
})
test('file: a symbolic link whose target is still to be made leads to the target, which is made', async t => {
  mkdirSync(at('shared'))
  mkdirSync(at('current'))
  symlinkSync('../shared/jobs.db', at('current/jobs.db'))
  symlinkSync('jobs.db', at('current/chain.db'))
  await putIn(at('current/chain.db'), 1)
  t.deepEqual(readdirSync(at('shared')), ['jobs.db'])
  if (process.platform !== 'win32') t.is(statSync(at('shared/jobs.db')).mode & 0o777, 0o600)
  t.deepEqual(await payloadsIn(at('shared/jobs.db')), [1])
  t.deepEqual(await payloadsIn(at('current/jobs.db')), [1])
  t.deepEqual(readdirSync(at('current')).sort(), ['chain.db', 'jobs.db'])
})
test('file: a linked directory leads to the same file', async t => {
  mkdirSync(at('release'))
  symlinkSync('release', at('live'))
  await putIn(at('live/jobs.db'), 1)
  t.deepEqual(await payloadsIn(at('release/jobs.db')), [1])
})
test('file: a missing directory is reported as missing, and a loop of links as a loop', async t => {
  symlinkSync('missing/jobs.db', at('dangling.db'))
  symlinkSync('round-b.db', at('round-a.db'))
  symlinkSync('round-a.db', at('round-b.db'))
  writeFileSync(at('plain'), '')
  for (const path of ['dangling.db', 'missing/jobs.db']) {
    const error = await refusal(at(path))
    t.like(error, { code: 'BACKLOG_FILE', problem: 'no directory' })
    t.regex(error?.message ?? '', /the directory '[^']*missing' does not exist; make it first$/)
  }
  const loop = await refusal(at('round-a.db'))
  t.like(loop, { code: 'BACKLOG_FILE', problem: 'unusable' })
  t.regex(loop?.message ?? '', /loop/)
  t.regex((await refusal(at('plain/jobs.db')))?.message ?? '', /a file where a directory is needed/)
})
if (process.platform === 'linux') {
  test('file: the error says so if the directory exists but no file can be created in it', async t => {
    const error = await refusal('/proc/rdq.db')
    t.like(error, { code: 'BACKLOG_FILE', problem: 'not writable' })
    t.regex(error?.message ?? '', /the directory '\/proc' exists, but no file can be made in it \(ENOENT/)
  })
}
test('file: a symbolic link is followed once: the same backlog stays with its file when the link is switched', async t => {
  for (const release of ['r1', 'r2']) mkdirSync(at(release))
  symlinkSync('r1', at('switched'))
  const backlog = new SqliteBacklog(at('switched/jobs.db'))
  const first = new DispatchQueue<number>(null, { name: 'q', backlog })
  await first.put(1)
  await first.stop()
  unlinkSync(at('switched'))
  symlinkSync('r2', at('switched'))

  const second = new DispatchQueue<number>(null, { name: 'q', backlog })
  await second.put(2)
  t.is(second.counts.pending, 2)
  await second.stop()
  t.deepEqual(readdirSync(at('r2')), [])
})
for (const name of [
  'a?b#c%20d.db',
  "it's 100%.db",
  'späße-日本.db',
  ' leading.db',
  '?mode=memory',
  'file:x.db',
  ':memory:.db',
]) {
  test(`file: the name '${name}' is an ordinary file name, also for the files beside it`, async t => {
    const folder = at(`odd-${Buffer.from(name).toString('hex')}`)
    mkdirSync(folder)
    const path = `${folder}/${name}`
    const queue = queueOn(path)
    await queue.put(1)
    const there = readdirSync(folder)
    t.true(there.includes(name) && there.every(file => file.startsWith(name)), there.join(', '))
    await queue.stop()
    t.deepEqual(readdirSync(folder), [name])
    t.deepEqual(await payloadsIn(path), [1])
  })
}
test('file: a path that ends with a space is refused, because another file would be opened', async t => {
  writeFileSync(at('trimmed.db'), '')
  const error = await refusal(`${at('trimmed.db')} `)
  t.like(error, { code: 'BACKLOG_FILE', problem: 'unusable' })
  t.regex(error?.message ?? '', /space/)
  t.is(statSync(at('trimmed.db')).size, 0)
})
test('file: a name that is too long is refused with that reason', async t => {
  const error = await refusal(at('x'.repeat(300)))
  t.like(error, { code: 'BACKLOG_FILE', problem: 'unusable' })
  t.regex(error?.message ?? '', /too long for the file system; shorten it$/)
})

test('file: a relative path is that of the directory in which the backlog was made, whatever chdir does later', t => {
  mkdirSync(at('elsewhere'))
  const program = `
    import { DispatchQueue } from ${JSON.stringify(lib)}
    import { SqliteBacklog } from ${JSON.stringify(sqlite)}
    const backlog = new SqliteBacklog('relative.db')
    process.chdir('elsewhere')
    for (let i = 1; i <= 2; i++) {
      const queue = new DispatchQueue(null, { name: 'q', backlog })
      await queue.put(i)
      console.log(queue.counts.pending)
      await queue.stop()
    }`
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], { cwd: dirname(at('x')) })
  t.is(said.toString(), '1\n2\n')
  t.true(readdirSync(dirname(at('x'))).includes('relative.db'))
  t.deepEqual(readdirSync(at('elsewhere')), [])
})
for (const umask of ['000', '022', '277', '777']) {
  test(`file: under the umask ${umask} only the owner can read the file and those beside it`, t => {
    if (process.platform === 'win32') return void t.pass()
    const path = at(`umask-${umask}.db`)
    const program = `
      process.umask(0o${umask})
      import { statSync, readdirSync } from 'node:fs'
      const { DispatchQueue } = await import(${JSON.stringify(lib)})
      const { SqliteBacklog } = await import(${JSON.stringify(sqlite)})
      const queue = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(${JSON.stringify(path)}) })
      await queue.put(1)
      const folder = ${JSON.stringify(dirname(path))}
      for (const name of readdirSync(folder)) {
        if (name.startsWith(${JSON.stringify(basename(path))})) console.log((statSync(folder + '/' + name).mode & 0o777).toString(8))
      }
      await queue.stop()`
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', program])
    t.is(said.toString(), '600\n'.repeat(4))
  })
}
test('file: a URL is refused, and the error names fileURLToPath', t => {
  const url = pathToFileURL(at('url.db'))
  t.throws(() => new SqliteBacklog(url as never), { code: 'OPTION', message: /fileURLToPath/ })
  t.throws(() => new SqliteBacklog(url.href), { code: 'OPTION', message: /fileURLToPath/ })
})
