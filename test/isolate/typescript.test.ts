/** Handlers in TypeScript, which Node.js 22.18 and later runs by stripping the types. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { inThread } from '../../lib/in-thread/index.ts'
import { DispatchQueue, type HandlerUrl } from '../../lib/index.ts'
import { kinds } from '../support/isolated.ts'
import { temporaryUntilExit } from '../support/temporary-folder.ts'

const folder = temporaryUntilExit('typescript')
function moduleOf(name: string, text: string): HandlerUrl {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return pathToFileURL(path) as HandlerUrl
}

const { typescript } = process.features as { readonly typescript?: string | false }
const whereStripped = typescript ? test.serial : test.serial.skip
const whereNot = typescript ? test.serial.skip : test.serial
const needs = 'Node.js 22.18 or later, which strips types'

const double = `
import type { Task } from 'rdq'
interface Payload { readonly n: number }
export default async function* ({ n }: Payload, task: Task): AsyncGenerator<undefined, number> {
  task.progress(n satisfies number)
  yield
  return (n as number) * 2
}`
const sum = 'export default (...all: readonly number[]): number => all.reduce((a: number, b: number) => a + b)'
const remedy = /; this Node\.js does not run this TypeScript: compile the module, and give the URL of its \.js file$/

/** Why the module cannot be loaded: as a handler in threads and in processes, and by a call in a thread. */
async function refusalsOf(url: HandlerUrl): Promise<readonly string[]> {
  const messageOf = (error: Error): string => error.message
  const byQueue = kinds.map(async kind => {
    const queue = new DispatchQueue<number, number>(url as never, { isolate: kind })
    queue.on('error', () => {})
    const said = await queue.ready().then(() => 'loaded', messageOf)
    await queue.stop()
    return said
  })
  return Promise.all([...byQueue, inThread(url as never, [] as never).then(() => 'loaded', messageOf)])
}

for (const kind of kinds) {
  whereStripped(`${kind}: a handler in TypeScript runs (needs ${needs})`, async t => {
    for (const name of [`${kind}.ts`, `${kind}.mts`]) {
      const queue = new DispatchQueue<{ n: number }, number>(moduleOf(name, double) as never, { isolate: kind })
      const progress: unknown[] = []
      queue.on('progress', (_, value) => progress.push(value))

      t.is(await queue.run({ n: 21 }), 42)
      t.deepEqual(progress, [21])
      await queue.stop()
    }
  })
}

whereStripped(`inThread: a module in TypeScript is called (needs ${needs})`, async t => {
  t.is(await inThread(moduleOf('sum.ts', sum) as never, [20, 22] as never), 42)
})

whereStripped(`TypeScript that cannot be stripped is refused, with the way out (needs ${needs})`, async t => {
  const module = 'enum By { two = 2 }\nexport default (n: number): number => n * By.two'

  for (const said of await refusalsOf(moduleOf('enum.ts', module))) t.regex(said, remedy)
})

whereStripped(`TypeScript of an installed package is refused, with the way out (needs ${needs})`, async t => {
  for (const said of await refusalsOf(moduleOf('node_modules/sum/sum.ts', sum))) t.regex(said, remedy)
})

whereNot(
  'TypeScript is refused, with the way out (needs Node.js before 22.18, which does not strip types)',
  async t => {
    for (const said of await refusalsOf(moduleOf('sum.ts', sum))) t.regex(said, remedy)
  },
)
