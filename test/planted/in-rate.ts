/** Bugs planted in the rate: windows, grants, corrections. The rate serves every backlog. */
import type { Plant } from './plant.ts'

export const inRate: readonly Plant[] = [
  {
    name: 'one start more than the limit',
    file: 'lib/rate/window.ts',
    edits: [
      {
        find: 'if (this.#sum + steps > this.#most || !(now >= this.passedAt)) return false',
        replace: 'if (this.#sum + steps > this.#most + this.#scale || !(now >= this.passedAt)) return false',
      },
    ],
    why: 'I5: a window holds limit + 1',
    finders: ['lib/rate/rate'],
  },
  {
    name: 'fixed windows instead of sliding ones',
    file: 'lib/rate/window.ts',
    edits: [
      {
        find: `return this.#log.at(grant) + this.#lengthMs
  }`,
        replace: `return (Math.floor(this.#log.at(grant) / this.rule.perMs) + 1) * this.rule.perMs
  }`,
      },
    ],
    why: 'I5: around the border of two windows twice the limit may start',
    finders: ['lib/rate/rate', 'flow/invariants'],
  },
  {
    name: 'the jitter does not lengthen the window',
    file: 'lib/rate/window.ts',
    edits: [{ find: 'this.#lengthMs = windowMs(this.rule)', replace: 'this.#lengthMs = rule.perMs' }],
    why: 'design.md 5: a server that counts arrivals gets more than its limit',
    finders: ['lib/rate/rate'],
  },
  {
    name: 'what is refused is charged',
    file: 'lib/rate/rate.ts',
    edits: [
      {
        find: `
    for (const window of this.#windows) if (!window.admits(cost, now)) return -1
    if (this.#log.full && this.#log.size >= maxCostless) this.#forgetCostless()
    const grant = this.#log.add(now, Math.min(now + (graceMs > 0 ? graceMs : 0), Number.MAX_VALUE), cost)
    this.#enter(grant)
    if (this.#rememberedMs > 0) this.#learn(window => window.learnedFromGrant(cost, now), now)
    return grant`,
        replace: `
    const refused = this.#windows.some(window => !window.admits(cost, now))
    if (this.#log.full && this.#log.size >= maxCostless) this.#forgetCostless()
    const grant = this.#log.add(now, Math.min(now + (graceMs > 0 ? graceMs : 0), Number.MAX_VALUE), cost)
    this.#enter(grant)
    return refused ? -1 : grant`,
      },
    ],
    why: 'I6: every refusal holds up the next start, and a queue that claims often never starts anything',
    finders: ['lib/rate/rate', 'flow/invariants'],
  },
  {
    name: 'a grant counts from its claim, not from the end of its grace',
    file: 'lib/rate/rate.ts',
    edits: [
      {
        find: 'this.#log.add(now, Math.min(now + (graceMs > 0 ? graceMs : 0), Number.MAX_VALUE), cost)',
        replace: 'this.#log.add(now, Math.min(now, Number.MAX_VALUE), cost)',
      },
    ],
    why: 'I5: a launch that comes late in its grace, of a process that then dies, counts as earlier than it was',
    finders: ['persistence/sqlite/store/store-contract', 'lib/rate/rate', 'persistence/sqlite/tables/rate-starts'],
  },
  {
    name: 'a refund is forgotten',
    file: 'lib/rate/rate.ts',
    edits: [
      {
        find: `
    this.#leave(grant)
    this.#log.remove(grant)
  }`,
        replace: `
    this.#leave(grant)
    this.#enter(grant)
  }`,
      },
    ],
    why: 'I6: what was not launched takes up the rate all the same',
    finders: ['persistence/sqlite/store/store-contract', 'lib/rate/rate', 'persistence/sqlite/tables/rate-starts'],
  },
  {
    name: 'a new rate forgets the starts',
    file: 'lib/rate/rate.ts',
    edits: [{ find: 'if (rules.length === 0) {', replace: 'if (rules.length >= 0) {' }],
    why: 'I5: to set the rate again lets a whole window start at once',
    finders: ['lib/rate/rate', 'flow/invariants'],
  },
  {
    name: 'a launch that is reported a window late is not remembered',
    file: 'lib/rate/rate.ts',
    edits: [{ find: 'if (!given || this.#windows', replace: 'if (given || this.#windows' }],
    why: 'I5: after a halt of more than a window others start as if nothing had been launched',
    finders: ['lib/rate/rate'],
  },
  {
    name: 'each of the refusals that arrive together lengthens the jitter',
    file: 'lib/rate/window.ts',
    edits: [
      {
        find: 'if (first === 0 || this.#overAt(first) > this.#log.at(grant)) return undefined',
        replace: 'if (first === 0) return undefined',
      },
    ],
    why: 'design.md 5: after one refused window a rule that learns uses half of its rate',
    finders: ['lib/rate/jitter'],
  },
  {
    name: 'a refusal that has another cause lengthens the jitter',
    file: 'lib/rate/jitter.ts',
    edits: [{ find: 'quiet < 0 || differMs >= jitterMs + perMs * nearShare', replace: 'quiet < 0' }],
    why: 'design.md 5: a rule is lengthened though it was not near its limit',
    finders: ['lib/rate/jitter'],
  },
  {
    name: 'a jitter that is learned has no bound',
    file: 'lib/rate/jitter.ts',
    edits: [
      {
        find: 'Math.min(differMs + Math.max(perMs * stepShare, jitterMs / 2), perMs)',
        replace: 'differMs + Math.max(perMs * stepShare, jitterMs / 2)',
      },
    ],
    why: 'design.md 5: another user of the account brings the rate down to nothing',
    finders: ['lib/rate/jitter'],
  },
  {
    name: 'windows that were not full shorten the jitter',
    file: 'lib/rate/window.ts',
    edits: [{ find: 'if (!isExhausted || now <', replace: 'if (now <' }],
    why: 'design.md 5: a night without work forgets the jitter, though nothing has shown that a shorter one does',
    finders: ['lib/rate/jitter'],
  },
  {
    name: 'a reply must come within the window to teach anything',
    file: 'lib/rate/rate.ts',
    edits: [
      {
        find: 'log.oldest !== this.#longest?.cursor && log.at(log.oldest) <= now - this.#rememberedMs',
        replace: 'log.oldest !== this.#longest?.cursor',
      },
    ],
    why: 'design.md 5: with a short window no jitter is ever learned',
    finders: ['lib/rate/jitter'],
  },
  {
    name: 'a changed rate forgets the jitter that was learned',
    file: 'lib/rate/rate.ts',
    edits: [{ find: 'this.#watch(withLearned(rules, this.#rules))', replace: 'this.#watch(rules)' }],
    why: 'design.md 5: queue.rate = queue.rate gets requests refused again',
    finders: ['lib/rate/jitter', 'flow/jitter'],
  },
  {
    name: 'a jitter that was learned is not stored',
    file: 'lib/rate/window.ts',
    edits: [
      {
        find: 'freeAt: orNull(this.freeAt), ...(learned && { learned }) }',
        replace: 'freeAt: orNull(this.freeAt), ...(learned && {}) }',
      },
    ],
    why: 'design.md 5: another process, or this one after a restart, starts from 0',
    finders: ['lib/rate/jitter', 'persistence/sqlite/store/store-contract'],
  },
  {
    name: 'a Throttled only holds the rate, in memory',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: 'this.#refused(refusedStarts(settled.grant, heldKey, heldRule), now)', replace: '' }],
    why: 'design.md 5: no jitter is ever learned',
    finders: ['flow/jitter'],
  },
  {
    name: 'a Throttled only holds the rate, in a store',
    file: 'persistence/durable/execute/settle.ts',
    edits: [{ find: 'refuseStarts(limits, queue, refusedStarts(job.grant, heldKey, heldRule), now)', replace: '' }],
    why: 'design.md 5: no jitter is ever learned',
    finders: ['flow/naive/journeys', 'persistence/sqlite/store/store-contract'],
  },
  {
    name: 'a hold of the whole queue is explained as a rule that nobody has set',
    file: 'lib/limits/named-rules.ts',
    edits: [{ find: "why: rule ? 'rate' : 'hold', rule", replace: "why: 'rate', rule" }],
    why: 'explain names a rule, although the server has requested a pause',
    finders: ['lib/decisions/explain', 'flow/holds'],
  },
]
