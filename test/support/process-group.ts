/** Runs a program and all processes that it starts as one group, which ends in time and leaves no process behind. */
import { spawn } from 'node:child_process'

export interface GroupEnd {
  /** The exit code; -1 if it was killed. */
  readonly code: number
  /** Whether it was killed because it took too long. */
  readonly late: boolean
  /** What it wrote to either output, at most the last 4 MiB. */
  readonly output: string
  readonly seconds: number
}

export interface GroupOptions {
  readonly cwd: string
  readonly limitMs: number
  readonly env?: NodeJS.ProcessEnv
  /** Called with each line as it arrives. If it returns true, the group is killed. */
  readonly line?: (line: string) => unknown
}

const maxOutput = 4 * 2 ** 20
const groups = new Set<number>()

function end(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // All of its processes have ended.
  }
}

process.once('exit', () => {
  for (const group of groups) end(group)
})
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  // A signal to this process is meant for the processes that it started, too.
  process.on(signal, () => {
    if (groups.size > 0) process.exit(code)
  })
}

/** Runs a JavaScript file with this Node, for at most `limitMs`, and kills the processes that are left of it. */
export function nodeGroup(args: readonly string[], { cwd, limitMs, env = {}, line }: GroupOptions): Promise<GroupEnd> {
  const startedAt = process.hrtime.bigint()
  const child = spawn(process.execPath, args, {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FORCE_COLOR: '0', NO_COLOR: '1', ...env },
  })
  const group = child.pid
  if (group !== undefined) groups.add(group)
  let output = ''
  let unfinished = ''
  const append = (text: string): void => {
    output = (output + text).slice(-maxOutput)
    if (!line) return
    const lines = (unfinished + text).split('\n')
    unfinished = lines.pop() as string
    for (const each of lines) if (line(each) === true && group !== undefined) end(group)
  }
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', append)
  return new Promise((resolve, reject) => {
    let late = false
    const patience = setTimeout(() => {
      late = true
      if (group !== undefined) end(group)
    }, limitMs)
    child.once('error', reject)
    child.once('exit', () => {
      clearTimeout(patience)
      // Its children, if any are left, keep the outputs open.
      if (group !== undefined) end(group)
    })
    child.once('close', code => {
      if (group !== undefined) groups.delete(group)
      if (line && unfinished !== '') line(unfinished)
      const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
      resolve({ code: late ? -1 : (code ?? -1), late, output, seconds })
    })
  })
}
