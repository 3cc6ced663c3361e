/** A disk that is really full, and a process that is killed on it. Where this machine lets a test have a disk of its own. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { run } from '../support/tree.ts'

const folder = mkdtempSync(join(tmpdir(), 'rdq-disk-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

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
  test('F15: on a full disk puts are refused whole, a process may be killed, and with room again all that was accepted runs', async t => {
    const program = fileURLToPath(new URL('../support/full-disk.js', import.meta.url))
    const { code, stdout, told } = await run(
      'unshare',
      [...apart, `${mount} && exec "$1" "$2" "$0"`, folder, process.execPath, program],
      folder,
      50_000,
    )

    t.is(code, 0, told)
    const { accepted, refused, finished, failed, wrong, ran } = JSON.parse(stdout)
    t.true(accepted > 100 && accepted < 1_500, told)
    t.deepEqual(refused, ['DISK_FULL'])
    // Some ran in the process that was killed, and may have run here again.
    t.true(ran <= accepted, told)
    t.deepEqual([finished, failed], [accepted, 0], told)
    t.deepEqual(wrong, [])
  })
} else {
  test('F15: a full disk cannot be had here; persistence/sqlite/keeper.test.ts has one that only says so', t =>
    t.pass())
}
