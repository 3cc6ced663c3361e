/**
 * A process with one queue under a rate, in memory or on a file. Told what to be by JSON of {@link Orders} in its
 * argument; sends `ready`, works from the answer to that on, and sends the instants of its handlers' first lines at the
 * end.
 */
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { type Form, forms } from '../support/handler-forms.ts'

export interface Orders {
  readonly form: string
  readonly steps: number
  /** How long each step keeps the loop. */
  readonly stepMs: number
  readonly width: number
  readonly rate: { readonly limit: number; readonly per: number }
  /** How many jobs it puts. */
  readonly jobs: number
  /** A file; without one it works in memory. */
  readonly path?: string
}

const { form, steps, stepMs, width, rate, jobs, path }: Orders = JSON.parse(process.argv[2] as string)
const shared = path !== undefined
/** Of a clock that all processes share where they share a file; else of the one that the queue goes by. */
const now = shared ? () => Number(process.hrtime.bigint()) / 1e6 : () => performance.now()

const starts: number[] = []
const handler = (forms[form] as Form)(steps, i => {
  const at = now()
  if (i === 0) starts.push(at)
  while (now() < at + stepMs);
})
const queue = new DispatchQueue(handler, {
  ...{ name: 'limit', width, rate },
  ...(shared && { backlog: new SqliteBacklog(path, { durability: 'process' }) }),
})
await queue.ready()
process.send?.('ready')
process.once('message', async () => {
  await queue.putMany(Array.from({ length: jobs }, (_, i) => i))
  await queue.idle()
  await queue.stop()
  process.send?.(starts, () => process.disconnect())
})
