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
    edits: [{ find: 'this.#lengthMs = windowMs(rule)', replace: 'this.#lengthMs = rule.perMs' }],
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
    return grant`,
        replace: `
    const refused = this.#windows.some(window => !window.admits(cost, now))
    if (this.#log.full && this.#log.size >= maxCostless) this.#forgetCostless()
    const grant = this.#log.add(now, Math.min(now + (graceMs > 0 ? graceMs : 0), Number.MAX_VALUE), cost)
    this.#enter(grant)
    return refused ? -1 : grant`,
      },
    ],
    why: 'I6: every refusal holds up the next start, and a queue that asks often never starts anything',
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
    finders: ['persistence/sqlite/store/store-contract', 'lib/rate/rate', 'persistence/sqlite/tables/rate-log'],
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
    finders: ['persistence/sqlite/store/store-contract', 'lib/rate/rate', 'persistence/sqlite/tables/rate-log'],
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
]
