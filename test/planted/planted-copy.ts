/**
 * A copy of the compiled project in a folder of its own, in which one bug at a time is planted and looked for.
 *
 * The working tree is only read. In the copy one file is changed and the sources are compiled again, which takes a second
 * and shows that the planted bug compiles.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { nodeGroup } from '../support/process-group.ts'
import { builtSuite, filesIn, root } from '../support/repository.ts'
import { remove, temporary } from '../support/temporary-folder.ts'
import { type Plant, plantedIn } from './plant.ts'

export interface Search {
  /** The title of the first test that failed; undefined when all passed. */
  readonly found: string | undefined
  readonly seconds: number
  /** All that was said, for a find that surprises. */
  readonly output: string
}

const sources = ['lib', 'persistence', 'testing']

export class PlantedCopy {
  readonly folder: string = temporary('planted')
  /** The sources as they were when the copy was made: the tree may change meanwhile. */
  readonly #sources = new Map<string, string>()
  #planted: string | undefined

  constructor() {
    for (const path of filesIn('package.json', 'tsconfig.json', 'tsconfig.test.json', ...sources, 'docs')) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true })
      cpSync(join(root, path), join(this.folder, path))
      this.#sources.set(path, readFileSync(join(this.folder, path), 'utf8'))
    }
    cpSync(join(root, 'build'), join(this.folder, 'build'), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'), 'junction')
    mkdirSync(join(this.folder, 'tmp'))
    // A bug may leave something unused.
    const compilerOptions = { noUnusedLocals: false, noUnusedParameters: false, incremental: true }
    const config = { extends: './tsconfig.test.json', compilerOptions, include: sources }
    writeFileSync(join(this.folder, 'tsconfig.planted.json'), JSON.stringify(config))
  }
  /** Plants the bug, in place of the one before. Throws when it does not compile. */
  async plant(plant: Plant): Promise<void> {
    this.#pull()
    this.#planted = plant.file
    writeFileSync(join(this.folder, plant.file), plantedIn(this.#textOf(plant.file), plant))
    await this.#compile(`'${plant.name}'`)
  }
  /** The project as it is. */
  async heal(): Promise<void> {
    this.#pull()
    await this.#compile('the project')
  }
  #pull(): void {
    if (this.#planted !== undefined) writeFileSync(join(this.folder, this.#planted), this.#textOf(this.#planted))
    this.#planted = undefined
  }
  #textOf(path: string): string {
    const text = this.#sources.get(path)
    if (text === undefined) throw new Error(`${path} is none of the sources`)
    return text
  }
  async #compile(what: string): Promise<void> {
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { code, output } = await nodeGroup([tsc, '-p', 'tsconfig.planted.json', '--pretty', 'false'], {
      cwd: this.folder,
      limitMs: 120_000,
    })
    if (code !== 0) throw new Error(`${what} does not compile:\n${output}`)
    const bundling = await nodeGroup([join(root, 'bundle.mjs'), '--tests'], { cwd: this.folder, limitMs: 120_000 })
    if (bundling.code !== 0) throw new Error(`${what} cannot be bundled:\n${bundling.output}`)
  }
  /**
   * Runs these test files, named from `test/` and without their ending, up to the first test that fails; or with
   * `whole` until that has said why.
   */
  async search(files: readonly string[], limitMs: number, whole: boolean = false): Promise<Search> {
    const ava = join(root, 'node_modules/ava/entrypoints/cli.mjs')
    const built = files.map(builtSuite)
    const { code, late, output, seconds } = await nodeGroup([ava, '--tap', '--fail-fast', '--timeout=60s', ...built], {
      cwd: this.folder,
      limitMs,
      env: { TMPDIR: join(this.folder, 'tmp') },
      // With the first that fails it is found; what that test has left open may never end.
      line: line => !whole && failedIn(line) !== undefined,
    })
    if (code === 0) return { found: undefined, seconds, output }
    return {
      found: failedIn(output) ?? (late ? `${files[0]} does not come to its end` : lastLine(output)),
      seconds,
      output,
    }
  }
  /** Runs a program of the copy. Undefined when it ended with 0, else its last words. */
  async send(args: readonly string[], limitMs: number): Promise<Search> {
    const { code, late, output, seconds } = await nodeGroup(args, {
      cwd: this.folder,
      limitMs,
      env: { TMPDIR: join(this.folder, 'tmp') },
    })
    if (code === 0) return { found: undefined, seconds, output }
    return { found: late ? 'it does not come to its end' : lastLine(output), seconds, output }
  }
  remove(): void {
    remove(this.folder)
  }
}

/** The title of the first test that TAP says failed. */
function failedIn(tap: string): string | undefined {
  return tap.match(/^not ok \d+ - (.*)$/m)?.[1]
}
function lastLine(output: string): string {
  return output.trimEnd().split('\n').at(-1) ?? 'it failed and said nothing'
}
