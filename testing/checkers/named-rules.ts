/** I29, I30: a rule with a name holds over all queues that share it, and they take turns. */
import type { RateRule } from '../../lib/rate/rules.ts'
import type { Entry } from '../entry.ts'
import { at, type Checker, found, hairMs, isWaiting } from './judge.ts'
import { Costs, graceOf, Starts } from './starts.ts'
import { Waiting } from './waiting.ts'

type Rules = readonly RateRule[]

/** From this entry on the queue had these rules. */
interface Change {
  readonly nowMs: number
  readonly process: string
  readonly rules: Rules
}

/** The rules that a queue has, of which some have names. */
class QueueRules {
  readonly #slackMs: number
  readonly #changes: Change[] = []
  declared: Rules = []

  constructor(slackMs: number) {
    this.#slackMs = slackMs
  }
  get latest(): Rules {
    return this.#changes.at(-1)?.rules ?? []
  }
  change({ nowMs, process }: Entry, rules: Rules): void {
    this.#changes.push({ nowMs, process, rules })
  }
  /** All rules by which a job may have been granted that starts at this entry, as in {@link Starts.broken}. */
  possible({ nowMs }: Entry): readonly Rules[] {
    const last = this.#changes.at(-1)
    return this.#changes
      .filter(({ rules, process }, k) => {
        const after = this.#changes[k + 1]
        if (!after || after.nowMs + graceOf(rules) + this.#slackMs >= nowMs) return true
        const own = this.#changes.findLastIndex(change => change.process === process)
        return process !== last?.process && own === k
      })
      .map(({ rules }) => rules)
  }
  /** Whether a job that starts at this entry was certainly granted by the rule of that name. */
  uses(name: string, entry: Entry): boolean {
    const possible = this.possible(entry)
    return possible.length > 0 && possible.every(rules => rules.some(rule => rule.name === name))
  }
}

interface Hold {
  readonly by: Entry<'release'>
  readonly sinceMs: number
  readonly until: number
}

/** `Throttled` holds a rule for at most `maxHold`, of which this is the default. */
const maxHoldMs = 3_600_000

/** One named rule: what was declared and set for it, and the starts that it has counted. */
interface Shared {
  readonly starts: Starts
  declared: RateRule | undefined
  set: RateRule | undefined
  /** The hold that certainly lasts longest. */
  hold: Hold | undefined
  /** Until when it may be held. */
  heldUntil: number
}

/** The named rules of a backlog, as far as a history shows them. */
export class SharedRules {
  readonly #slackMs: number
  readonly #costs = new Costs()
  readonly #rules = new Map<string, Shared>()
  readonly #queues = new Map<string, QueueRules>()
  readonly #thrown = new Map<string, Entry<'release'>>()

  constructor(slackMs: number) {
    this.#slackMs = slackMs
  }
  get all(): ReadonlyMap<string, Shared> {
    return this.#rules
  }
  of(queue: string): QueueRules {
    return found(this.#queues, queue, () => new QueueRules(this.#slackMs))
  }
  take(entry: Entry): void {
    this.#costs.take(entry)
    if (entry.kind === 'opened') this.#declare(entry, entry.rules)
    if (entry.kind === 'rate') this.#set(entry, entry.rules)
    if (entry.kind === 'clearOverrides' && (entry.only ?? 'rate') === 'rate') this.#clear(entry)
    this.#followHolds(entry)
    for (const [name, { starts }] of this.#rules) {
      if (entry.kind !== 'launch' || this.of(entry.queue).uses(name, entry)) starts.take(entry)
    }
  }
  /** A hold begins when the job that requested it has gone back. */
  #followHolds(entry: Entry): void {
    // The attempt has failed for another reason: its time was over when the body threw.
    if (entry.kind === 'emitted' && entry.event === 'retry') {
      this.#thrown.delete(`${entry.queue} ${entry.process} ${entry.job}`)
    }
    if (entry.kind !== 'release' && !isWaiting(entry)) return
    const { queue, process, job, nowMs } = entry
    const run = `${queue} ${process} ${job}`
    if (entry.kind === 'release') return void this.#thrown.set(run, entry as Entry<'release'>)
    const by = this.#thrown.get(run)
    this.#thrown.delete(run)
    const name = by?.code === 'THROTTLED' ? by.heldRule : undefined
    const shared = name === undefined ? undefined : this.#rules.get(name)
    if (!by || !shared || name === undefined) return
    const forMs = Math.min(by.afterMs ?? maxHoldMs, maxHoldMs)
    shared.heldUntil = Math.max(shared.heldUntil, nowMs + forMs)
    const until = by.nowMs + forMs
    const isSure = by.afterMs !== undefined && this.of(queue).uses(name, by)
    if (isSure && until > (shared.hold?.until ?? 0)) shared.hold = { by, sinceMs: nowMs, until }
  }
  #of(name: string): Shared {
    return found(this.#rules, name, () => ({
      ...{ starts: new Starts(this.#slackMs, this.#costs), declared: undefined, set: undefined },
      ...{ hold: undefined, heldUntil: -Infinity },
    }))
  }
  #declare(entry: Entry, rules: Rules): void {
    const queue = this.of(entry.queue)
    for (const rule of rules) {
      if (rule.name === undefined) continue
      const shared = this.#of(rule.name)
      if (isSame(rule, shared.declared)) continue
      // A queue that repeats what it has declared takes back nothing that was set.
      if (!queue.declared.some(other => isSame(other, rule))) shared.set = undefined
      shared.declared = rule
      this.#changed(entry, shared)
    }
    const isRepeated = JSON.stringify(rules) === JSON.stringify(queue.declared)
    if (rules.length === 0 || (isRepeated && queue.latest.length > 0)) return
    queue.declared = rules
    queue.change(entry, rules)
  }
  #set(entry: Entry, rules: Rules): void {
    for (const rule of rules) {
      if (rule.name === undefined) continue
      const shared = this.#of(rule.name)
      shared.set = isSame(rule, shared.declared) ? undefined : rule
      this.#changed(entry, shared)
    }
    this.of(entry.queue).change(entry, rules)
  }
  #clear(entry: Entry): void {
    const queue = this.of(entry.queue)
    for (const { name } of [...queue.latest, ...queue.declared]) {
      const shared = name === undefined ? undefined : this.#rules.get(name)
      if (!shared?.set) continue
      shared.set = undefined
      this.#changed(entry, shared)
    }
    queue.change(entry, queue.declared)
  }
  /** Requests of two queues are as those of two processes: either may take effect first. */
  #changed(entry: Entry, { starts, set, declared }: Shared): void {
    const rule = set ?? declared
    starts.change({ ...entry, process: `${entry.queue} ${entry.process}` } as Entry, rule ? [rule] : [])
  }
}

function isSame(a: RateRule | undefined, b: RateRule | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/**
 * I29. Named rule: as I5, for each rule with a name and the starts of all queues that have it, in all processes
 * together. While the rule is being changed, or the rules of a queue are, a start may obey any of those that may be in
 * force. After `Throttled` with that rule none of them starts before its time.
 *
 * It reads the entries of all queues, which must share one backlog.
 */
export const namedRule: Checker = (history, sure, { slackMs }) => {
  const rules = new SharedRules(slackMs)
  for (const entry of history) {
    rules.take(entry)
    if (entry.kind !== 'launch') continue
    const { queue } = entry
    const graceMs = Math.max(...rules.of(queue).possible(entry).map(graceOf))
    for (const [name, { starts, hold }] of rules.all) {
      if (!rules.of(queue).uses(name, entry)) continue
      const broken = starts.broken(entry)
      const message = (): string => `job ${entry.job} of ${queue} started by rule ${name}, ${broken?.why}: ${at(entry)}`
      sure(broken === undefined, message, ...(broken?.starts ?? []), entry)
      // A job that was granted before the hold may come to its first line after it.
      const isBefore = hold === undefined || entry.nowMs <= hold.sinceMs + graceMs + slackMs
      sure(
        isBefore || entry.nowMs + hairMs >= hold.until,
        () => `job ${entry.job} of ${queue} started before ${hold?.until} ms, until when ${name} is held: ${at(entry)}`,
        ...(hold ? [hold.by] : []),
        entry,
      )
    }
  }
}

/** Entries that leave it as it is which queues wait for a rule. */
const steady: ReadonlySet<string> = new Set([
  ...['put', 'accepted', 'launch', 'release', 'emitted', 'progress', 'checkpoint', 'stored', 'spent', 'counts'],
  ...['promised', 'settled', 'measured', 'claimed', 'recorded', 'inventory', 'idle'],
])

/** For how long a queue may be waited for that does not come (lib/limits/rule-turns.ts). */
const patienceMs = 250

/**
 * I30. Turns: while a queue could start a job but for a named rule, and starts `n` jobs, another queue starts by that
 * rule at most `(n + 1) * (limit + 1) + 1`. And the rule is used: no such job waits longer than `lateMs`, and the time
 * for which a queue that does not come is waited for, after the instant at which the rule has capacity.
 *
 * A queue that waits leaves capacity for as many starts of another one as it could make at once, so in each window it may
 * take all but one. Of a rule with a unit it leaves capacity for a heavier start of another queue, which may need all of
 * it, and therefore a window more. It is judged for queues that have this rule alone, no keys and one process that works, as in I27.
 * Turns are judged for rules that count starts, and each command begins a new time.
 */
export const ruleTurns: Checker = (history, sure, { lateMs, slackMs }) => {
  const rules = new SharedRules(slackMs)
  const queues = new Map<string, Waiting>()
  const works = new Map<string, Set<string>>()
  const keyed = new Set<string>()
  /** For each queue that waits: since when, and the starts of all queues meanwhile. */
  const waits = new Map<string, { readonly sinceMs: number; readonly starts: Map<string, Entry<'launch'>[]> }>()
  const reported = new Set<string>()
  let steadySince = -Infinity
  for (const [i, entry] of history.entries()) {
    const loses = entry.kind === 'crash' || (entry.kind === 'emitted' && /^(?:lost|stalled)$/.test(entry.event))
    // Grants that no entry shows, and loops that stand still.
    if (loses || entry.kind === 'fault' || entry.kind === 'block' || entry.kind === 'jump') return
    if (entry.kind === 'opened' && entry.works) found(works, entry.queue, () => new Set()).add(entry.process)
    if (entry.kind === 'key' || (entry.kind === 'opened' && entry.keys)) keyed.add(entry.queue)
    if (!steady.has(entry.kind)) {
      waits.clear()
      steadySince = entry.nowMs
    }
    if (entry.kind === 'launch') {
      for (const [queue, { starts }] of waits) {
        const [rule] = rules.of(queue).latest
        const name = rule?.name ?? ''
        if (!rules.of(entry.queue).uses(name, entry)) continue
        const others = found(starts, entry.queue, () => [])
        others.push(entry as Entry<'launch'>)
        const [inForce] = rules.all.get(name)?.starts.rules ?? []
        if (entry.queue === queue || !inForce || inForce.unit !== undefined) continue
        const own = starts.get(queue)?.length ?? 0
        const most = (own + 1) * (inForce.limit + 1) + 1
        const message = (): string =>
          `queue ${entry.queue} started ${others.length} jobs by rule ${name} while ${queue} waited and started ${own}: ${at(entry)}`
        sure(others.length <= most, message, ...others)
      }
    }
    rules.take(entry)
    for (const queue of entry.queue === '' ? queues.keys() : [entry.queue]) {
      found(queues, queue, () => new Waiting()).take(entry)
    }
    const next = history[i + 1]
    if (!next || next.nowMs <= entry.nowMs) continue
    for (const [queue, waiting] of queues) {
      const [rule, ...more] = rules.of(queue).latest
      const isJudged = rule?.name !== undefined && more.length === 0 && !keyed.has(queue)
      const hasOne = (works.get(queue)?.size ?? 0) === 1
      const job = isJudged && hasOne ? waiting.due(next.nowMs - slackMs)[0] : undefined
      const roomAt = Math.max(waiting.roomSince, waiting.heldUntil) + slackMs
      if (!job || roomAt >= next.nowMs) {
        waits.delete(queue)
        continue
      }
      found(waits, queue, () => ({ sinceMs: entry.nowMs, starts: new Map() }))
      const shared = rules.all.get(rule?.name ?? '')
      if (!shared || reported.has(job.id)) continue
      const freeAt = Math.max(shared.heldUntil, shared.starts.freeAt(waiting.mostCost))
      const couldAt = Math.max(job.readyAt, roomAt, steadySince, freeAt)
      const late = next.nowMs - couldAt
      const forHeavierMs = Math.max(...shared.starts.rules.map(({ unit, perMs }) => (unit === undefined ? 0 : perMs)))
      const mayLateMs = lateMs + patienceMs + forHeavierMs + slackMs + hairMs + graceOf(shared.starts.rules)
      if (late > mayLateMs) reported.add(job.id)
      const message = (): string =>
        `job ${job.id} of ${queue} could have started by rule ${rule?.name} at ${couldAt} ms and had not by ${next.nowMs} ms: ${at(next)}`
      sure(late <= mayLateMs, message, job.by, next)
    }
  }
}
