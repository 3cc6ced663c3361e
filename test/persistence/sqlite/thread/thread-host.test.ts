/** Which file a thread runs, and what is told when it is not there, as in a bundle. */
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { OutcomeUnknownError } from '../../../../lib/errors.ts'
import { attachSession } from '../../../../persistence/sqlite/backlog.ts'
import { ThreadFileError } from '../../../../persistence/sqlite/errors.ts'
import { hostWith, refuseBundle } from '../../../../persistence/sqlite/thread/thread-host.ts'
import { declared, fileSessions, job, put } from '../../../support/file-sessions.ts'

const { at, deaths } = fileSessions()
const dying = new URL('../../../support/fake-threads/dies-as-planned.js', import.meta.url)
const missing = new URL('./no-such-thread.js', import.meta.url)

async function shelfOn(path: string, code: Parameters<typeof hostWith>[0]) {
  const troubles: unknown[] = []
  const options = { durability: 'power', stallMs: 300_000, host: hostWith(code) } as const
  const session = await attachSession({ ...declared, failed: error => void troubles.push(error) }, path, options)
  return { shelf: session, troubles }
}

test('host: an installed file is not taken for a bundle', t => {
  t.notThrows(() =>
    refuseBundle('jobs.db', 'file:///app/node_modules/rdq/dist/persistence/sqlite/thread/thread-host.js'),
  )
})

for (const [what, here] of [
  ['no address', undefined],
  ['the address of a bundle, though a thread.js lies beside it', 'file:///app/out/server.js'],
] as const) {
  test(`host: where a bundler leaves ${what}, the error says what to write into its configuration`, t => {
    const error = t.throws(() => refuseBundle('jobs.db', here), { instanceOf: ThreadFileError, code: 'THREAD_FILE' })

    t.regex(
      error?.message ?? '',
      /--external:rdq --external:better-sqlite3.*externals: \[\/\^rdq\(\\\/\|\$\)\/, 'better-sqlite3'\]/,
    )
  })
}

for (const [what, code] of [
  ['the file of the thread', missing],
  ['a file that it imports', at('imports.mjs')],
] as const) {
  test(`host: if ${what} is missing, the queue does not open, and the error names it`, async t => {
    if (typeof code === 'string') writeFileSync(code, `import './no-such-thread.js'`)
    const url = typeof code === 'string' ? pathToFileURL(code) : code
    let starts = 0

    const opening = shelfOn(at(`${what}.db`), () => {
      starts++
      return url
    })

    const error = await t.throwsAsync(opening, { instanceOf: ThreadFileError })
    t.regex(error?.message ?? '', /Cannot find module .*no-such-thread\.js/)
    t.is(starts, 1)
  })
}

test('host: if the file has gone when the thread is restarted, every request is refused with that reason', async t => {
  const path = at('gone.db')
  const files = [dying, missing]
  const { shelf: session, troubles } = await shelfOn(path, () => files.shift() as URL)
  deaths(path, 'ask')

  const first = await t.throwsAsync(put(session, job('a')), { instanceOf: OutcomeUnknownError })

  t.true(first?.cause instanceof ThreadFileError)
  await t.throwsAsync(put(session, job('b')), { instanceOf: ThreadFileError })
  t.deepEqual(
    troubles.map(error => error instanceof ThreadFileError),
    [true],
  )
})
