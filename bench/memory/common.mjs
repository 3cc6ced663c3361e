/** What the parts of this suite share: their jobs, and a queue that waits. */
import { rdq } from '../rdq.mjs'

export const job = async payload => payload
export const priorityOf = i => (i * 7_919) % 1_000
export const longestPutMany = 50_000

export async function pausedQueue(handler = () => {}) {
  const { DispatchQueue } = await rdq()
  return new DispatchQueue(handler, { width: 10, paused: true })
}

export async function inChunks(n, each) {
  for (let from = 0; from < n; from += longestPutMany) await each(from, Math.min(n, from + longestPutMany))
}

export function range(from, to) {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

/** The `i`th of a sequence of fractions that are all different and in no order. */
export function scatter(i) {
  return (i * 0.618_033_988_749_895) % 1
}

export function count(n) {
  return n.toLocaleString('en-US')
}

export function ignore() {}
