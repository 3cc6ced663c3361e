/**
 * Three processes on one file make random requests, and die now and then. After each step the counters equal a count of
 * the rows, every job is in one place, and no job is claimed twice or ends twice.
 */
import test from 'ava'
import type { SettleKind } from '../../lib/backlog.ts'
import { keep } from '../../testing/contract/store-requests.ts'
import { fileName, Process } from '../support/sqlite-store.ts'

const seeds = Array.from({ length: 12 }, (_, i) => 1_000 + i)
const kinds: readonly SettleKind[] = [
  ...([
    'finished',
    'finished',
    'failed',
    'cancelled',
    'retry',
    'snooze',
    'throttled',
    'interrupted',
    'notLaunched',
  ] as const),
]

/** mulberry32: the same numbers for the same seed. */
const randomOf = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

interface Running {
  readonly seq: number
  readonly fence: number
  readonly grant: number
  /** When the body was called: within the grace, though its process may not live to tell. */
  readonly startedAt: number
}

for (const seed of seeds) {
  test(`seed ${seed}: no job is lost, doubled or miscounted`, t => {
    const random = randomOf(seed)
    const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T
    const path = fileName()
    const limited = random(2) === 1
    const rate = limited ? [{ limit: 20, perMs: 100, unit: undefined, burst: undefined }] : undefined
    const policy = pick(['again', 'ask', 'fail'] as const)
    let now = 0
    const start = (): Process => {
      const process = new Process(path)
      process.attach({ rate, afterCrash: policy, keep: { ...keep, finishedMs: random(2) * 50 } })
      return process
    }
    const processes = [start(), start(), start()]
    const running = new Map<Process, Running[]>(processes.map(process => [process, []]))
    const out = new Map<number, number>()
    const ended = new Set<number>()
    const starts: number[] = []
    let put = 0
    let removed = 0
    let retried = 0

    const take = (process: Process, seq: number, fence: number, grant: number): void => {
      t.true(fence > (out.get(seq) ?? 0), `the fence of ${seq} did not grow`)
      out.set(seq, fence)
      const startedAt = now + random(5)
      running.get(process)?.push({ seq, fence, grant, startedAt })
      if (grant > 0) starts.push(startedAt)
    }
    const step = (process: Process): void => {
      process.now = now
      process.wall = 1_000_000 + now
      const mine = running.get(process) as Running[]
      const any = (): number => 1 + random(Math.max(put, 1))
      switch (random(10)) {
        case 0:
        case 1: {
          const jobs = Array.from({ length: 1 + random(6) }, () => ({
            payload: `${put++}`,
            priority: random(3),
            more: pick([
              {},
              {},
              { key: pick(['k', 'l']) },
              { dueAt: now + random(60) },
              { runAt: 1_000_000 + now + random(60) },
            ]),
          }))
          process.put(jobs)
          return
        }
        case 2: {
          const { changed } = process.command({ kind: 'cancel', target: any(), reason: undefined })
          for (const { seq } of changed) ended.add(seq)
          return
        }
        case 3: {
          try {
            const kind = pick(['retry', 'remove'] as const)
            const { changed } = process.command({ kind, target: any() })
            for (const { seq } of changed) ended.delete(seq)
            if (kind === 'retry') retried += changed.length
            else removed += changed.length
          } catch (error) {
            t.regex((error as { code: string }).code, /JOB_STATE|JOB_UNKNOWN/)
          }
          return
        }
        case 4:
          if (random(12) === 0) process.command({ kind: 'clear', reason: '"c"' })
          return
        case 5: {
          if (random(4) > 0) return
          process.die()
          running.delete(process)
          const heir = start()
          heir.now = now
          heir.wall = 1_000_000 + now
          processes[processes.indexOf(process)] = heir
          running.set(heir, [])
          pick(processes).store.recover(process.token, now, 1_000_000 + now)
          return
        }
        default: {
          const settled = mine.splice(0, random(mine.length + 1)).map(({ seq, fence, grant, startedAt }) => {
            const kind = pick(kinds)
            if (kind === 'notLaunched' && grant > 0) starts.splice(starts.indexOf(startedAt), 1)
            const waitMs = random(2) * 20
            const hold = kind === 'throttled' && random(2) === 0 ? { heldKey: 'k' } : {}
            return { seq, fence, kind, extras: { waitMs, ...(kind === 'notLaunched' && { grant }), ...hold } }
          })
          const exchange = process.exchange({
            ...{ settled, room: random(12) },
            confirmed: mine.slice(0, 3).flatMap(({ grant, startedAt }) => (grant > 0 ? [grant, startedAt] : [])),
            checkpoints: mine.slice(0, 1).map(({ seq, fence }) => ({ seq, fence, value: '1' })),
          })
          const lost = new Set(exchange.notices?.lostRuns)
          for (const { seq, kind } of settled) {
            if (lost.has(seq) || (kind !== 'finished' && kind !== 'failed' && kind !== 'cancelled')) continue
            t.false(ended.has(seq), `${seq} ended twice`)
            ended.add(seq)
          }
          for (const { seq } of exchange.endedUnrun) ended.add(seq)
          exchange.claimed.seqs.forEach((seq, i) => {
            take(process, seq, exchange.claimed.fences[i] as number, (exchange.grants?.[i] ?? 0) as number)
          })
          for (const { seq, fence } of exchange.notices?.needVerdict ?? []) take(process, seq, fence, 0)
        }
      }
    }

    for (let steps = 0; steps < 400; steps++) {
      now += random(15)
      step(pick(processes))
      const [process] = processes as [Process]
      const count = (sql: string): number => process.db.prepare(`select count(*) from ${sql}`).pluck().get() as number
      const lane = 'epoch in (select epoch from rdq_queue)'
      const inStretches = (of: string): number =>
        process.db.prepare(`select coalesce(sum(jobs), 0) from rdq_ready_range where ${of}`).pluck().get() as number
      const counts = process.db
        .prepare('select pending, delayed, underway, finished + failed + cancelled as ended from rdq_queue')
        .get() as Record<string, number>
      t.deepEqual(
        [counts.pending, counts.delayed, counts.underway],
        [
          count(`rdq_ready where ${lane}`) + count(`rdq_pending_by_key where ${lane}`) + inStretches(lane),
          count(`rdq_delayed where ${lane}`),
          count('rdq_underway'),
        ],
        `step ${steps}`,
      )
      const places = ['rdq_ready', 'rdq_pending_by_key', 'rdq_delayed', 'rdq_underway', 'rdq_ended']
      t.is(
        places.reduce((sum, table) => sum + count(table), inStretches('true')),
        count('rdq_job'),
        `step ${steps}`,
      )
      const all = (counts.pending ?? 0) + (counts.delayed ?? 0) + (counts.underway ?? 0) + (counts.ended ?? 0)
      t.is(all, put - removed, `step ${steps}`)
    }
    starts.sort((a, b) => a - b)
    const crowded = starts.filter((at, i) => (starts[i + 20] ?? Infinity) < at + 100)
    t.deepEqual(crowded, [], 'more than 20 starts in 100 ms')
    t.true(!limited || starts.some((at, i) => (starts[i + 19] ?? Infinity) < at + 120), 'the rate never mattered')
    t.true(out.size > 20 && ended.size > 5, 'too little happened')
    const [last] = processes as [Process]
    t.is(last.db.pragma('integrity_check', { simple: true }), 'ok')
    t.log(`${put} put, ${out.size} ran, ${ended.size} ended, ${removed} removed, ${retried} retried`)
  })
}
