/** Bugs planted in rules with a name: their settings, their turns, and what memory and a file keep of them. */
import type { Plant } from './plant.ts'

export const inNamedRules: readonly Plant[] = [
  {
    name: 'a queue does not leave room for those that wait for its rule',
    file: 'lib/limits/turn.ts',
    edits: [{ find: 'ahead.amount === 0', replace: 'ahead.amount >= 0' }],
    why: 'the queue that asks first takes all starts of a shared rule, and others starve',
    finders: ['lib/limits/named-rules', 'flow/named-rules'],
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
    file: 'persistence/sqlite/store/grants.ts',
    edits: [{ find: 'if (rule) act(rule, one.start)', replace: 'void rule' }],
    why: 'a shared rule is used up by jobs that never ran, and no launch frees its place in time',
    finders: ['persistence/sqlite/store/store-contract'],
  },
]
