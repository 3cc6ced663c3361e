/** The soak: a load for a while on one kind of backlog; what is held after it against what was held before. */
import { existsSync } from 'node:fs'
import { checkFile } from '../support/file-check.ts'
import { randomOf } from '../support/random.ts'
import { remove, temporary } from '../support/temporary-folder.ts'
import { Load } from './load.ts'
import { compare, read, type Verdict } from './measure.ts'

export interface Soaked {
  readonly verdicts: readonly Verdict[]
  readonly rounds: number
  readonly jobs: number
  readonly seconds: number
  /** What was wrong besides, as lines. */
  readonly wrong: readonly string[]
}

/** This share of the time is for caches to fill and code to be compiled, before the first reading. */
const warmUp = 0.25
const leastRounds = 3

const mostMs = 120_000

/** Nothing in a soak is waited for without end: what hangs is what it is to find. */
async function inTime(work: Promise<void>, what: string): Promise<void> {
  let patience: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    patience = setTimeout(() => reject(new Error(`${what} did not come to its end in ${mostMs} ms`)), mostMs)
  })
  await Promise.race([work, late]).finally(() => clearTimeout(patience))
}

export async function soak(kind: 'memory' | 'sqlite', forMs: number, seed: number): Promise<Soaked> {
  const folder = temporary('soak')
  const wrong: string[] = []
  try {
    const load = new Load(kind, folder, randomOf(seed))
    const startedAt = performance.now()
    let rounds = 0
    const until = async (share: number, least: number): Promise<void> => {
      for (let i = 0; i < least || performance.now() - startedAt < share * forMs; i++) {
        await inTime(load.round(), 'a round')
        rounds++
      }
      await inTime(load.rest(), 'the rest')
    }
    await until(warmUp, leastRounds)
    const before = await read(load)
    const warm = load.jobs
    await until(1, leastRounds)
    const after = await read(load)
    await inTime(load.stop(), 'the stop')
    for (const error of load.wrong) wrong.push(`an error event: ${String(error)}`)
    if (load.path !== undefined) {
      wrong.push(...checkFile(load.path))
      if (existsSync(`${load.path}-wal`)) wrong.push('the log is still there after the stop')
    }
    const verdicts = compare(before, after)
    return { verdicts, rounds, jobs: load.jobs - warm, seconds: (performance.now() - startedAt) / 1_000, wrong }
  } finally {
    remove(folder)
  }
}
