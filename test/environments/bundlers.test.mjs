/** rdq bundled: in memory it needs nothing, and a file wants rdq and better-sqlite3 external. docs/guides/bundlers-and-test-runners.md */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import test from 'ava'
import * as esbuild from 'esbuild'
import webpack from 'webpack'
import {
  doubleModule,
  fileProgram,
  isolateProgram,
  memoryProgram,
  namesOfMemoryProgram,
  packed,
  runs,
} from './support.mjs'

const installed = packed()

const bundlers = {
  async esbuild({ entry, output, format, external, minify }) {
    await esbuild.build({
      entryPoints: [entry],
      outfile: output,
      bundle: true,
      platform: 'node',
      format,
      minify,
      logLevel: 'silent',
      external: external ? ['rdq', 'better-sqlite3'] : [],
    })
  },
  async webpack({ entry, output, format, external, minify }) {
    const esm = format === 'esm'
    const stats = await new Promise((resolve, reject) => {
      const done = (error, stats) => (error ? reject(error) : resolve(stats))
      webpack(
        {
          mode: 'production',
          target: 'node',
          entry,
          optimization: { minimize: minify },
          output: {
            path: join(output, '..'),
            filename: output.split(/[\\/]/).at(-1),
            ...(esm && { module: true, chunkFormat: 'module', library: { type: 'module' } }),
          },
          ...(esm && { experiments: { outputModule: true } }),
          ...(external && {
            externals: [/^rdq(\/|$)/, 'better-sqlite3'],
            externalsType: esm ? 'module' : 'commonjs',
          }),
        },
        done,
      )
    })
    if (stats.hasErrors()) throw new Error(stats.toString())
  },
}

let bundles = 0

/** Bundles `program`, and runs the bundle. Resolves with what it told. */
async function bundled(t, bundler, program, options) {
  const place = await installed().place(`bundle-${++bundles}`, { 'app.js': program, 'double.mjs': doubleModule })
  const output = join(place, 'out', options.format === 'esm' ? 'app.mjs' : 'app.cjs')
  await bundlers[bundler]({ entry: join(place, 'app.js'), output, minify: false, ...options })
  const { stdout } = await runs(t, [output], place)
  return JSON.parse(stdout)
}

for (const bundler of Object.keys(bundlers)) {
  for (const format of ['esm', 'cjs']) {
    const title = `${bundler}, ${format}:`

    test(`${title} a queue in memory is bundled, and works`, async t => {
      const { result } = await bundled(t, bundler, memoryProgram, { format, external: false })

      t.is(result, 42)
    })

    test(`${title} minified, errors keep the names that a file stores`, async t => {
      const { names } = await bundled(t, bundler, memoryProgram, { format, external: false, minify: true })

      t.deepEqual(names, namesOfMemoryProgram)
    })

    test(`${title} a queue on a file works where rdq and better-sqlite3 are external`, async t => {
      const { result } = await bundled(t, bundler, fileProgram, { format, external: true })

      t.is(result, 42)
    })

    test(`${title} handlers in processes and calls in threads work where rdq is external`, async t => {
      const { result, called } = await bundled(t, bundler, isolateProgram, { format, external: true })

      t.deepEqual([result, called], [42, 42])
    })

    test(`${title} handlers in processes and calls in threads that are bundled say what to write`, async t => {
      const { result, called } = await bundled(t, bundler, isolateProgram, { format, external: false })

      t.is(result.code, 'HANDLER_LOAD')
      t.is(called.code, 'MODULE_LOAD')
      for (const { message } of [result, called]) {
        t.regex(message, /mark rdq as external/)
        t.true(message.includes('esbuild: --external:rdq'), message)
        t.true(message.includes(`webpack: externals: [/^rdq(\\/|$)/]`), message)
      }
    })

    test(`${title} a queue on a file that is bundled says at its first use what to write`, async t => {
      const { code, message } = await bundled(t, bundler, fileProgram, { format, external: false })

      t.is(code, 'THREAD_FILE')
      t.regex(message, /mark rdq and better-sqlite3 as external/)
      t.true(message.includes(`esbuild: --external:rdq --external:better-sqlite3`))
      t.true(message.includes(`webpack: externals: [/^rdq(\\/|$)/, 'better-sqlite3']`))
    })
  }
}

test('esbuild, by its command line: the line of the error message is enough', async t => {
  const place = await installed().place('line', { 'app.js': fileProgram })
  const line = '--bundle --platform=node --format=cjs --external:rdq --external:better-sqlite3 --outfile=out.cjs'
  const cli = createRequire(import.meta.url).resolve('esbuild/bin/esbuild')

  await runs(t, [cli, 'app.js', ...line.split(' ')], place)

  t.is((await runs(t, ['out.cjs'], place)).stdout, '{"result":42}\n')
})
