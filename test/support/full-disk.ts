/**
 * A process that works on a disk of its own, fills it and frees it. Its argument is the folder of the disk. It prints its
 * findings as one line of JSON. With `dying` it works on the file until it is killed.
 */
import { fork } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { checkFile } from './file-check.ts'

const [folder = '', role] = process.argv.slice(2)
const path = join(folder, 'jobs.db')
const ballast = join(folder, 'ballast')
/** So much of the disk is freed later on. */
const ballastBytes = 10 * 2 ** 20
const payload = 'x'.repeat(20_000)

const ran: string[] = []
const errors = new Set<string>()
const queue = new DispatchQueue<string, void>(async (_, task) => void ran.push(task.id), {
  ...{ name: 'q', width: 5, paused: role !== 'dying', backlog: new SqliteBacklog(path) },
})
queue.on('error', error => errors.add((error as { code: string }).code))
await queue.ready()
if (role === 'dying') {
  queue.on('underway', () => process.send?.('underway'))
  await new Promise(() => {})
}

writeFileSync(ballast, Buffer.alloc(ballastBytes))
const accepted: string[] = []
const refused = new Set<string>()
/** One put that is refused could be one for which there was just no room. */
for (let i = 0, failures = 0; failures < 3 && i < 5_000; i++) {
  await queue.put(payload, { id: `job-${i}` }).then(
    job => accepted.push(job.id),
    error => {
      failures++
      refused.add(error.code)
    },
  )
}
const whenFull = checkFile(path)

const child = fork(fileURLToPath(import.meta.url), [folder, 'dying'], {
  execArgv: [],
  stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
})
child.stderr?.on('data', text => process.stderr.write(text))
const exited = new Promise(resolve => child.once('exit', resolve))
await Promise.race([
  new Promise(resolve => child.once('message', resolve)),
  new Promise(resolve => setTimeout(resolve, 1_500)),
])
child.kill('SIGKILL')
await exited
const whenKilled = checkFile(path)

rmSync(ballast)
queue.resume()
await queue.idle()
const { finished, failed } = queue.counts
await queue.stop()
const reported = {
  accepted: accepted.length,
  refused: [...refused],
  errors: [...errors],
  finished,
  failed,
  ran: ran.length,
}
process.stdout.write(`${JSON.stringify({ ...reported, wrong: [...whenFull, ...whenKilled, ...checkFile(path)] })}\n`)
