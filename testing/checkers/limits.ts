/** I4, I5, I6: never more than the width, never faster than the rate, and no slower either. */
import type { Entry } from '../entry.ts'
import { FreeKeys } from './free-keys.ts'
import { at, type Checker, found, hairMs, isWaiting } from './judge.ts'
import { longestWindow, QueueStarts } from './starts.ts'
import { Waiting } from './waiting.ts'

/**
 * I4. Width: just before each start, fewer bodies ran in that process than its width. After the width was reduced, none
 * starts until fewer run than the new width. A body counts until it has really ended.
 */
export const width: Checker = (history, sure) => {
  const widths = new Map<string, number>()
  const bodies = new Map<string, Entry<'launch'>[]>()
  for (const entry of history) {
    const { process } = entry
    if (entry.kind === 'opened' || entry.kind === 'width') widths.set(process, entry.width)
    if (entry.kind === 'opened' || entry.kind === 'crash') bodies.set(process, [])
    const running = found(bodies, process, () => [])
    if (entry.kind === 'release') {
      const i = running.findIndex(
        ({ job, attempt, fence }) => job === entry.job && attempt === entry.attempt && fence === entry.fence,
      )
      if (i >= 0) running.splice(i, 1)
    }
    if (entry.kind !== 'launch') continue
    const most = widths.get(process) ?? Infinity
    const count = running.length
    sure(
      count < most,
      () => `job ${entry.job} started while ${count} ran, at a width of ${most}: ${at(entry)}`,
      ...running,
      entry,
    )
    running.push(entry)
  }
}

/** `Throttled` holds the rate for at most `maxHold`, of which this is the default. */
const maxHoldMs = 3_600_000

/**
 * I5. Rate: for each start at the instant t and each rule in force, the starts (or units of cost) in `(t - per, t]`,
 * itself included, are at most the limit: in any window, across pause, resume and restart, by all processes together.
 * With a burst they are also as far apart as an even flow with that burst. The cost is that of the put until `spent`
 * corrects it. A change applies to all starts that the rules before still remembered; a start is judged by the rules at
 * its grant, which may be a grace earlier. After `Throttled` nothing starts before its time.
 */
export const rate: Checker = (history, sure, { slackMs }) => {
  const queue = new QueueStarts(slackMs)
  const { starts } = queue
  const thrown = new Map<string, Entry<'release'>>()
  let hold: { from: number; until: number; by: Entry } | undefined
  for (const entry of history) {
    queue.take(entry)
    if (entry.kind === 'release') thrown.set(`${entry.process} ${entry.job}`, entry)
    if (entry.kind === 'emitted' && entry.job !== undefined) {
      const by = thrown.get(`${entry.process} ${entry.job}`)
      if (by && entry.event !== 'progress' && entry.event !== 'checkpoint')
        thrown.delete(`${entry.process} ${entry.job}`)
      if (by?.code === 'THROTTLED' && by.heldKey === undefined && by.heldRule === undefined && isWaiting(entry)) {
        const until = by.nowMs + Math.min(by.afterMs ?? 0, maxHoldMs)
        const from = entry.nowMs + queue.graceMs + slackMs
        if (until > (hold?.until ?? 0)) hold = { from, until, by }
      }
    }
    if (entry.kind !== 'launch') continue
    const free = !hold || entry.nowMs <= hold.from || entry.nowMs + hairMs >= hold.until
    sure(
      free,
      () => `job ${entry.job} started before ${hold?.until} ms, until when the rate is held: ${at(entry)}`,
      ...(hold ? [hold.by] : []),
      entry,
    )
    const broken = starts.broken(entry)
    const message = (): string => `job ${entry.job} started, ${broken?.why}: ${at(entry)}`
    sure(broken === undefined, message, ...(broken?.starts ?? []), entry)
  }
}

/**
 * I6. Rate is used: no due job waits longer than `lateMs` after the instant at which width, rate, keys and pause all
 * allowed it to start. (Otherwise a queue that never starts anything would keep all limits.)
 */
export const rateUsed: Checker = (history, sure, { lateMs, slackMs }) => {
  const waiting = new Waiting()
  const queue = new QueueStarts(slackMs)
  const { starts } = queue
  const keys = new FreeKeys(slackMs)
  const reported = new Set<string>()
  const blocks = history.filter((entry): entry is Entry<'block'> => entry.kind === 'block')
  let unknownUntil = -Infinity
  for (const [i, entry] of history.entries()) {
    waiting.take(entry)
    queue.take(entry)
    keys.take(entry)
    if (entry.kind === 'launch') sure(true, () => '')
    // Jobs that the dead process was granted and did not call count as if it had called them.
    if (entry.kind === 'crash') unknownUntil = entry.nowMs + Math.max(0, ...starts.rules.map(longestWindow))
    const next = history[i + 1]
    if (!next || next.nowMs <= entry.nowMs) continue
    const mayLateMs = lateMs + slackMs + hairMs
    const room = waiting.roomSince
    if (!(next.nowMs - room > mayLateMs)) continue
    const free = starts.freeAt(waiting.mostCost)
    for (const job of waiting.due(next.nowMs)) {
      if (reported.has(job.id)) continue
      const keyFree = keys.freeAt(job.by.key, waiting.mostCost, entry)
      const allowedAt = Math.max(job.readyAt, room, free, keyFree, unknownUntil, waiting.heldUntil, queue.sharedUntil)
      const couldAt = blocks.reduce(
        (at, { nowMs, ms }) => (nowMs - ms <= next.nowMs ? Math.max(at, nowMs) : at),
        allowedAt,
      )
      const late = next.nowMs - couldAt
      if (late > mayLateMs) reported.add(job.id)
      const { id } = job
      sure(
        late <= mayLateMs,
        () => `job ${id} could have started at ${couldAt} ms and had not by ${next.nowMs} ms: ${at(next)}`,
        job.by,
        next,
      )
    }
  }
}
