/** rdq bundled: in memory it needs nothing, and a file wants rdq and better-sqlite3 external. docs/guides/bundlers-and-test-runners.md */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import test from 'ava'
import * as esbuild from 'esbuild'
import webpack from 'webpack'
import { fileProgram } from '../../build/test/support/bundled-programs.js'
import { bundlerTests } from '../../build/test/support/bundler-tests.js'
import { packed, runs } from './support.mjs'

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

for (const [name, bundle] of Object.entries(bundlers)) bundlerTests(name, bundle, installed)

test('esbuild, by its command line: the line of the error message is enough', async t => {
  const place = await installed().place('line', { 'app.js': fileProgram })
  const line = '--bundle --platform=node --format=cjs --external:rdq --external:better-sqlite3 --outfile=out.cjs'
  const cli = createRequire(import.meta.url).resolve('esbuild/bin/esbuild')

  await runs(t, [cli, 'app.js', ...line.split(' ')], place)

  t.is((await runs(t, ['out.cjs'], place)).stdout, '{"result":42}\n')
})
