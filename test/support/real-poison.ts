/** Real processes run jobs of which some kill them. A new process replaces each dead one, until all jobs have ended. */

import { readFileSync } from 'node:fs'
import { DispatchQueue, type Job } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { check, History } from '../../testing/index.ts'
import { type WorkerPool, workerPool } from './worker-pool.ts'

export interface PoisonLoad {
  /** How many innocent jobs, and the payloads of those that kill (`poison` in worker.ts). */
  readonly jobs: number
  readonly poisons: readonly number[]
  readonly width: number
  readonly together: number
  readonly crashLimit?: number
}

export interface PoisonResult {
  readonly deaths: number
  readonly finished: number
  /** The payloads of those that failed. */
  readonly condemned: readonly number[]
  /** What the checkers found. */
  readonly wrong: readonly string[]
}

/** More deaths than any runPoison can cost. */
const deathsMost = 60

export async function runPoison({ jobs, poisons, width, together, crashLimit = 3 }: PoisonLoad): Promise<PoisonResult> {
  const c = workerPool()
  const keep = { finished: '1d', failed: '1d' } as const
  const putter = new DispatchQueue<number>(null, { name: 'q', backlog: new SqliteBacklog(c.path) })
  const payloads = Array.from({ length: jobs }, (_, i) => i)
  payloads.splice(Math.min(width, jobs) >> 1, 0, ...poisons)
  await putter.putMany(payloads)
  const gone = (): boolean => {
    const { pending, delayed, underway } = putter.counts
    return pending + delayed + underway === 0
  }
  let deaths = 0
  let started = 0
  const place = async (): Promise<void> => {
    while (!gone() && deaths < deathsMost) {
      const who = `p${++started}`
      const worker = c.start({ who, body: 'poison', width, crashLimit, keep, history: c.history })
      const works = async (): Promise<string> => {
        await worker.reported('ready')
        await worker.send('idle')
        await worker.send('stop')
        await worker.release()
        return 'idle'
      }
      // One that dies is asked in vain.
      const outcome = await works().catch(() => worker.exited)
      if (outcome === 'idle') return
      c.note('gone', who)
      deaths++
    }
  }
  await Promise.all(Array.from({ length: together }, place))
  // Read from the file: the counts of this process are as of its last look, which may be before the last ending.
  const failed: Job<number>[] = await putter.jobs({ state: 'failed', limit: 10_000 })
  const finished = await putter.jobs({ state: 'finished', limit: 10_000 })
  await putter.stop()
  return {
    deaths,
    finished: finished.length,
    condemned: failed.map(({ payload }) => payload).sort((a, b) => a - b),
    wrong: [...judge(c), ...c.checkFile()],
  }
}

function judge(c: WorkerPool): string[] {
  const text = readFileSync(c.history, 'utf8')
  const recorded = History.from(text).entries
  const crashes = c.log().flatMap(line => {
    if (line.what !== 'gone') return []
    const own = recorded.findLast(({ process }) => process === line.who)
    const entry = {
      seq: 0,
      nowMs: own?.nowMs ?? 0,
      wallMs: own?.wallMs ?? 0,
      process: line.who,
      queue: '',
      kind: 'crash',
    }
    return [`${JSON.stringify(entry)}\n`]
  })
  // What was put, and in what order, was not recorded.
  const { violations } = check(History.from(text, crashes.join('')), {
    except: ['I1', 'I2', 'I6', 'I7', 'I8', 'I15', 'I16'],
    slackMs: 1_000,
  })
  return violations.map(({ invariant, message }) => `${invariant}: ${message}`)
}
