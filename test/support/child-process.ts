/** Runs code in a child process, for tests of what only another process can see: whether it ends, how, and its output. */
import { pathToFileURL } from 'node:url'
import { bundled, type Ended, root, run, runNode } from './repository.ts'

const entry = pathToFileURL(bundled('lib/index')).href

/**
 * Runs `body` as a module that has all of rdq as `rdq` and `print(…)` to print a line. Killed after `limitMs`. `shell`
 * is what a shell does first, for what a process cannot do to itself.
 */
export function child(
  body: string,
  options: { flags?: readonly string[]; limitMs?: number; shell?: string } = {},
): Promise<Ended> {
  const { flags = [], limitMs = 60_000, shell } = options
  const script = `import * as rdq from '${entry}'\nconst print = line => process.stdout.write(line + '\\n')\n${body}`
  if (shell !== undefined) {
    const rest = [process.execPath, ...flags, '--input-type=module', '-e', script]
    return run('sh', ['-c', `${shell} && exec "$0" "$@"`, ...rest], root, limitMs)
  }
  return runNode([...flags, '--input-type=module', '-e', script], root, limitMs)
}
