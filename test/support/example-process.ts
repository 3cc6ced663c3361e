/** Runs an example of docs/examples/ as a process: reads its output, and ends it by signals. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { remove, temporary } from './temporary-folder.ts'

export interface Run {
  readonly child: ChildProcessWithoutNullStreams
  /** The next line on stderr that matches. */
  line(pattern: RegExp): Promise<string>
  /** The exit code, stdout, which is only the table, and stderr. */
  end(): Promise<{ code: number | null; table: string; output: string }>
}

/** Runs the example of this name with its backlog in `file`. */
export function start(name: string, file: string, ...args: string[]): Run {
  const program = fileURLToPath(new URL(`../../docs/examples/${name}.js`, import.meta.url))
  const child = spawn(process.execPath, [program, '--file', file, ...args])
  child.stdin.end()
  const exit = once(child, 'close')
  const table = text(child.stdout)
  let output = ''
  child.stderr.setEncoding('utf8').on('data', chunk => {
    output += chunk
  })
  const lines = createInterface(child.stderr)[Symbol.asyncIterator]()
  return {
    child,
    async line(pattern) {
      for (;;) {
        const { value, done } = await lines.next()
        if (done) throw new Error(`the program ended before it printed ${pattern}: ${output}`)
        if (pattern.test(value)) return value
      }
    },
    async end() {
      const [code] = (await exit) as [number | null]
      return { code, table: await table, output }
    },
  }
}

/** The number beside a word: after it in the live line and in the table. */
export function figure(text: string, word: string): number {
  return Number(new RegExp(`\\b${word}\\s+(\\d+)`).exec(text)?.[1] ?? Number.NaN)
}

export function temporaryFolder(t: ExecutionContext): string {
  const folder = temporary('example')
  t.teardown(() => remove(folder))
  return folder
}

export function fileWith(t: ExecutionContext, content: string): string {
  const file = join(temporaryFolder(t), 'records.jsonl')
  writeFileSync(file, content)
  return file
}

/** The content of a JSON Lines file with `count` lines. */
export function lines(count: number): string {
  return Array.from({ length: count }, (_, i) => JSON.stringify({ to: `+316${i}`, text: 'Hello' })).join('\n')
}
