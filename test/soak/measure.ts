/** What a process holds of what the machine has: read after garbage collection, so that two readings can be compared. */
import { getEventListeners } from 'node:events'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { SqliteDatabase } from '../../persistence/sqlite/file/database.ts'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { passed } from '../support/suspend.ts'

/** How much there is of each, by a name that says what and in which unit. */
export type Reading = Readonly<Record<string, number>>

/** What the load under measurement has to show of itself. */
export interface Subject {
  /** Its file; undefined where it has none. */
  readonly path: string | undefined
  /** Listeners on its queue objects. */
  listeners(): number
  /** A signal that outlives all that is put with it. */
  readonly signal: AbortSignal
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

export async function read(subject: Subject): Promise<Reading> {
  const { path, signal } = subject
  const reading: Record<string, number> = {
    'heap, MiB': await leastHeap(),
    'whole process, MiB': process.memoryUsage().rss / 2 ** 20,
    'listeners of queues': subject.listeners(),
    'listeners of the signal': getEventListeners(signal, 'abort').length,
    'warnings of node': warnings,
  }
  for (const resource of process.getActiveResourcesInfo()) {
    reading[`active ${resource}`] = (reading[`active ${resource}`] ?? 0) + 1
  }
  if (process.platform === 'linux') {
    reading['open files'] = readdirSync('/proc/self/fd').length
    reading.threads = readdirSync('/proc/self/task').length
  }
  if (path !== undefined) {
    reading['log beside the file, MiB'] = existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size / 2 ** 20 : 0
    reading['files beside the file'] = filesBeside(path)
    Object.assign(reading, rowsIn(path))
  }
  return reading
}

/** Of a few readings, for what is finalised late is freed late. */
export async function leastHeap(): Promise<number> {
  let least = Infinity
  for (let i = 0; i < 4; i++) {
    collect()
    await passed(10)
    collect()
    least = Math.min(least, process.memoryUsage().heapUsed / 2 ** 20)
  }
  return least
}

/** How many rows each of our tables has. */
export function rowsIn(path: string): Record<string, number> {
  const db: SqliteDatabase = new (loadSqlite())(path, { timeout: 5_000 })
  try {
    const tables = db.prepare(`select name from sqlite_schema where type = 'table' and name like 'rdq_%'`).pluck().all()
    return Object.fromEntries(
      (tables as string[]).map(table => [
        `rows of ${table}`,
        db.prepare(`select count(*) from ${table}`).pluck().get() as number,
      ]),
    )
  } finally {
    db.close()
  }
}
function filesBeside(path: string): number {
  const slash = path.lastIndexOf('/')
  const name = path.slice(slash + 1)
  return readdirSync(path.slice(0, slash)).filter(file => file.startsWith(`${name}-rdq-`)).length
}

let warnings = 0
process.on('warning', () => {
  warnings++
})

/** By how much a measure may have grown over the load. What is not named may not have grown at all. */
const bounds: readonly (readonly [measure: RegExp, bound: number, why: string])[] = [
  [/^heap/, 3, 'compiled code and caches of the runtime'],
  [/^whole process/, 64, 'what an allocator keeps is no leak yet'],
  [/^log beside/, 8, 'it is written over again from its beginning, and its length is that of the busiest moment'],
  [/^rows of rdq_meta/, 1, 'a mark of the file itself'],
  [/^rows of rdq_put_reply/, 128, 'they are deleted many at a time, once later puts have acknowledged them'],
  [/^active (?:Immediate|Timeout)/, 1, 'what the reading itself waits for'],
]

export interface Verdict {
  readonly measure: string
  readonly before: number
  readonly after: number
  readonly bound: number
  /** Why it may have grown. */
  readonly why: string
  readonly holds: boolean
}

/** Compares what was held before the load with what is held after it. */
export function compare(before: Reading, after: Reading): readonly Verdict[] {
  const measures = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return measures.map(measure => {
    const [, bound = 0, why = ''] = bounds.find(([pattern]) => pattern.test(measure)) ?? []
    const [was, is] = [before[measure] ?? 0, after[measure] ?? 0]
    return { measure, before: was, after: is, bound, why, holds: is <= was + bound }
  })
}

/** As a table of text. */
export function tableOf(verdicts: readonly Verdict[]): string {
  const number = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1)).padStart(9)
  const lines = verdicts.map(
    ({ measure, before, after, bound, why, holds }) =>
      `${measure.padEnd(28)}${number(before)}${number(after)}   +${bound}${holds ? why && `  for ${why}` : '  GROWN'}`,
  )
  return [`${'measure'.padEnd(28)}${'before'.padStart(9)}${'after'.padStart(9)}   may grow by`, ...lines].join('\n')
}
