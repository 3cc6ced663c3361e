/**
 * A storm: processes put and work, are killed at random, and others take their place, until so many have died. Then one
 * works off the rest, and the log of all is held against what the file says.
 *
 * Half of the deaths come from outside, at random instants; half from inside, before a random statement of the thread.
 */
import { DispatchQueue, type Job } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import type { Crew, Line, Mate } from '../support/crew.ts'
import type { Orders } from '../support/mate.ts'

export interface Storm {
  readonly kills: number
  /** How many processes are there at a time; 3. */
  readonly together?: number
  readonly seed: number
}

const keep = { finished: '1d' } as const
const putsOfEach = 12

/** Resolves with what was wrong, as lines; with none if nothing was. */
export async function storm(c: Crew, { kills, together = 3, seed }: Storm): Promise<string[]> {
  const random = randomOf(seed)
  const wrong: string[] = []
  let left = kills
  const line = async (): Promise<void> => {
    while (left > 0) {
      const who = `p${left--}`
      const inside = random() < 0.5
      const orders: Omit<Orders, 'path' | 'log'> = {
        ...{ who, body: random() < 0.5 ? 'slow' : 'end', width: 1 + Math.floor(random() * 4), crashLimit: 1_000 },
        ...{ puts: putsOfEach, keep },
        ...(inside && { fate: { at: 'statement', of: 'any', nth: 1 + Math.floor(random() * 400) } }),
      }
      const afterMs = 60 + random() * 250
      const mate = c.hire(orders)
      const timer = setTimeout(() => kill(mate), inside ? 4_000 : afterMs)
      await mate.exited
      clearTimeout(timer)
      c.note('gone', who)
      wrong.push(...c.autopsy().map(found => `after ${who}: ${found}`))
    }
  }
  const kill = (mate: Mate): void => {
    c.note('kill', mate.who)
    mate.kill()
  }
  await Promise.all(Array.from({ length: together }, line))
  // What is wrong already may keep the rest from ever coming to an end.
  if (wrong.length === 0) wrong.push(...(await rest(c)))
  wrong.push(...c.autopsy().map(found => `at the end: ${found}`))
  return wrong
}

/** Works off what is left, and compares the file with the log. */
async function rest(c: Crew): Promise<string[]> {
  const wrong: string[] = []
  const backlog = new SqliteBacklog(c.path, { durability: 'process' })
  const queue = new DispatchQueue<number>((_, task) => c.note('start', 'rest', task.id), {
    ...{ name: 'q', backlog, width: 20, keep, crashLimit: 1_000 },
  })
  queue.on('finished', job => c.note('finished', 'rest', job.id))
  await queue.idle()
  const finished = new Map<string, Job<number>>()
  for (let after: Job<number> | undefined; ; ) {
    const page: Job<number>[] = await queue.jobs({ state: 'finished', limit: 1_000, ...(after && { after }) })
    for (const job of page) finished.set(job.id, job)
    after = page.at(-1)
    if (!after) break
  }
  const { counts } = queue
  await queue.stop()

  if (counts.finished !== finished.size) wrong.push(`${counts.finished} are counted, and ${finished.size} are there`)
  const others = counts.failed + counts.cancelled + counts.pending + counts.delayed + counts.underway
  if (others > 0) wrong.push(`${others} have not finished`)
  const accepted = c.jobs('accepted')
  for (const id of accepted) if (!finished.has(id)) wrong.push(`${id} was accepted and is lost`)
  for (const [id, { attempt }] of finished) if (attempt !== 1) wrong.push(`${id} finished at attempt ${attempt}`)
  return [...wrong, ...historiesOf(c.log(), finished)]
}

/** Each job by itself: no two bodies at a time, no start after an ending was told, and one ending told at most. */
function historiesOf(log: readonly Line[], finished: ReadonlyMap<string, unknown>): string[] {
  const wrong: string[] = []
  const goneAt = new Map(log.filter(({ what }) => what === 'gone').map(({ who, atMs }) => [who, atMs]))
  const killedAt = new Map(log.filter(({ what }) => what === 'kill').map(({ who, atMs }) => [who, atMs]))
  const byJob = new Map<string, Line[]>()
  for (const line of log) {
    if (!['start', 'end', 'finished'].includes(line.what)) continue
    const lines = byJob.get(line.job)
    if (lines) lines.push(line)
    else byJob.set(line.job, [line])
  }
  for (const [id, lines] of byJob) {
    lines.sort((a, b) => a.atMs - b.atMs)
    const before = wrong.length
    if (!finished.has(id)) wrong.push(`${id} ran and is not there`)
    const told = lines.filter(({ what, who }) => what === 'finished' && ranIn(lines, who))
    if (told.length > 1) wrong.push(`${id}: two endings were told`)
    for (const [i, line] of lines.entries()) {
      const last = lines[i - 1]
      if (line.what !== 'start' || !last) continue
      if (told.includes(last)) wrong.push(`${id} started after its ending was told`)
      // Whoever ran it before was killed from outside after this instant at the earliest; from inside nobody wrote it down.
      const dead = killedAt.get(last.who)
      if (last.who === line.who) wrong.push(`${id} started twice in ${line.who}`)
      else if (dead !== undefined && dead > line.atMs) wrong.push(`${id} ran in ${last.who} and ${line.who} at a time`)
      else if (!goneAt.has(last.who)) wrong.push(`${id} was taken from ${last.who}, which lives`)
    }
    if (wrong.length > before) {
      const whole = log.filter(
        ({ job, who, what }) => job === id || (what === 'kill' && lines.some(line => line.who === who)),
      )
      for (const { atMs, who, what } of whole.sort((a, b) => a.atMs - b.atMs))
        wrong.push(`  ${id} ${atMs.toFixed(3)} ${who} ${what}`)
    }
  }
  return wrong
}

/** What a process tells of a job that it never ran is held by crash/recovery.test.ts. */
function ranIn(lines: readonly Line[], who: string): boolean {
  return lines.some(line => line.who === who && line.what === 'start')
}

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
