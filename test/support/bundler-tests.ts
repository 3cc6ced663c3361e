/** The tests of a bundler: rdq bundled where nothing is needed, and external where docs/guides/bundlers-and-test-runners.md says so. */
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { doubleModule, fileProgram, isolateProgram, memoryProgram, namesOfMemoryProgram } from './bundled-programs.ts'
import type { Packed } from './packed-package.ts'
import { runNode } from './repository.ts'

export interface Bundle {
  readonly entry: string
  readonly output: string
  readonly format: 'esm' | 'cjs'
  /** Whether rdq and better-sqlite3 are external. */
  readonly external: boolean
  readonly minify: boolean
}

let bundles = 0

/** @param packed The package, once it is installed. */
export function bundlerTests(bundler: string, bundle: (what: Bundle) => Promise<unknown>, packed: () => Packed): void {
  type Options = Partial<Bundle> & Pick<Bundle, 'format' | 'external'>

  interface Printed {
    readonly result?: unknown
    readonly called?: unknown
    readonly names?: unknown
    readonly code?: string
    readonly message?: string
  }

  /** Bundles the program, runs the bundle, and returns what that printed. */
  async function bundled(t: ExecutionContext, program: string, options: Options): Promise<Printed> {
    t.timeout(150_000)
    const files = { 'app.js': program, 'double.mjs': doubleModule }
    const place = await packed().place(`bundle-${bundler}-${++bundles}`, files)
    const output = join(place, 'out', options.format === 'esm' ? 'app.mjs' : 'app.cjs')
    await bundle({ entry: join(place, 'app.js'), output, minify: false, ...options })
    const ended = await runNode([output], place, 120_000)
    t.is(ended.code, 0, ended.output)
    return JSON.parse(ended.stdout)
  }

  for (const format of ['esm', 'cjs'] as const) {
    const title = `${bundler}, ${format}:`

    test(`${title} a queue in memory is bundled, and works`, async t => {
      const { result } = await bundled(t, memoryProgram, { format, external: false })

      t.is(result, 42)
    })

    test(`${title} minified, errors keep the names that a file stores`, async t => {
      const { names } = await bundled(t, memoryProgram, { format, external: false, minify: true })

      t.deepEqual(names, namesOfMemoryProgram)
    })

    test(`${title} a queue on a file works where rdq and better-sqlite3 are external`, async t => {
      const { result } = await bundled(t, fileProgram, { format, external: true })

      t.is(result, 42)
    })

    test(`${title} handlers in processes and calls in threads work where rdq is external`, async t => {
      const { result, called } = await bundled(t, isolateProgram, { format, external: true })

      t.deepEqual([result, called], [42, 42])
    })

    test(`${title} handlers in processes and calls in threads that are bundled say what to write`, async t => {
      const { result, called } = await bundled(t, isolateProgram, { format, external: false })

      const errors = [result, called] as readonly { readonly code: string; readonly message: string }[]
      t.deepEqual(
        errors.map(({ code }) => code),
        ['HANDLER_LOAD', 'MODULE_LOAD'],
      )
      for (const { message } of errors) {
        t.regex(message, /mark rdq as external/)
        t.true(message.includes('esbuild: --external:rdq'), message)
        t.true(message.includes(`webpack: externals: [/^rdq(\\/|$)/]`), message)
        t.true(message.includes(`rolldown: external: [/^rdq(\\/|$)/]`), message)
      }
    })

    test(`${title} a queue on a file that is bundled says at its first use what to write`, async t => {
      const { code, message = '' } = await bundled(t, fileProgram, { format, external: false })

      t.is(code, 'THREAD_FILE')
      t.regex(message, /mark rdq and better-sqlite3 as external/)
      t.true(message.includes(`esbuild: --external:rdq --external:better-sqlite3`))
      t.true(message.includes(`webpack: externals: [/^rdq(\\/|$)/, 'better-sqlite3']`))
      t.true(message.includes(`rolldown: external: [/^rdq(\\/|$)/, 'better-sqlite3']`))
    })
  }
}
