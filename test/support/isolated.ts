/** Queues whose handler runs in threads or processes, for journeys. */
import type { ExecutionContext } from 'ava'
import type { HandlerUrl, IsolateOptions, QueueOptions } from '../../lib/index.ts'
import { DispatchQueue } from './backlog-under-test.ts'
import type { Order } from './isolated-handler.ts'

export const kinds = ['thread', 'process'] as const
export type Kind = (typeof kinds)[number]

// biome-ignore lint/suspicious/noExplicitAny: each order has a result of its own.
export type IsolatedQueue = DispatchQueue<Order, any>

const url = new URL('./isolated-handler.js', import.meta.url) as HandlerUrl

export function isolated(
  kind: Kind,
  { isolate, ...options }: Omit<QueueOptions<Order, unknown>, 'isolate'> & { isolate?: Partial<IsolateOptions> } = {},
): IsolatedQueue {
  const queue = new DispatchQueue<Order, unknown>(url as never, { ...options, isolate: { kind, count: 2, ...isolate } })
  return queue as IsolatedQueue
}

/** The events of that name, as they come; for waiting until so many have. */
export function listen(
  queue: IsolatedQueue,
  event: 'recovered' | 'error' | 'retry' | 'progress' | 'finished',
): { readonly received: readonly unknown[][]; readonly until: (count: number) => Promise<void> } {
  const received: unknown[][] = []
  const waiters: { readonly count: number; readonly resolve: () => void }[] = []
  queue.on(event, (...args: unknown[]) => {
    received.push(args)
    for (const { count, resolve } of waiters) if (received.length >= count) resolve()
  })
  const until = (count: number): Promise<void> =>
    new Promise(resolve => (received.length >= count ? resolve() : waiters.push({ count, resolve })))
  return { received, until }
}

/** Whether a process of that number exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Waits in real time until the condition holds: of other processes and threads nothing else can be awaited. */
export async function eventually(
  t: ExecutionContext,
  holds: () => boolean,
  what: string,
  limitMs = 30_000,
): Promise<void> {
  const until = performance.now() + limitMs
  while (!holds()) {
    if (performance.now() > until) return t.fail(`${what}: not within ${limitMs} ms`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
