/** Bugs planted in limits and sharing by key: fairness, limits, memory, and the file. */
import type { Plant } from './plant.ts'

export const inKeys: readonly Plant[] = [
  {
    name: 'in memory a key that a heavy job holds up waits on when a lighter one becomes its next',
    file: 'persistence/memory/ready-by-key.ts',
    edits: [{ find: 'if (entry.refusal && entry.jobs.first === job) this.#nextChanged(entry)', replace: '' }],
    why: 'a more important job waits for the cost of another one',
    finders: ['flow/costs'],
  },
  {
    name: 'on a file a key that a heavy job holds up waits on when that job is cancelled',
    file: 'persistence/sqlite/tables/location.ts',
    edits: [{ find: 'if (queue.sorted && key !== null) this.#released.run(queue.queueId, key)', replace: '' }],
    why: 'jobs wait for the cost of one that is gone',
    finders: ['flow/sqlite/costs'],
  },
  {
    name: 'on a file a key that a heavy job holds up waits on when a lighter one becomes its next',
    file: 'persistence/sqlite/store/key-turns.ts',
    edits: [{ find: 'if (!countsUnits || !this', replace: 'if (countsUnits || !this' }],
    why: 'a more important job waits for the cost of another one',
    finders: ['flow/sqlite/costs'],
  },
  {
    name: 'on a file no event reports that the next job of a key waits for its cost',
    file: 'persistence/sqlite/store/key-turns.ts',
    edits: [
      {
        find: 'this.refusalOfNext(queue, this.state(queue, row), now)',
        replace: 'this.refusal(this.state(queue, row), undefined, now)',
      },
    ],
    why: '`limited` does not say what holds up a heavy job of a key',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'in memory a correction is left out of the window of a key',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      {
        find: "if (typeof grant !== 'number') this.#eachFurther(grant, now, (rate, start) => rate.correct(start, cost))",
        replace: '',
      },
    ],
    why: 'the real cost of a job is not counted for its key',
    finders: ['flow/costs'],
  },
  {
    name: 'in a store a correction is left out of the window of a key',
    file: 'persistence/durable/execute/grants.ts',
    edits: [
      {
        find: 'eachStart(store, queue, grant, now, (rate, start) => rate.correct(start, cost))',
        replace: 'eachStart(store, queue, startOf(grant), now, (rate, start) => rate.correct(start, cost))',
      },
    ],
    why: 'the real cost of a job is not counted for its key',
    finders: ['flow/sqlite/costs'],
  },
  {
    name: 'the rules for all keys do not make a unit known',
    file: 'lib/rules/puts.ts',
    edits: [{ find: '[...rate.rules, ...further, ...ofKeys]', replace: '[...rate.rules, ...further]' }],
    why: 'a default cost is refused for jobs without a key',
    finders: ['lib/rules/puts'],
  },
  {
    name: 'the fast way of run has no default cost',
    file: 'lib/put/intake.ts',
    edits: [
      { find: ' || parts.size !== Infinity || parts.cost !== undefined', replace: ' || parts.size !== Infinity' },
    ],
    why: 'jobs of run() cost nothing, and the limit of the service is exceeded',
    finders: ['flow/costs'],
  },
  {
    name: 'the default cost replaces a given one',
    file: 'lib/put/intake.ts',
    edits: [{ find: 'cost !== undefined && record.extras?.cost === undefined', replace: 'cost !== undefined' }],
    why: 'the cost of a put is ignored',
    finders: ['flow/costs'],
  },
  {
    name: 'a key that comes back is placed before those that wait',
    file: 'lib/limits/fairness.ts',
    edits: [{ find: 'return clock + 1 / weight', replace: 'return clock' }],
    why: 'a key that puts one job at a time is always next, and another one starves',
    finders: ['lib/limits/fairness'],
  },
  {
    name: 'weights are not heeded',
    file: 'lib/limits/fairness.ts',
    edits: [{ find: 'return Math.max(clock, tag) + 1 / weight', replace: 'return Math.max(clock, tag) + 1' }],
    why: 'every key has the same share',
    finders: ['lib/limits/fairness'],
  },
  {
    name: 'a key that was blocked makes up for the turns that it missed',
    file: 'lib/limits/fairness.ts',
    edits: [{ find: 'return Math.max(clock, tag) + 1 / weight', replace: 'return tag + 1 / weight' }],
    why: 'after a hold of an hour a key keeps all others from starting',
    finders: ['lib/limits/fairness'],
  },
  {
    name: 'a key runs one job more than its width',
    file: 'lib/limits/width.ts',
    edits: [{ find: 'bodies >= width', replace: 'bodies > width' }],
    why: 'the limit of a tenant is exceeded',
    finders: ['lib/limits/limits', 'flow/keys'],
  },
  {
    name: 'a limit that an event ends gives way to one that an instant ends',
    file: 'lib/limits/limits.ts',
    edits: [
      {
        find: '    if (longest === undefined || refusal.until > longest',
        replace: '    if (longest === undefined || refusal.until < longest',
      },
    ],
    why: 'a key is looked at again and again though it is paused',
    finders: ['lib/limits/limits'],
  },
  {
    name: 'in memory a body that goes on frees the slot of its key',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      {
        find: 'if (settled.bodyContinues) this.continuingBodies.add(record)\n      else this.keys?.released(record, now)',
        replace: 'if (settled.bodyContinues) this.continuingBodies.add(record)\n      this.keys?.released(record, now)',
      },
    ],
    why: 'a key runs more bodies than its width',
    finders: ['flow/keys'],
  },
  {
    name: 'in memory a key that a hold ends stays held up',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: '    this.keys?.recheckDue(now)\n', replace: '' }],
    why: 'the jobs of a key never start again',
    finders: ['persistence/memory/backlog'],
  },
  {
    name: 'in memory a late look at a corrected cost is left out',
    file: 'persistence/memory/ready-by-key.ts',
    edits: [{ find: 'if (entry?.refusal) this.#recheck(entry, now)', replace: '' }],
    why: 'a key waits longer than its rule requires',
    finders: ['flow/keys'],
  },
  {
    name: 'in memory nothing is forgotten of a key',
    file: 'persistence/memory/ready-by-key.ts',
    edits: [{ find: 'else this.#entries.delete(entry.key)', replace: '' }],
    why: 'a queue with ever new keys grows without bound',
    finders: ['persistence/memory/ready-by-key'],
  },
  {
    name: 'on a file the end of a body is not noted for its key',
    file: 'persistence/sqlite/tables/schema.ts',
    edits: [
      {
        find: 'create trigger rdq_underway_released after delete on rdq_underway when old.key is not null begin',
        replace: 'create trigger rdq_underway_released after delete on rdq_underway when old.key is null begin',
      },
    ],
    why: 'a key that was full never starts another job',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'on a file a body that goes on is not counted for its key',
    file: 'persistence/sqlite/tables/key.ts',
    edits: [{ find: "bodies('rdq_continuing_body')", replace: "bodies('rdq_underway')" }],
    why: 'a key runs more bodies than its width',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'on a file jobs that run are not counted for keys declared later',
    file: 'persistence/sqlite/store/limits.ts',
    edits: [{ find: '      keys.beginsToSort(queue)\n', replace: '' }],
    why: 'a key runs more bodies than the width that was declared while they ran',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'on a file other rules of a key are applied only at its next start',
    file: 'persistence/sqlite/tables/key.ts',
    edits: [
      {
        find: '    this.#rateStarts.changing(row).change(rules, now)\n    row.rules = rules\n',
        replace: '    row.rules = rules\n',
      },
    ],
    why: 'starts that the former rules have forgotten meanwhile do not count in the longer window of the new ones',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'on a file a key whose jobs are sorted by their put takes no turn',
    file: 'persistence/sqlite/store/put.ts',
    edits: [{ find: 'keyTurns.hasWork(queue, first)', replace: '' }],
    why: 'its jobs wait for ever',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'on a file a key without further jobs goes on taking turns',
    file: 'persistence/sqlite/store/key-turns.ts',
    edits: [{ find: 'columns[keyColumnCount + 2] === 1', replace: 'true' }],
    why: 'the row of a key that is gone stays in the file, and the key returns with its former turn',
    finders: ['persistence/sqlite/store/claim'],
  },
  {
    name: 'on a file a claim writes the jobs of each key by themselves',
    file: 'persistence/sqlite/store/key-claims.ts',
    edits: [{ find: 'const minOfKey = 4', replace: 'const minOfKey = 1' }],
    why: 'a claim among many keys takes twice as long',
    finders: ['persistence/sqlite/store/claim'],
  },
  {
    name: 'on a file keys that are still to be checked again are left to the next exchange',
    file: 'persistence/sqlite/store/key-claims.ts',
    edits: [{ find: ' || isBehind || suspected', replace: ' || suspected' }],
    why: 'a key behind a thousand others waits until something else happens',
    finders: ['persistence/sqlite/store/claim'],
  },
  {
    name: 'on a file a key that nothing holds up any more is not looked at',
    file: 'persistence/sqlite/store/key-claims.ts',
    edits: [{ find: 'Math.min(claim.nextLookAt, first.until)', replace: 'claim.nextLookAt' }],
    why: 'its jobs wait until something else happens',
    finders: ['persistence/sqlite/store/claim'],
  },
  {
    name: 'on a file a start of a key stays charged when its job goes back',
    file: 'persistence/sqlite/store/limits.ts',
    edits: [{ find: ': this.#keyOf(queue, start)\n    return owner', replace: ': undefined\n    return owner' }],
    why: 'the rate of a key is used up by jobs that never ran',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'in memory a key that is set forgets its starts',
    file: 'persistence/memory/ready-by-key.ts',
    edits: [
      { find: 'if (entry.rate) entry.rate.change(rate, now)', replace: 'if (entry.rate) entry.rate = new Rate(rate)' },
    ],
    why: 'I25: to pause and resume a key lets a whole window of it start at once',
    finders: ['flow/keys-random'],
  },
  {
    name: 'the hold of a key ends nobody',
    file: 'lib/limits/hold.ts',
    edits: [{ find: '(until > now ?', replace: '(until > now + 3_600_000 ?' }],
    why: 'I26: a server that refuses one tenant is called on',
    finders: ['flow/keys-random'],
  },
  {
    name: 'in memory the virtual clock of keys stands still',
    file: 'persistence/memory/ready-by-key.ts',
    edits: [{ find: 'this.#clock = clockAfterStart(this.#clock, tag)', replace: 'clockAfterStart(this.#clock, tag)' }],
    why: 'I27: a key that comes back is always placed before those that wait',
    finders: ['flow/keys-random'],
  },
  {
    name: 'on a file jobs of a key that was held are forgotten once keys are limited',
    file: 'persistence/sqlite/store/limits.ts',
    edits: [{ find: 'for (const key of keyTurns.withHold(queue))', replace: 'for (const key of [] as string[])' }],
    why: 'they never start',
    finders: ['flow/sqlite/keys'],
  },
]
