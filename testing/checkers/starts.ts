/**
 * All starts of one queue or of one key, and the rules of its rate over time, compared by brute force.
 *
 * It is written from the promises of docs/guides/limit-a-rate.md, not from the implementation: every start is counted
 * anew.
 */
import type { RateRule } from '../../lib/rate/rules.ts'
import type { Entry } from '../entry.ts'
import { found, hairMs, isEnding, isWaiting } from './judge.ts'

type Cost = Readonly<Record<string, number>>

interface Start {
  readonly entry: Entry<'launch'>
  /** By then the handler's synchronous part was over, so the start may have been recorded this late. */
  recordedBy: number
  /** The cost of each put that may have created the job. */
  readonly reserved: readonly Cost[]
  /** The real cost given by `spent`, by unit, and when. */
  spent: Cost
  spentAt: number
}

/** From this entry on these rules were requested. */
interface Change {
  readonly seq: number
  readonly nowMs: number
  readonly process: string
  readonly rules: readonly RateRule[]
  /** How long before its first line a job may have been granted by them. */
  readonly graceMs: number
}

/** A rule that a start breaks, and the starts in its window. */
interface Broken {
  readonly why: string
  readonly starts: readonly Entry[]
}

const free: Cost = {}

type JobEntry = Pick<Entry, 'queue'> & { readonly job?: string }

/** Jobs of two queues may have one id. */
function nameOf({ queue, job }: JobEntry): string {
  return `${queue} ${job}`
}

/** The cost of the starts of each job, by the put that may have created it. */
export class Costs {
  readonly #puts = new Map<string, Entry<'put'>[]>()

  take(entry: Entry): void {
    if (entry.kind === 'put' && entry.job !== undefined) found(this.#puts, nameOf(entry), () => []).push(entry)
    if (entry.kind === 'accepted' && !entry.existed) {
      const put = this.#puts.get(nameOf(entry))?.find(({ call }) => call === entry.call)
      if (put) this.#puts.set(nameOf(entry), [put])
    }
  }
  of(entry: JobEntry): readonly Cost[] {
    return (this.#puts.get(nameOf(entry)) ?? []).map(({ cost }) => cost ?? free)
  }
}

export class Starts {
  readonly #slackMs: number
  readonly #costs: Costs
  readonly #all: Start[] = []
  readonly #last = new Map<string, Start>()
  /** Starts whose real cost was given, and whose run has not ended. */
  readonly #reporting = new Set<Start>()
  readonly #changes: Change[] = []

  constructor(slackMs: number, costs: Costs) {
    this.#slackMs = slackMs
    this.#costs = costs
  }
  /** The rules in force, as far as they were requested. */
  get rules(): readonly RateRule[] {
    return this.#changes.at(-1)?.rules ?? []
  }
  /** Follows starts, and what they really cost. */
  take(entry: Entry): void {
    if (entry.kind === 'launch') {
      const reserved = this.#costs.of(entry)
      const start = { entry, recordedBy: entry.nowMs, reserved, spent: free, spentAt: Infinity }
      this.#all.push(start)
      this.#last.set(nameOf(entry), start)
    }
    // A block of the loop after a first line was part of what that body did before it yielded.
    if (entry.kind === 'block') {
      for (const start of this.#all) {
        const within = start.entry.process === entry.process && entry.nowMs - entry.ms <= start.recordedBy + hairMs
        if (within && start.recordedBy < entry.nowMs) start.recordedBy = entry.nowMs
      }
    }
    if (entry.kind === 'spent') {
      const start = this.#last.get(nameOf(entry))
      if (!start) return
      Object.assign(start, { spent: { ...start.spent, ...entry.cost }, spentAt: entry.nowMs })
      this.#reporting.add(start)
    }
    // A real cost is certainly stored with the end of the run. A process that dies before may not have stored it.
    const isOver = isEnding(entry) || isWaiting(entry)
    if (!isOver && entry.kind !== 'crash') return
    for (const start of this.#reporting) {
      if (start.entry.process !== entry.process || (isOver && nameOf(start.entry) !== nameOf(entry))) continue
      if (!isOver) start.spentAt = Infinity
      this.#reporting.delete(start)
    }
  }
  change({ seq, nowMs, process }: Entry, rules: readonly RateRule[], graceMs: number = graceOf(rules)): void {
    this.#changes.push({ seq, nowMs, process, rules, graceMs })
  }

  /**
   * The violations of the latest start under each of the sets of rules under which it may have been granted.
   *
   * @param possible These sets, if more is known of them than when they were requested.
   */
  broken(entry: Entry<'launch'>, possible?: readonly (readonly RateRule[])[]): Broken | undefined {
    const start = this.#all.at(-1) as Start
    const last = this.#changes.length - 1
    let broken: Broken | undefined
    for (const rules of possible ?? []) {
      const under = this.#brokenUnder(rules, last, start)
      if (!under) return undefined
      broken ??= under
    }
    if (possible) return broken
    for (let k = last; k >= 0; k--) {
      const { rules, process, graceMs } = this.#changes[k] as Change
      const after = this.#changes[k + 1]
      const superseded = after !== undefined && after.nowMs + graceMs + this.#slackMs < entry.nowMs
      // For requests of two processes it is unknown which took effect last, because each may have been on its way for
      // long.
      const own = this.#changes.findLastIndex(change => change.process === process)
      const other = process !== this.#changes[last]?.process && own === k
      if (superseded && !other) continue
      const under = this.#brokenUnder(rules, superseded ? last : k, start)
      if (!under) return undefined
      broken ??= under
    }
    return broken
  }
  #brokenUnder(rules: readonly RateRule[], k: number, start: Start): Broken | undefined {
    const { nowMs } = start.entry
    for (const rule of rules) {
      const known = this.#all.filter(other => this.#isKnown(other, k))
      const within = known.filter(({ entry }) => entry.nowMs + windowOf(rule) > nowMs + hairMs)
      const sum = within.reduce((sum, other) => sum + this.#cost(other, rule, nowMs), 0)
      if (sum > rule.limit * (1 + 1e-9)) {
        const why = `and with it ${sum} ${rule.unit ?? 'starts'} lie within ${windowOf(rule)} ms that may have ${rule.limit}`
        return { why, starts: within.map(({ entry }) => entry) }
      }
      if (rule.burst === undefined) continue
      const evenAt = this.#evenAt(rule, known.slice(0, -1), this.#cost(start, rule, nowMs), nowMs)
      if (nowMs + hairMs < evenAt) {
        return {
          why: `before ${evenAt} ms, when a burst of ${rule.burst} has room again`,
          starts: known.map(({ entry }) => entry),
        }
      }
    }
    return undefined
  }
  /** When an even flow has capacity for this much more. */
  #evenAt(rule: RateRule, known: readonly Start[], cost: number, nowMs: number): number {
    const stepMs = windowOf(rule) / rule.limit
    let flowMs = -Infinity
    for (const other of known) {
      flowMs = Math.max(flowMs, other.entry.nowMs) + Math.min(this.#cost(other, rule, nowMs), rule.limit) * stepMs
    }
    return flowMs - Math.max((rule.burst ?? 0) - cost, 0) * stepMs
  }
  /** Starts that the rules before a change had forgotten are unknown to the rules after it. */
  #isKnown({ entry }: Start, k: number): boolean {
    for (let j = 1; j <= k; j++) {
      const { seq, nowMs, process } = this.#changes[j] as Change
      const before = (this.#changes[j - 1] as Change).rules
      const longestMs = Math.max(0, ...before.map(windowOf))
      // With a slack, or for another process, the change may have taken effect later: starts in between are forgotten
      // with the rest.
      const apart = this.#slackMs > 0 || process !== entry.process
      const earlier = seq > entry.seq || (apart && entry.nowMs <= nowMs + this.#slackMs)
      if (earlier && (before.length === 0 || entry.nowMs + longestMs <= nowMs + this.#slackMs)) return false
    }
    return true
  }
  /** The cost as it must be known by then. A correction at this very instant counts if it makes the start cheaper. */
  #cost({ reserved, spent, spentAt }: Start, { unit }: RateRule, nowMs: number): number {
    if (unit === undefined) return 1
    const called = reserved.length === 0 ? 0 : Math.min(...reserved.map(cost => cost[unit] ?? 0))
    const real = spent[unit]
    if (real === undefined) return called
    return nowMs > spentAt + this.#slackMs ? real : Math.min(called, real)
  }

  /** From when the rules in force would admit a start of at most that cost, whatever was forgotten. */
  freeAt(cost: Cost): number {
    let at = -Infinity
    for (const rule of this.rules) {
      const dear = ({ reserved, spent }: Start): number =>
        rule.unit === undefined ? 1 : Math.max(0, ...[...reserved, spent].map(cost => cost[rule.unit as string] ?? 0))
      const own = rule.unit === undefined ? 1 : (cost[rule.unit] ?? 0)
      let excess = own - rule.limit
      for (const start of [...this.#all].reverse()) {
        excess += dear(start)
        if (excess <= 0) continue
        at = Math.max(at, start.recordedBy + longestWindow(rule))
        break
      }
      if (rule.burst !== undefined) {
        const stepMs = longestWindow(rule) / rule.limit
        let flowMs = -Infinity
        for (const start of this.#all) {
          flowMs = Math.max(flowMs, start.recordedBy) + Math.min(dear(start), rule.limit) * stepMs
        }
        at = Math.max(at, flowMs - Math.max(rule.burst - own, 0) * stepMs)
      }
    }
    return at
  }
}

/** The window of a rule, which its jitter lengthens. A history does not show what was learned, from 0 up to `per`. */
function windowOf({ perMs, jitter, jitterMs = 0 }: RateRule): number {
  return jitter === 'learn' ? perMs : perMs + jitterMs
}
export function longestWindow(rule: RateRule): number {
  return rule.jitter === 'learn' ? 2 * rule.perMs : windowOf(rule)
}

/** The starts of a queue, and the rules that apply to all of them. Those with a name are left to I29 and I30. */
export class QueueStarts {
  readonly starts: Starts
  readonly #costs = new Costs()
  /** Until when the queue had a rule with a name; Infinity: it has one. */
  sharedUntil: number = -Infinity
  /** How long before its first line a job may have been granted. */
  graceMs = 0
  #isDeclared = false
  #declared: string | undefined
  /** Whether no rules are in force, so that even a repeated declaration takes effect. */
  #isEmpty = true

  constructor(slackMs: number) {
    this.starts = new Starts(slackMs, this.#costs)
  }
  take(entry: Entry): void {
    this.#costs.take(entry)
    if (entry.kind === 'rate') {
      this.#change(entry, entry.rules)
      this.#isDeclared = true
    }
    if (entry.kind === 'clearOverrides' && (entry.only ?? 'rate') === 'rate') {
      this.#change(entry, rulesOf(this.#declared))
    }
    if (entry.kind === 'opened') {
      // A repeated declaration leaves in force the rules that were set since.
      const declared = JSON.stringify(entry.rules)
      if (!this.#isDeclared || (entry.rules.length > 0 && (declared !== this.#declared || this.#isEmpty))) {
        this.#change(entry, entry.rules)
      }
      this.#isDeclared = true
      if (entry.rules.length > 0) this.#declared = declared
    }
    this.starts.take(entry)
  }
  #change(entry: Entry, rules: readonly RateRule[]): void {
    const own = rules.filter(({ name }) => name === undefined)
    if (own.length < rules.length) this.sharedUntil = Infinity
    else if (this.sharedUntil === Infinity) this.sharedUntil = entry.nowMs
    this.graceMs = graceOf(rules)
    this.#isEmpty = rules.length === 0
    this.starts.change(entry, own, this.graceMs)
  }
}

/** Rules as the last declaration has them, which is JSON. */
function rulesOf(declared: string | undefined): readonly RateRule[] {
  return declared === undefined ? [] : JSON.parse(declared)
}

/** How long before its first line a job may have been granted, by the rules at that time (docs/design/rate.md). */
export function graceOf(rules: readonly RateRule[]): number {
  return rules.length === 0 ? 0 : Math.min(250, ...rules.map(({ perMs }) => perMs / 20))
}
