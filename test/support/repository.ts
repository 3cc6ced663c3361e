/** The repository, for tests about it: its files, and programs that run in it. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where package.json lies. Tests run from build/test. */
export const root: string = fileURLToPath(new URL('../../../', import.meta.url))

/** A file's text, by its path from the root. */
export function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8').replaceAll('\r\n', '\n')
}

/** The files under these paths, or all, that are tracked or could be: what .gitignore names is none of them. */
export function filesIn(...paths: readonly string[]): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', ...paths]
  const listed = execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\0')
  return [...new Set(listed)].filter(path => path !== '' && existsSync(join(root, path))).sort()
}

/** What ava runs: `npm test` runs `.test.ts` files, and `npm run proofs` runs `.proof.ts` files, which take longer. */
const suite = /\.(test|proof)\.ts$/

/** The suites below test/, named from there and without their ending, whether they are tests or proofs. */
export function suitesIn(): string[] {
  return filesIn('test')
    .filter(path => suite.test(path))
    .map(path => path.slice('test/'.length).replace(suite, ''))
}

/**
 * A program that tests start as a process, in the bundle that starts faster; named from the root and without its
 * ending.
 */
export function bundled(name: string): string {
  return join(root, `build/bundled/${name}.js`)
}

/** The compiled form of a suite. Throws where there is no suite of that name. */
export function builtSuite(name: string): string {
  const ending = ['test', 'proof'].find(ending => existsSync(join(root, `test/${name}.${ending}.ts`)))
  if (ending === undefined) throw new Error(`there is no suite test/${name}`)
  return `build/test/${name}.${ending}.js`
}

export interface Ended {
  /** The exit code; -1 if it was killed or could not be started. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The command and its output, for the message of a failed assertion. */
  readonly output: string
}

/** Runs a program to its end, or kills it after `limitMs`. Resolves either way. */
export function run(program: string, args: readonly string[], cwd: string = root, limitMs = 120_000): Promise<Ended> {
  const options = {
    cwd,
    env: plainEnvironment(),
    timeout: limitMs,
    killSignal: 'SIGKILL' as const,
    maxBuffer: 64 * 2 ** 20,
  }
  return new Promise(resolve => {
    execFile(program, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      const end = error?.killed ? `killed after ${limitMs} ms` : `exit code ${code}`
      resolve({ code, stdout, stderr, output: `${program} ${args.join(' ')}: ${end}\n${stdout}${stderr}` })
    })
  })
}

/** Runs a JavaScript file with the Node that runs this test. */
export function runNode(args: readonly string[], cwd?: string, limitMs?: number): Promise<Ended> {
  return run(process.execPath, args, cwd, limitMs)
}

/** The compiler that npm test uses, on one core: other test files have the other one. */
export function tsc(args: readonly string[], cwd: string): Promise<Ended> {
  return runNode([join(root, 'node_modules/typescript/bin/tsc'), '--singleThreaded', '--pretty', 'false', ...args], cwd)
}

/** npm, by the file that npm test names where there is one: on Windows `npm` is no program but a script. */
export function npm(args: readonly string[], cwd: string): Promise<Ended> {
  const { npm_execpath: file } = process.env
  return file?.endsWith('npm-cli.js') ? runNode([file, ...args], cwd) : run('npm', args, cwd)
}

/**
 * The environment without the variables that npm sets for scripts: they would lead an npm in another folder back here.
 */
function plainEnvironment(): NodeJS.ProcessEnv {
  const ours = /^(npm_package_|npm_lifecycle_|npm_config_local_prefix$|INIT_CWD$|FORCE_COLOR$)/i
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name))), NO_COLOR: '1' }
}
