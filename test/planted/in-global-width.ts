/** Bugs planted in the global width: what counts, whose turn a slot is, and what is declared and set. */
import type { Plant } from './plant.ts'

export const inGlobalWidth: readonly Plant[] = [
  {
    name: 'a process that has waited for a slot gets none from one that frees them',
    file: 'lib/limits/global-width.ts',
    edits: [
      {
        find: 'const mayTake = free > before ? Math.max(free - longest.length, 1) : 0',
        replace: 'const mayTake = free',
      },
    ],
    why: 'a process that fills its own slots again starves the others',
    finders: ['lib/limits/global-width', 'persistence/naive/store-contract'],
  },
  {
    name: 'a slot is kept free for ever for a process that does not come',
    file: 'lib/limits/global-width.ts',
    edits: [{ find: 'keptSince + keptFreeMs <= now)', replace: 'keptSince + keptFreeMs < 0)' }],
    why: 'a process that is stopped takes a slot from all others',
    finders: ['lib/limits/global-width', 'persistence/naive/store-contract'],
  },
  {
    name: 'two processes that began to wait together both leave the slot to the other',
    file: 'lib/limits/global-width.ts',
    edits: [{ find: '(a.worker < b.worker ? -1 : 1)', replace: '-1' }],
    why: 'a free slot is not used until both are passed over',
    finders: ['lib/limits/global-width'],
  },
  {
    name: 'in memory a claim does not check the global width',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: 'Math.min(room, maxClaimed, free)', replace: 'Math.min(room, maxClaimed)' }],
    why: 'more jobs run than the global width allows',
    finders: ['flow/global-width'],
  },
  {
    name: 'in memory a body that goes on frees its slot of the global width',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      { find: 'return this.counts.underway + this.continuingBodies.size', replace: 'return this.counts.underway' },
    ],
    why: 'more bodies run than the global width allows',
    finders: ['flow/global-width'],
  },
  {
    name: 'on a file a body that goes on frees its slot of the global width',
    file: 'persistence/sqlite/store/slots.ts',
    edits: [{ find: 'return counts.underway + continuing -', replace: 'return counts.underway + 0 * continuing -' }],
    why: 'more bodies run than the global width allows',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'on a file a job that awaits a verdict keeps the slot of its dead process',
    file: 'persistence/sqlite/store/slots.ts',
    edits: [{ find: ' - (this.#awaiting.get(queueId) as number)', replace: '' }],
    why: 'slots stay unused while afterCrash runs',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'on a file a dead process goes on waiting for a slot',
    file: 'persistence/sqlite/tables/worker.ts',
    edits: [{ find: "      'rdq_slot_wait',\n", replace: '' }],
    why: 'a slot is kept free for nobody',
    finders: ['persistence/sqlite/store/store-contract'],
  },
  {
    name: 'a process that was paused goes on waiting for a slot',
    file: 'lib/decisions/waits.ts',
    edits: [{ find: 'room === 0 && mayLaunch', replace: 'room === 0' }],
    why: 'a slot is kept free for a process that starts nothing',
    finders: ['persistence/naive/store-contract'],
  },
  {
    name: 'a handler that has finished its job in a transaction of its own frees its slots at once',
    file: 'persistence/sqlite/store/within.ts',
    edits: [{ find: '    bodyContinues.run(seq, worker, row.queueId, key)\n', replace: '' }],
    why: 'more bodies run than the global width, or the width of a key, allows',
    finders: ['persistence/sqlite/store/within'],
  },
  {
    name: 'a handler that has finished its job in a transaction of its own never frees its slots',
    file: 'persistence/durable/execute/settle.ts',
    edits: [{ find: '    if (within && !bodyContinues) store.endedBodies([seq])\n', replace: '' }],
    why: 'after as many such jobs as the global width nothing starts any more',
    finders: ['persistence/sqlite/store/within'],
  },
  {
    name: 'a repeated declaration of the global width undoes an override',
    file: 'persistence/durable/execute/requests.ts',
    edits: [{ find: 'globalWidth !== queue.declaredGlobalWidth', replace: 'globalWidth !== queue.globalWidth' }],
    why: 'what an operator has set is gone after a restart',
    finders: ['persistence/naive/store-contract'],
  },
  {
    name: 'clearOverrides leaves a global width that nobody declared',
    file: 'persistence/durable/execute/command.ts',
    edits: [
      { find: 'queue.declaredGlobalWidth ?? Infinity', replace: 'queue.declaredGlobalWidth ?? queue.globalWidth' },
    ],
    why: 'a limit that was set can only be replaced, and never removed by its name',
    finders: ['flow/naive/journeys'],
  },
  {
    name: 'a setting that was changed elsewhere is no event',
    file: 'lib/dispatch/dispatch.ts',
    edits: [
      {
        find: '    this.#settings.settingsReported()\n    this.launcher.addRuns',
        replace: '    this.launcher.addRuns',
      },
    ],
    why: 'a listener of globalWidth does not know what the property reads',
    finders: ['flow/global-width'],
  },
]
