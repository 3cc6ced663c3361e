/** A process of its own, for what can only be seen from outside: whether it ends, how, and what it says on its way. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Ended, root, runNode } from './tree.ts'

const entry = pathToFileURL(join(root, 'build/lib/index.js')).href

/** Runs `body` as a module that has all of rdq as `rdq` and `tell(…)` to print a line. Killed after `limitMs`. */
export function child(body: string, options: { flags?: readonly string[]; limitMs?: number } = {}): Promise<Ended> {
  const { flags = [], limitMs = 20_000 } = options
  const script = `import * as rdq from '${entry}'\nconst tell = line => process.stdout.write(line + '\\n')\n${body}`
  return runNode([...flags, '--input-type=module', '-e', script], root, limitMs)
}
