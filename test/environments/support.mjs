/** What the tests of this folder share: the package, installed in an empty folder, and the tools, which lie beside this file. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { installPacked } from '../../build/test/support/packed-package.js'
import { runNode } from '../../build/test/support/repository.js'

/** The folder of a tool's package. */
export const toolFolder = name => fileURLToPath(new URL(`./node_modules/${name}`, import.meta.url))

/** The file of a tool's program, which Node runs. */
export const tool = (name, path) => join(toolFolder(name), path)

/** Installs the package once for the tests of a file. Gives what it is when asked. */
export function packed() {
  let installed
  test.before('environments: rdq is packed and installed, with better-sqlite3', async () => {
    installed = await installPacked()
    await installed.addPeer()
  })
  test.after.always('environments: the folder goes', () => installed?.remove())
  return () => installed
}

/** Runs a file to its end. All that it says is in the message when the exit code is another one. */
export async function runs(t, args, folder, code = 0) {
  t.timeout(150_000)
  const ended = await runNode(args, folder, 120_000)
  t.is(ended.code, code, ended.output)
  return ended
}
