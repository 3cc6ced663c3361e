/** I27: keys share the starts by their weights. */
import type { Entry } from '../entry.ts'
import { FreeKeys } from './free-keys.ts'
import { at, type Checker, found } from './judge.ts'
import { Waiting } from './waiting.ts'

/** Jobs without a key share as one. */
const keyless = ''

/** Entries that leave the turns of keys as they are. */
const steady: ReadonlySet<string> = new Set([
  ...['put', 'accepted', 'launch', 'release', 'emitted', 'progress', 'checkpoint', 'stored', 'counts'],
  ...['promised', 'settled', 'measured', 'claimed', 'recorded', 'inventory', 'idle'],
])

/**
 * I27. Fairness: while a key has a job that may start and waits, another key starts at most `r * (n + 1) + 1` jobs,
 * where `n` is how often the waiting key started meanwhile, and `r` the weight of the other key divided by its own.
 *
 * This follows from lib/limits/fairness.ts. The tag of a waiting key is at most `1 / weight` ahead of the virtual clock,
 * and moves on by as much with each of its starts. Each start of the other key but the first moves the clock on by 1
 * divided by the weight of that key, and the clock never passes the tag of a key that waits.
 *
 * It is judged for a single process that works, because another may hold claims that no entry shows. Each command and
 * each change of a limit begins a new time.
 */
export const keysShare: Checker = (history, sure, { slackMs }) => {
  const waiting = new Waiting()
  const keys = new FreeKeys(slackMs)
  /** The keys that wait for their turn, and the starts of each key since they began to. */
  const waits = new Map<string, Map<string, Entry<'launch'>[]>>()
  const works = new Set<string>()
  for (const entry of history) {
    if (entry.kind === 'opened' && entry.works) works.add(entry.process)
    // A crash leaves grants behind that no entry shows.
    const loses = entry.kind === 'crash' || (entry.kind === 'emitted' && /^(?:lost|stalled)$/.test(entry.event))
    if (loses || works.size > 1) return
    if (!steady.has(entry.kind)) waits.clear()
    if (entry.kind === 'launch') {
      const isFair = keys.settings.isFair(entry, slackMs) === true
      const can = isFair ? waitingKeys(waiting, keys, entry, slackMs) : new Set<string>()
      for (const key of waits.keys()) if (!can.has(key)) waits.delete(key)
      for (const key of can) if (!waits.has(key)) waits.set(key, new Map())
      const own = entry.key ?? keyless
      for (const [key, starts] of waits) {
        if (entry.crashes) continue
        const others = found(starts, own, () => [])
        others.push(entry as Entry<'launch'>)
        if (key === own) continue
        const weight = Math.min(...keys.settings.weights(key, entry, slackMs))
        const other = Math.max(...keys.settings.weights(own, entry, slackMs))
        const turns = starts.get(key)?.length ?? 0
        const bound = Math.floor((other / weight) * (turns + 1) * (1 + 1e-9)) + 1
        const message = (): string =>
          `key '${own}' of weight ${other} started ${others.length} jobs while key '${key}' of weight ${weight} waited and started ${turns}: ${at(entry)}`
        sure(others.length <= bound, message, ...others)
      }
    }
    waiting.take(entry)
    keys.take(entry)
  }
}

/** The keys that certainly have a job, and could start it before this entry. */
function waitingKeys(waiting: Waiting, keys: FreeKeys, at: Entry, slackMs: number): Set<string> {
  const can = new Set<string>()
  for (const { by } of waiting.due(at.nowMs - slackMs)) {
    const key = by.key ?? keyless
    if (!can.has(key) && keys.freeAt(by.key, waiting.mostCost, at) < at.nowMs - slackMs) can.add(key)
  }
  return can
}
