/**
 * The soak of a service in memory: jobs that fail, jobs with ids, and a queue for each request that is dropped without a
 * stop. What the process holds after many of them is what it held after the first, which filled what is kept.
 */
import { getEventListeners } from 'node:events'
import { DispatchQueue } from '../../lib/index.ts'
import { compare, leastHeap, type Reading, type Verdict } from './measure.ts'

export interface Served {
  readonly failures: number
  readonly ids: number
  readonly requests: number
}

/** More than is kept of each by default: after so many it is full. */
const first: Served = { failures: 12_000, ids: 12_000, requests: 1_000 }
/** So many are on their way at a time. */
const atOnce = 1_000

export async function serve(
  served: Served,
): Promise<{ readonly verdicts: readonly Verdict[]; readonly wrong: string[] }> {
  const wrong: string[] = []
  const { signal } = new AbortController()
  const failing = new DispatchQueue<number, void>(
    n => {
      throw new Error(`request ${n} fails`)
    },
    { width: 10, signal },
  )
  failing.on('failed', () => {})
  const named = new DispatchQueue<number, number>(n => n, { width: 10, signal })
  let serial = 0
  const inParts = async (count: number, part: (from: number, size: number) => Promise<unknown>): Promise<void> => {
    for (let done = 0; done < count; done += atOnce) await part(done, Math.min(atOnce, count - done))
  }
  const all = (size: number, one: () => Promise<unknown>): Promise<unknown> =>
    Promise.all(Array.from({ length: size }, one))
  const load = async ({ failures, ids, requests }: Served): Promise<void> => {
    await inParts(failures, async (from, size) => {
      await failing.putMany(Array.from({ length: size }, (_, i) => from + i))
      await failing.idle()
    })
    await inParts(ids, (_, size) => all(size, () => named.run(1, { id: `id of request ${serial++}` })))
    await inParts(requests, (_, size) => all(size, () => new DispatchQueue((n: number) => n, { signal }).run(1)))
  }
  const read = async (): Promise<Reading> => ({
    'heap, MiB': await leastHeap(),
    'listeners of the signal': getEventListeners(signal, 'abort').length,
  })

  await load(first)
  const before = await read()
  await load(served)
  const after = await read()
  for (const [queue, most] of [
    [failing, 10_000],
    [named, 0],
  ] as const) {
    let kept = 0
    for (let page = await queue.jobs({ limit: 1_000 }); page.length > 0; ) {
      kept += page.length
      page = await queue.jobs({ limit: 1_000, after: page.at(-1) as never })
    }
    if (kept !== most) wrong.push(`${kept} jobs are kept, and ${most} may be`)
  }
  await Promise.all([failing.stop(), named.stop()])
  return { verdicts: compare(before, after), wrong }
}
