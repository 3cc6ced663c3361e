/**
 * A storm: processes put and work, are killed at random, and others take their place, until so many have died. Then one
 * works off the rest, and the log of all is held against what the file says. The processes record a history besides,
 * which the checkers judge.
 *
 * Half of the deaths come from outside, at random instants; half from inside, before a random statement of the thread.
 * Some of those that are to be killed from outside stand still for a while before, wherever they are just then.
 */
import { readFileSync } from 'node:fs'
import { DispatchQueue, type Job, type Task } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { check, History, type Report, shown } from '../../testing/index.ts'
import { fullest } from '../support/fullest-window.ts'
import type { Line, WorkerPool, WorkerProcess } from '../support/worker-pool.ts'
import type { Orders } from '../support/worker-process.ts'

export interface Storm {
  readonly kills: number
  /** How many processes are there at a time; 3. */
  readonly together?: number
  readonly seed: number
  /** Jobs fail, come back, wait, are held, cancelled, removed and retried, and there is a rate. */
  readonly mixed?: boolean
  /** Jobs have keys with a width and a rate, there is a global width, and all of these are set on the way. */
  readonly keyed?: boolean
}

const shared = { crashLimit: 1_000, keep: { finished: '1d', failed: '1d', cancelled: '1d' } } as const
const rate = { limit: 100, per: 2_000 } as const
/** In a long window the grace is long too, so a busy machine starts nothing after it (docs/design/rate.md). */
const ofKeys = { keys: { width: 2, rate: { limit: 10, per: 8_000 } }, globalWidth: 4 } as const
const putsOfEach = 12
/** Processes die, the machine is busy, and each learns late what others did: only what is off by more is an offence. */
const bounds = { lateMs: 20_000, slackMs: 1_000 }

export interface Outcome {
  /** What was wrong, as lines; none if nothing was. */
  readonly wrong: readonly string[]
  /** What the checkers judged. */
  readonly report: Report
  /** How often each kind of fault came about. */
  readonly faults: Readonly<Record<'killed from outside' | 'killed at a statement' | 'stopped and continued', number>>
}

export async function storm(
  c: WorkerPool,
  { kills, together = 3, seed, mixed = false, keyed = false }: Storm,
): Promise<Outcome> {
  const random = randomOf(seed)
  const wrong: string[] = []
  const faults = { 'killed from outside': 0, 'killed at a statement': 0, 'stopped and continued': 0 }
  let left = kills
  const line = async (): Promise<void> => {
    while (left > 0) {
      const who = `p${left--}`
      const inside = random() < 0.5
      const body = mixed ? 'mixed' : random() < 0.5 ? 'slow' : 'end'
      const orders: Omit<Orders, 'path' | 'log'> = {
        ...{ who, body, width: 1 + Math.floor(random() * 4), puts: putsOfEach, ...shared },
        ...{ history: c.history },
        ...(inside && { killPoint: { at: 'statement', of: 'any', nth: 1 + Math.floor(random() * 600) } }),
        ...(mixed && { rate }),
        ...(keyed && ofKeys),
      }
      const afterMs = 60 + random() * 250
      const worker = c.start(orders)
      const timers: NodeJS.Timeout[] = []
      const killIn = (ms: number): void => void timers.push(setTimeout(() => kill(worker), ms))
      // A busy machine may take longer to start a process than `afterMs`. Half of them are killed after they have begun
      // to work, and with keys all of them, because limits matter once several processes work.
      if (keyed || random() < 0.5)
        worker.reported('ready').then(
          () => killIn(inside ? 4_000 : keyed ? 4 * afterMs : afterMs),
          () => killIn(0),
        )
      else killIn(inside ? 4_000 : afterMs)
      // Who stands still between a look at the clock and a first line may start too late for the rate
      // (docs/design/rate.md).
      if (!inside && !mixed && !keyed && random() < 0.5) timers.push(...standstill(worker, afterMs * random()))
      const ended = await worker.exited
      for (const timer of timers) clearTimeout(timer)
      if (ended === 'SIGKILL') faults[killed.has(who) ? 'killed from outside' : 'killed at a statement']++
      c.note('gone', who)
      wrong.push(...c.checkFile().map(found => `after ${who}: ${found}`))
    }
  }
  const killed = new Set<string>()
  const kill = (worker: WorkerProcess): void => {
    c.note('kill', worker.who)
    killed.add(worker.who)
    worker.kill()
  }
  const standstill = (worker: WorkerProcess, atMs: number): NodeJS.Timeout[] => [
    setTimeout(() => {
      faults['stopped and continued']++
      worker.kill('SIGSTOP')
    }, atMs),
    setTimeout(() => worker.kill('SIGCONT'), atMs + 80),
  ]
  await Promise.all(Array.from({ length: together }, line))
  // What is wrong already may keep the rest from ever coming to an end.
  const last = new History()
  if (wrong.length === 0) wrong.push(...(await rest(c, mixed, keyed, last)))
  const found = c.checkFile()
  wrong.push(...found.map(found => `at the end: ${found}`))
  last.add({ kind: 'file', path: c.path, wrong: found })
  const report = check(historyOf(c, last), bounds)
  if (report.violations.length > 0) wrong.push(...shown(report.violations).split('\n'))
  return { wrong, report, faults }
}

/**
 * All that the processes and the last one have recorded, and their deaths. One that was killed from outside died at that
 * instant at the earliest; of a death from inside nobody wrote it down, and the last that it wrote is the earliest.
 */
function historyOf(c: WorkerPool, last: History): History {
  const deathsSeen = c.log().filter(({ what }) => what === 'gone').length
  const text = withoutTorn(readFileSync(c.history, 'utf8'), deathsSeen)
  const recorded = History.from(text).entries
  const deaths = c.log().flatMap(line => {
    if (line.what !== 'gone') return []
    const own = recorded.findLast(({ process }) => process === line.who)
    const kill = c.log().find(({ what, who }) => what === 'kill' && who === line.who)
    const nowMs = Math.max(own?.nowMs ?? 0, kill?.atMs ?? 0)
    return [{ seq: 0, nowMs, wallMs: own?.wallMs ?? 0, process: line.who, queue: '', kind: 'crash' }]
  })
  return History.from(text, deaths.map(death => `${JSON.stringify(death)}\n`).join(''), String(last))
}

/** Works off what is left, and compares the file with the log. */
async function rest(c: WorkerPool, mixed: boolean, keyed: boolean, history: History): Promise<string[]> {
  const wrong: string[] = []
  const backlog = new SqliteBacklog(c.path, { durability: 'process' })
  const body = (_: number, task: Task): void => c.note('start', 'rest', task.id)
  const options = { name: 'q', backlog, width: 20, ...shared, ...(mixed && { rate }), ...(keyed && ofKeys) }
  const { keys } = keyed ? ofKeys : {}
  const queue = history.watch(record => new DispatchQueue<number>(record(body), options), { process: 'rest', keys })
  // A dead process may have left a key paused.
  if (keyed) await queue.clearOverrides('keys')
  queue.on('finished', job => c.note('finished', 'rest', job.id))
  await queue.idle()
  const there = new Map<string, Job<number>>()
  for (const state of ['finished', 'failed', 'cancelled'] as const) {
    const before = there.size
    for (let after: Job<number> | undefined; ; ) {
      const page: Job<number>[] = await queue.jobs({ state, limit: 1_000, ...(after && { after }) })
      for (const job of page) there.set(job.id, job)
      after = page.at(-1)
      if (!after) break
    }
    const found = there.size - before
    if (queue.counts[state] !== found) wrong.push(`${queue.counts[state]} ${state} are counted, and ${found} are there`)
  }
  const { counts } = queue
  await history.inventory(queue)
  await queue.stop()

  if (counts.pending + counts.delayed + counts.underway > 0) wrong.push('not all have ended')
  const log = c.log()
  const removed = new Set(c.jobs('remove'))
  for (const id of c.jobs('accepted')) {
    if (!there.has(id) && !removed.has(id)) wrong.push(`${id} was accepted and is lost`)
  }
  for (const [id, { state, attempt }] of there) {
    if (attempt > (mixed ? 3 : 1)) wrong.push(`${id} ended at attempt ${attempt}`)
    if (!mixed && state !== 'finished') wrong.push(`${id} is ${state}`)
  }
  if (mixed) {
    const most = fullest(
      log.filter(({ what }) => what === 'start').map(({ atMs }) => atMs),
      rate.per,
    )
    if (most > rate.limit) wrong.push(`${most} starts in a window that may have ${rate.limit}`)
  }
  const known = new Set([...there.keys(), ...removed])
  return [...wrong, ...historiesOf(log, known, new Set(c.jobs('retry')))]
}

/**
 * Each job by itself: no two bodies at a time, no start after an ending was told, and one ending told at most, unless it
 * was that of a crash.
 */
function historiesOf(log: readonly Line[], known: ReadonlySet<string>, retried: ReadonlySet<string>): string[] {
  const wrong: string[] = []
  const goneAt = new Map(log.filter(({ what }) => what === 'gone').map(({ who, atMs }) => [who, atMs]))
  const killedAt = new Map(log.filter(({ what }) => what === 'kill').map(({ who, atMs }) => [who, atMs]))
  const recoveredBy = new Set(log.filter(({ what }) => what === 'recovered').map(({ job, who }) => `${job} ${who}`))
  // A worker that dies before it has acknowledged the reports on a crash leaves them to the next one, which announces
  // the same ending: docs/reference/events.md, after a crash.
  const isRepeated = (endings: readonly Line[]): boolean =>
    endings.every(({ job, who, what }) => what === endings[0]?.what && recoveredBy.has(`${job} ${who}`)) &&
    endings.slice(0, -1).every(({ who }) => goneAt.has(who))
  const byJob = new Map<string, Line[]>()
  for (const line of log) {
    if (!['start', 'over', 'finished', 'failed', 'cancelled'].includes(line.what)) continue
    const lines = byJob.get(line.job)
    if (lines) lines.push(line)
    else byJob.set(line.job, [line])
  }
  for (const [id, lines] of byJob) {
    lines.sort((a, b) => a.atMs - b.atMs)
    const before = wrong.length
    if (!known.has(id)) wrong.push(`${id} ran and is not there`)
    const endings = ['finished', 'failed', 'cancelled']
    const notified = lines.filter(({ what }) => endings.includes(what))
    if (notified.length > 1 && !retried.has(id) && !isRepeated(notified)) wrong.push(`${id}: two endings were told`)
    let last: Line | undefined
    let over = true
    for (const line of lines) {
      if (line.what === 'over' && line.who === last?.who) over = true
      if (line.what !== 'start') continue
      const ended = notified.find(({ atMs }) => atMs < line.atMs)
      if (ended && !retried.has(id)) wrong.push(`${id} started after its ending was told`)
      if (last && !over) {
        // Who was killed from outside died after this instant at the earliest; of a death from inside nobody wrote it
        // down.
        const dead = killedAt.get(last.who)
        if (last.who === line.who) wrong.push(`${id} started twice in ${line.who}`)
        else if (dead !== undefined && dead > line.atMs)
          wrong.push(`${id} ran in ${last.who} and ${line.who} at a time`)
        else if (!goneAt.has(last.who)) wrong.push(`${id} was taken from ${last.who}, which lives`)
      }
      last = line
      over = false
    }
    if (wrong.length > before) {
      const whole = log.filter(
        ({ job, who, what }) => job === id || (what === 'kill' && lines.some(line => line.who === who)),
      )
      for (const { atMs, who, what, more } of whole.sort((a, b) => a.atMs - b.atMs)) {
        wrong.push(`  ${id} ${atMs.toFixed(3)} ${who} ${what} ${more}`)
      }
    }
  }
  return wrong
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

/**
 * A process that is killed while it writes an entry leaves a torn line, which may stand anywhere because all processes
 * write to one file. It is left out, as an entry that was not written yet. More torn lines than deaths are an error.
 */
function withoutTorn(text: string, deaths: number): string {
  const lines = text.split('\n').filter(line => line !== '')
  const whole = lines.filter(isWhole)
  if (lines.length - whole.length > deaths) return text
  return whole.map(line => `${line}\n`).join('')
}
function isWhole(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
