/** rdq bundled by rolldown, which this repository has anyway. `npm run environments` does the same with other bundlers. */
import test from 'ava'
import { rolldown } from 'rolldown'
import { type Bundle, bundlerTests } from './support/bundler-tests.ts'
import { installPacked, type Packed } from './support/packed-package.ts'

let installed: Packed

test.before('rolldown: rdq is packed and installed, with better-sqlite3', async () => {
  installed = await installPacked()
  await installed.addPeer()
})

test.after.always('rolldown: the folder goes', () => installed?.remove())

async function bundle({ entry, output, format, external, minify }: Bundle): Promise<void> {
  const made = await rolldown({
    input: entry,
    platform: 'node',
    logLevel: 'silent',
    ...(external && { external: [/^rdq(\/|$)/, 'better-sqlite3'] }),
  })
  await made.write({ file: output, format, minify })
  await made.close()
}

bundlerTests('rolldown', bundle, () => installed)
