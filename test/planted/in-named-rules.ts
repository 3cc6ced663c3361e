/** Bugs planted in rules with a name: their settings, their turns, and what memory and a file keep of them. */
import type { Plant } from './plant.ts'

export const inNamedRules: readonly Plant[] = [
  {
    name: 'a queue does not leave capacity for those that wait for its rule',
    file: 'lib/limits/turn.ts',
    edits: [{ find: 'ahead.amount === 0', replace: 'ahead.amount >= 0' }],
    why: 'the queue that claims first takes all starts of a shared rule, and others starve',
    finders: ['lib/limits/named-rules', 'flow/named-rules'],
  },
  {
    name: 'after a hold any queue may start first by a named rule',
    file: 'lib/limits/turn.ts',
    edits: [{ find: 'rate.heldUntil > -Infinity && rate.heldUntil <= now', replace: 'rate.heldUntil === Infinity' }],
    why: 'a queue whose every start holds the rule again leaves no start for the others',
    finders: ['flow/named-rules'],
  },
  {
    name: 'a queue that is late is waited for all the same',
    file: 'lib/limits/rule-turns.ts',
    edits: [{ find: 'return from <= now && now < until', replace: 'return from <= now' }],
    why: 'a halted process keeps the starts of a shared rule from all others',
    finders: ['lib/limits/rule-turns'],
  },
  {
    name: 'a queue that repeats its declaration takes back what was set for a named rule',
    file: 'lib/rules/rule-settings.ts',
    edits: [{ find: 'set: repeats ? now?.set : undefined', replace: 'set: undefined' }],
    why: 'an operator lowers the limit of a gateway, and the next restart raises it',
    finders: ['lib/rules/rule-settings'],
  },
  {
    name: 'in memory a start in a named rule stays charged when its job goes back',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: 'this.ruleSet.change(name, now, rate => change(rate, start))', replace: '' }],
    why: 'a shared rule is used up by jobs that never ran, and no launch frees its place in time',
    finders: ['flow/named-rules'],
  },
  {
    name: 'on a file a start in a named rule stays charged when its job goes back',
    file: 'persistence/sqlite/store/limits.ts',
    edits: [{ find: "start.of === 'rule' ? rules.find(start.name)", replace: "start.of === 'rule' ? undefined" }],
    why: 'a shared rule is used up by jobs that never ran, and no launch frees its place in time',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'in memory Throttled with a rule holds nothing',
    file: 'persistence/memory/queue-rules.ts',
    edits: [{ find: '    rule?.rate.hold(until)\n', replace: '' }],
    why: 'all queues go on calling a service that has refused one of them',
    finders: ['persistence/memory/backlog', 'flow/named-rules'],
  },
  {
    name: 'in a store Throttled with a rule holds nothing',
    file: 'persistence/durable/execute/rules.ts',
    edits: [{ find: '  rate?.hold(until)\n', replace: '  void until\n' }],
    why: 'a restart, or another process, calls a service that wants to be left alone',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'a hold of a rule that was taken from the queue holds nothing',
    file: 'lib/rules/holds.ts',
    edits: [{ find: 'if (!holds.rule(heldRule, until)) holds.queue(until)', replace: 'holds.rule(heldRule, until)' }],
    why: 'the job runs again at once, over and over',
    finders: ['persistence/memory/backlog', 'persistence/naive/backlog-contract'],
  },
  {
    name: 'Throttled with a rule that nobody has holds the queue',
    file: 'lib/settle/error-settlement.ts',
    edits: [{ find: 'if (rule !== undefined) refuseUnknownRule(rule, facts.ruleNames())', replace: '' }],
    why: 'a misspelt rule is never noticed, and the other queues go on',
    finders: ['lib/settle/error-settlement'],
  },
  {
    name: 'the hold of a named rule is reported as the rule',
    file: 'lib/limits/rate-limit.ts',
    edits: [{ find: "why: rule ? 'rate' : 'hold', until", replace: "why: rule ?? heldRule ? 'rate' : 'hold', until" }],
    why: 'limited does not say that the service has refused a job',
    finders: ['persistence/naive/store-contract', 'flow/named-rules'],
  },
  {
    name: 'a key that is held is no reason where keys are not declared',
    file: 'persistence/sqlite/store/claim.ts',
    edits: [{ find: '    if (claim.room > 0) claim.blocked = this.#holdOfKey(queue, now)\n', replace: '' }],
    why: 'no event reports that a tenant waits',
    finders: ['persistence/sqlite/backlog'],
  },
  {
    name: 'a process does not notice what others have started since it read a rule',
    file: 'persistence/sqlite/tables/rate-starts.ts',
    edits: [{ find: 'if (cached?.version === owner.rateVersion)', replace: 'if (cached)' }],
    why: 'each process uses up the limit that all of them share',
    finders: ['persistence/sqlite/store/store-contract', 'crash/named-rules'],
  },
  {
    name: 'on a file the bodies of some processes do not count for the width of a key',
    file: 'persistence/sqlite/store/key-turns.ts',
    edits: [
      {
        find: 'where queue = k.queue and key = k.key',
        replace: 'where worker % 2 = 0 and queue = k.queue and key = k.key',
      },
    ],
    why: 'a tenant gets its width once for each process',
    finders: ['crash/named-rules'],
  },
  {
    name: 'the units of a job do not count in a named rule',
    file: 'lib/limits/named-rules.ts',
    edits: [{ find: 'start: rate.grant(cost, now, graceMs)', replace: 'start: rate.grant(undefined, now, graceMs)' }],
    why: 'I29: queues that share a rule in tokens use it as if it did not exist',
    finders: ['flow/named-rules-random'],
  },
  {
    name: 'a start by a named rule costs its queue no turn',
    file: 'lib/limits/rule-turns.ts',
    edits: [
      { find: 'if (wait.queue === queue) wait.tag = tag + 1', replace: 'if (wait.queue === queue) wait.tag = tag' },
    ],
    why: 'I30: a queue that always waits is always first, and another one starves',
    finders: ['flow/named-rules-random'],
  },
  {
    name: 'room in a named rule is left for starts that nobody waits for',
    file: 'lib/limits/rule-turns.ts',
    edits: [
      {
        find: 'const starts = Math.min(wait.wants, turns - before)',
        replace: 'const starts = Math.min(wait.wants + 1_000, 1_000 + turns - before)',
      },
    ],
    why: 'the rule has room, and nobody uses it',
    finders: ['flow/named-rules-random'],
  },
]
