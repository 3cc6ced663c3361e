/**
 * A disk that is really full, and a process that is killed on it; and one that can only be read, by whomever. Where this
 * machine lets a test have a disk of its own.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { run } from '../support/repository.ts'
import { remove, temporary } from '../support/temporary-folder.ts'

const folder = temporary('disk')
test.after.always(() => remove(folder))

/** A shell with a name space of its own, whose mounts nobody else sees and which go with it. */
const apart = ['-rm', 'sh', '-c'] as const
const mount = 'mount -t tmpfs -o size=24m none "$0"'

function hasDisks(): boolean {
  try {
    execFileSync('unshare', [...apart, mount, folder], { stdio: 'ignore', timeout: 5_000 })
    return true
  } catch {
    return false
  }
}

if (hasDisks()) {
  test('F15: on a full disk puts are refused whole, a process may be killed, and every accepted job runs once there is space again', async t => {
    const program = fileURLToPath(new URL('../support/full-disk.js', import.meta.url))
    const { code, stdout, output } = await run(
      'unshare',
      [...apart, `${mount} && exec "$1" "$2" "$0"`, folder, process.execPath, program],
      folder,
      50_000,
    )

    t.is(code, 0, output)
    const { accepted, refused, finished, failed, wrong, ran } = JSON.parse(stdout)
    t.true(accepted > 100 && accepted < 1_500, output)
    t.deepEqual(refused, ['DISK_FULL'])
    // Some ran in the process that was killed, and may have run here again.
    t.true(ran <= accepted, output)
    t.deepEqual([finished, failed], [accepted, 0], output)
    t.deepEqual(wrong, [])
  })

  test('F26: on a read-only disk both a new file and an existing one are refused at open, and left unchanged', async t => {
    const disk = join(folder, 'read')
    mkdirSync(disk)
    const path = join(disk, 'jobs.db')
    const queue = new DispatchQueue<number, void>(() => {}, { name: 'q', backlog: new SqliteBacklog(path) })
    await queue.put(1, { delay: '1d' })
    await queue.stop()
    const before = readFileSync(path)
    const lib = (name: string): string => new URL(name, import.meta.url).href
    const program = `
      import { DispatchQueue } from '${lib('../../lib/index.js')}'
      import { SqliteBacklog } from '${lib('../../persistence/sqlite/index.js')}'
      for (const name of ['new.db', 'jobs.db']) {
        const path = process.argv[1] + '/' + name
        const queue = new DispatchQueue(() => {}, { name: 'q', backlog: new SqliteBacklog(path) })
        queue.on('error', ({ code }) => console.log('heard', code))
        await queue.ready().catch(({ code, path, problem }) => console.log(code, path, problem))
        await queue.stop()
      }`
    const readOnly = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'

    const { code, stdout, output } = await run(
      'unshare',
      [...apart, `${readOnly} && exec "$1" --input-type=module -e "$2" "$0"`, disk, process.execPath, program],
      folder,
      20_000,
    )

    t.is(code, 0, output)
    t.deepEqual(
      stdout.trim().split('\n'),
      ['new.db', 'jobs.db'].flatMap(name => ['heard BACKLOG_FILE', `BACKLOG_FILE ${join(disk, name)} not writable`]),
      output,
    )
    t.deepEqual(readdirSync(disk), ['jobs.db'])
    t.deepEqual(readFileSync(path), before)
  })
} else {
  test('F15, F26: a full disk, and one that can only be read, cannot be had here; persistence/sqlite/thread/loop and faults have what only says so', t =>
    t.pass())
}
