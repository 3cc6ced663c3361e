/**
 * Runs many schedules, one for each seed, in several threads. Some seeds run twice, because the same seed must give the
 * same history.
 */
import { Worker } from 'node:worker_threads'
import { Faults } from './faults.ts'
import { planOf } from './plan.ts'
import { simulate } from './schedule.ts'

export interface ManyOptions {
  readonly seed: number
  readonly schedules: number
  readonly workers: number
  /** Called after each batch with the number of finished schedules. */
  readonly progress?: (done: number) => void
}
export interface Many {
  readonly schedules: number
  readonly seconds: number
  readonly deliveries: number
  /** How often each kind of fault fired. */
  readonly faults: Faults
  /** Kinds that never fired. A long run in which a kind never fired proves nothing about it. */
  readonly missing: readonly string[]
  readonly failures: readonly Failure[]
  /** Seeds that were run twice. */
  readonly twice: number
}
export interface Failure {
  readonly seed: number
  readonly violations: readonly string[]
}
/** The outcome of a batch of consecutive seeds. */
export interface Batch {
  readonly done: number
  readonly deliveries: number
  readonly twice: number
  readonly faults: readonly (readonly [string, number])[]
  readonly failures: readonly Failure[]
}

/** In this number of schedules each kind of fault fires: the rarest once in about 1,000. */
export const enough = 5_000
const batchSize = 50
/** Each seed that this number divides is run twice. */
const twiceEach = 40

export async function runBatch(from: number, to: number): Promise<Batch> {
  const faults = new Faults()
  const failures: Failure[] = []
  let deliveries = 0
  let twice = 0
  for (let seed = from; seed < to; seed++) {
    const outcome = await simulate(planOf(seed))
    const violations = [...outcome.violations]
    faults.add(outcome.faults)
    deliveries += outcome.deliveries
    if (seed % twiceEach === 0) {
      twice++
      const rerun = await simulate(planOf(seed))
      if (rerun.digest !== outcome.digest) violations.push('I22: the same seed made another history')
    }
    if (violations.length > 0) failures.push({ seed, violations })
  }
  return { done: to - from, deliveries, twice, faults: [...faults.counts], failures }
}

export async function many({ seed, schedules, workers, progress }: ManyOptions): Promise<Many> {
  const began = performance.now()
  const faults = new Faults()
  const failures: Failure[] = []
  let [next, done, deliveries, twice] = [seed, 0, 0, 0]
  const end = seed + schedules
  const take = (batch: Batch): void => {
    done += batch.done
    deliveries += batch.deliveries
    twice += batch.twice
    faults.add(batch.faults)
    failures.push(...batch.failures)
    progress?.(done)
  }
  const deal = (): readonly [number, number] | undefined => {
    if (next >= end) return undefined
    const from = next
    next = Math.min(from + batchSize, end)
    return [from, next]
  }
  if (workers <= 1) for (let some = deal(); some; some = deal()) take(await runBatch(...some))
  else await Promise.all(Array.from({ length: workers }, () => employ(deal, take)))
  failures.sort((a, b) => a.seed - b.seed)
  const seconds = (performance.now() - began) / 1_000
  return { schedules, seconds, deliveries, faults, missing: faults.missing, failures, twice }
}

/** One thread, which runs batches until there are no more. */
function employ(deal: () => readonly [number, number] | undefined, take: (batch: Batch) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./many-worker.js', import.meta.url))
    const sendNext = (): void => {
      const some = deal()
      worker.postMessage(some ?? 'over')
    }
    worker.on('message', (batch: Batch) => {
      take(batch)
      sendNext()
    })
    worker.on('error', reject)
    worker.on('exit', () => resolve())
    sendNext()
  })
}
