/** Bugs of handlers that run in threads and processes. */
import type { Plant } from './plant.ts'

export const inIsolates: readonly Plant[] = [
  {
    name: 'the neighbours of a body that does not end count a crash',
    file: 'lib/isolate/isolates.ts',
    edits: [
      { find: `const isCrash = from === 'open'`, replace: `const isCrash = from === 'open' || from === 'replaced'` },
    ],
    why: 'I23: an innocent job is blamed for the end of an isolate that was killed because of another job',
    finders: ['flow/isolates-simulated'],
  },
  {
    name: 'two suspects run in one isolate',
    file: 'lib/isolate/isolates.ts',
    edits: [
      { find: 'usable.filter(({ suspect }) => suspect === undefined)', replace: 'usable' },
      {
        find: 'beside: Math.max(this.#count - beside - waiting, 0),',
        replace: 'beside: this.#count + beside + waiting,',
      },
    ],
    why: 'I23: a job that ends its isolate takes along all that were beside it before',
    finders: ['flow/isolates-simulated', 'simulation/isolates'],
  },
  {
    name: 'a suspect whose next crash fails it runs beside others',
    file: 'lib/isolate/isolates.ts',
    edits: [{ find: 'if (crashes > 0 && crashes >= aloneFrom(crashLimit)) {', replace: 'if (crashes > crashLimit) {' }],
    why: 'I23: a job may fail for the crash of its neighbour',
    finders: ['flow/isolates-simulated', 'simulation/isolates'],
  },
  {
    name: 'a crash of an isolate is not stored in memory',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      {
        find: 'if (crashes !== undefined) record.ensureExtras().crashes = crashes',
        replace: 'if (crashes === 0) return',
      },
    ],
    why: 'B38: a job that ends its isolate is run for ever, beside others',
    finders: ['persistence/memory/backlog'],
  },
  {
    name: 'a crash of an isolate is not stored in a durable backlog',
    file: 'persistence/durable/execute/settle.ts',
    edits: [{ find: 'if (extras.crashes !== undefined) store', replace: 'if (extras.crashes === 0) store' }],
    why: 'B38: a job that ends its isolate is run for ever, beside others',
    finders: ['persistence/naive/backlog-contract'],
  },
  {
    name: 'a start is reported after the first line of the handler',
    file: 'lib/isolate/host.ts',
    edits: [
      {
        find: '    this.#reports.started = call\n    this.#reports.flush()\n',
        replace:
          '    this.clock.soon(() => {\n      this.#reports.started = call\n      this.#reports.flush()\n    })\n',
      },
    ],
    why: 'a handler that blocks its loop from its first line on never times out',
    finders: ['flow/isolates'],
  },
  {
    name: 'one result that cannot be cloned fails those of the same turn',
    file: 'lib/isolate/isolate-reports.ts',
    edits: [
      {
        find: 'for (const item of items) this.#postAlone',
        replace: 'for (const item of items.slice(0, 1)) this.#postAlone',
      },
    ],
    why: 'one asks, one is answered: other jobs never end',
    finders: ['lib/isolate/isolate-reports'],
  },
  {
    name: 'a slot is free before the isolate of a body that does not end is gone',
    file: 'lib/isolate/isolate.ts',
    edits: [
      {
        find: `    this.#state = 'replaced'\n`,
        replace: `    this.#state = 'replaced'\n    for (const call of this.#calls.values()) this.#parts.launcher.displaced(call.run)\n`,
      },
    ],
    why: 'I4: more bodies run than the width allows',
    finders: ['flow/isolates-simulated'],
  },
  {
    name: 'a start in an isolate may come too late for its rate',
    file: 'lib/isolate/host.ts',
    edits: [
      { find: 'if (startBefore !== undefined && this.#hostNow() >= startBefore)', replace: 'if (startBefore === 0)' },
    ],
    why: 'I5: an isolate that was blocked starts a job in a window that is full without it',
    finders: ['flow/isolates-handed-over'],
  },
  {
    name: 'a rate counts a start in an isolate from the report before its first line',
    file: 'lib/isolate/host.ts',
    edits: [
      { find: 'this.#reports.started = call', replace: 'this.#reports.started = this.#reports.confirmed = call' },
    ],
    why: 'I5: an isolate that is halted before the first line starts a job in a window that is full',
    finders: ['flow/isolates-simulated'],
  },
  {
    name: 'the first line of a body in an isolate is reported only with the next message',
    file: 'lib/isolate/host.ts',
    edits: [{ find: 'if (limited) this.#reports.schedule()', replace: '' }],
    why: 'a place in the window is free up to a second later than it could be',
    finders: ['flow/isolates-handed-over'],
  },
  {
    name: 'an answer to an earlier pause counts for a later one',
    file: 'lib/isolate/isolate.ts',
    edits: [{ find: '    this.#isParked = false\n    this.#parks++', replace: '    this.#parks++' }],
    why: 'a pause resolves although a generator still takes steps',
    finders: ['flow/isolates-handed-over'],
  },
  {
    name: 'an isolate parks a generator that is being closed',
    file: 'lib/isolate/host.ts',
    edits: [{ find: 'if (!task?.running) return', replace: 'if (!task) return' }],
    why: 'a pause after a cancel ends the isolate, and counts a crash for each job in it',
    finders: ['flow/isolates'],
  },
  {
    name: 'a pause leaves the jobs that were handed over in their isolates',
    file: 'lib/isolate/isolates.ts',
    edits: [{ find: 'for (const isolate of this.#isolates) isolate.withdraw()', replace: '' }],
    why: 'I10: a job starts long after its queue was paused or stopped',
    finders: ['flow/isolates-handed-over'],
  },
  {
    name: 'an object of a class in a payload arrives as a plain one',
    file: 'lib/isolate/payload.ts',
    edits: [{ find: 'isKept(value) || !losesClass(value, clone)', replace: 'isKept(value) || value !== undefined' }],
    why: 'a handler gets {} for an AbortSignal or a Request, and nothing says so',
    finders: ['lib/isolate/payload'],
  },
  {
    name: 'a process does not end with its parent',
    file: 'lib/isolate/orphan-watch.ts',
    edits: [{ find: `process.kill(process.pid, 'SIGKILL')`, replace: '' }],
    why: 'a handler that blocks its loop goes on for ever after its application was killed',
    finders: ['isolate/orphans'],
  },
]
