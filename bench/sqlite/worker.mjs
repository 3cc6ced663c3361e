/** Another process on the file: `node worker.mjs work|hang <params>`, started by fork.mjs, which it outlives in no case. */
import { once } from 'node:events'
import { ignore, payloadsOf, queueOnFile } from './file.mjs'

process.once('disconnect', () => process.exit())
const [task, params] = process.argv.slice(2)
await { work, hang }[task](JSON.parse(params))

/** Works, once it is told to, on what is there, and tells how many jobs it ran when nothing is left. */
async function work({ path }) {
  let ran = 0
  const queue = await queueOnFile(
    () => {
      ran++
    },
    { path, paused: true },
  )
  process.send('ready')
  await once(process, 'message')
  queue.resume()
  await queue.idle()
  process.send(ran)
}

/** Puts `n` jobs, takes them all up, and never ends one. */
async function hang({ path, n }) {
  let underway = 0
  const queue = await queueOnFile(
    () => {
      if (++underway === n) process.send('underway')
      return new Promise(ignore)
    },
    { path, width: n },
  )
  await queue.putMany(payloadsOf(n))
}
