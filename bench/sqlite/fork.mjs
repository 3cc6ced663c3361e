/** A process beside the measuring one, on the same file. It ends when that one does, however it ended. */
import { fork } from 'node:child_process'
import { once } from 'node:events'

const path = new URL('./worker.mjs', import.meta.url)

/**
 * @param {'work' | 'hang'} task
 * @param {object} params
 */
export function worker(task, params) {
  const child = fork(path, [task, JSON.stringify(params)], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  const next = async () => {
    const [answer] = await Promise.race([
      once(child, 'message'),
      once(child, 'close').then(([code, signal]) => {
        throw new Error(`a worker ended early (${signal ?? `code ${code}`})`)
      }),
    ])
    return answer
  }
  return {
    next,
    say: message => child.send(message),
    kill: () => {
      const closed = once(child, 'close')
      child.kill('SIGKILL')
      return closed
    },
  }
}
