/**
 * A process with a queue on a file, for tests that kill it. Argument: JSON of {@link Orders}. It prints these lines:
 * `ready`, `put <n>`, `start <payload> <attempt>`, `end <payload>`, `recovered <payload>`, `stopped`.
 */
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'

export interface Orders {
  readonly path: string
  readonly put?: number
  /** `hang`: the body never ends. `block`: it blocks the loop for ever. `none`: there is no handler. */
  readonly body: 'end' | 'hang' | 'block' | 'none'
  readonly width?: number
  /** Stops once all is done. */
  readonly drain?: boolean
  readonly stop?: boolean
  readonly stall?: `${number}s`
}

const orders: Orders = JSON.parse(process.argv[2] as string)
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const queue = new DispatchQueue<number>(
  orders.body === 'none'
    ? null
    : (payload, task) => {
        say(`start ${payload} ${task.attempt}`)
        if (orders.body === 'block') for (;;);
        if (orders.body === 'hang') return new Promise<void>(() => {})
        say(`end ${payload}`)
        return Promise.resolve()
      },
  {
    name: 'q',
    ...(orders.body !== 'none' && { width: orders.width ?? 2 }),
    backlog: new SqliteBacklog(orders.path, orders.stall ? { stall: orders.stall } : {}),
  },
)
queue.on('error', error => say(`error ${error}`))
await queue.ready()
say('ready')
if (orders.put) {
  await queue.putMany(Array.from({ length: orders.put }, (_, i) => i))
  say(`put ${orders.put}`)
}
if (orders.drain) {
  await queue.idle()
  say('idle')
}
if (orders.drain || orders.stop) {
  await queue.stop()
  say('stopped')
}
