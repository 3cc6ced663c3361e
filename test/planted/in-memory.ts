/** Bugs planted in the backlog in memory: grants, order, ids, counters. */
import type { Plant } from './plant.ts'

export const inMemory: readonly Plant[] = [
  {
    name: 'in memory, the other queue objects of a name are not notified that an exchange has changed something',
    file: 'persistence/memory/backlog.ts',
    edits: [{ find: 'if (settled.length > 0 || claimed.claimed.length > 0) this.#wakeOthers()', replace: '' }],
    why: 'I16: idle() of a queue without a handler never resolves, and its puts wait for space that is free',
    finders: ['flow/without-handler'],
  },
  {
    name: 'keep.most is not heeded in memory',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: 'if (this.#keptEnded.size > keep.most) this', replace: 'if (this.#keptEnded.size < 0) this' }],
    why: 'I20: a service in memory whose jobs fail, or that clears many, grows by each of them',
    finders: ['flow/faults-volume'],
  },
  {
    name: 'ids in memory are remembered beyond the most',
    file: 'persistence/memory/remembered-ids.ts',
    edits: [{ find: 'while (this.#byId.size > most) this.#dropFirst()', replace: '' }],
    why: 'I20: a service in memory that gives ids grows by each of them',
    finders: ['persistence/memory/remembered-ids', 'persistence/memory/backlog'],
  },
  {
    name: 'a cost in an unknown unit is free in memory',
    file: 'persistence/memory/backlog.ts',
    edits: [{ find: 'refuseCost(cost, queue.rate, further, queue.keysPolicy?.rate)', replace: '' }],
    why: 'a misspelt unit is counted by no rule, and the limit of the service is exceeded',
    finders: ['flow/doors'],
  },
  {
    name: 'what is not launched in memory is not refunded',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: '      this.#refund(settled.grant, now)\n', replace: '' }],
    why: 'I6: a job that was handed back has spent a start of the rate',
    finders: ['persistence/memory/backlog', 'flow/faults-listener', 'flow/differential'],
  },
  {
    name: 'the attempt is counted at the end',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      { find: '      job.attempt++\n', replace: '' },
      { find: '    goBack(settled, now)\n', replace: '    goBack(settled, now)\n    record.attempt++\n' },
    ],
    why: 'I9: a run does not know its own number, and what never ends never counts',
    finders: ['persistence/memory/backlog', 'flow/retry'],
  },
  {
    name: 'the first job of a key is lost when a second one comes',
    file: 'persistence/memory/ready.ts',
    edits: [{ find: '    ;(this.#lane(only.priority) as Ring).push(only)\n', replace: '' }],
    why: 'I1: a job that was put never ends',
    finders: ['persistence/memory/ready'],
  },
  {
    name: 'a job that comes back goes to the end',
    file: 'persistence/memory/ready.ts',
    edits: [{ find: 'if (!lane || lane.lastSeq > job.seq) return', replace: 'if (!lane) return' }],
    why: 'I7: a returned job is overtaken by later ones of its own priority',
    finders: ['persistence/memory/ready', 'flow/width'],
  },
  {
    name: 'a job that is promoted waits on',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      {
        find: '    Object.assign(job.ensureExtras(), { dueAt: isDated',
        replace: '    if (due) Object.assign(job.ensureExtras(), { dueAt: isDated',
      },
    ],
    why: 'promote was answered and has no effect',
    finders: ['flow/reschedule'],
  },
  {
    name: 'a remove leaves the id of what is gone',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: 'return this.jobs.forget(id, now)', replace: 'return true' }],
    why: 'whoever removed a job and puts its id again gets the old one back',
    finders: ['flow/reschedule'],
  },
  {
    name: 'reprioritized jobs stay where they were',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      {
        find: 'if (isReady) this.ready.reprioritize(job, priority)\n    else job.priority = priority',
        replace: 'job.priority = priority',
      },
    ],
    why: 'I8: the job says that it is more important, and starts no sooner',
    finders: ['flow/look', 'flow/invariants'],
  },
  {
    name: 'lanes stand in the wrong order',
    file: 'persistence/memory/ready.ts',
    edits: [{ find: '.priority > priority) low = middle + 1', replace: '.priority < priority) low = middle + 1' }],
    why: 'I8: the least important job starts first',
    finders: ['persistence/memory/ready', 'flow/width'],
  },
  {
    name: 'a heap that overlooks the last of four children',
    file: 'persistence/memory/heap.ts',
    edits: [{ find: 'child < end; child++', replace: 'child < end - 1; child++' }],
    why: 'I14, I7: delayed and returned jobs come out in another order than that of their instants',
    finders: ['persistence/memory/heap', 'flow/invariants'],
  },
  {
    name: 'a delay is over a millisecond early',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      {
        find: 'while (due.firstKey <= now || dated.firstKey <= wall) {\n      const job = (due.firstKey <= now ? due : dated)',
        replace:
          'while (due.firstKey <= now + 1 || dated.firstKey <= wall) {\n      const job = (due.firstKey <= now + 1 ? due : dated)',
      },
      {
        find: 'const due = job.extras && dueOf(job.extras, now, wall)',
        replace: 'const due = job.extras && dueOf(job.extras, now + 1, wall)',
      },
    ],
    why: 'I14: rounding lets a job start before it is due',
    finders: ['flow/differential', 'flow/put', 'flow/retry', 'flow/invariants'],
  },
  {
    name: 'an id is forgotten with its job',
    file: 'persistence/memory/job-index.ts',
    edits: [{ find: 'if (idsMs > 0) this.#remembered.add', replace: 'if (idsMs < 0) this.#remembered.add' }],
    why: 'I19: a put that is repeated under its id after the job has ended runs again',
    finders: ['persistence/memory/job-index', 'persistence/memory/backlog', 'flow/put'],
  },
  {
    name: 'one id twice in a batch makes two jobs',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: 'inPut: () => batch.get(id),', replace: 'inPut: () => undefined,' }],
    why: 'I19: two puts of one id at the same moment both run',
    finders: ['flow/faults-payload'],
  },
  {
    name: 'clear leaves the counters',
    file: 'persistence/memory/memory-queue.ts',
    edits: [
      {
        find: `
    counts.pending += counts.delayed
    counts.delayed = 0
    for`,
        replace: `
    for`,
      },
    ],
    why: 'I15: jobs that were delayed are counted where they are not',
    finders: ['persistence/memory/backlog', 'flow/look', 'flow/invariants'],
  },
  {
    name: 'of many put together some are taken',
    file: 'persistence/memory/backlog.ts',
    edits: [
      {
        find: `
    const existed = this.#existed(records, now)
    const fresh`,
        replace: `
    const partly = records.findIndex(({ extras }) => extras?.cost && queue.rate.impossible(extras.cost))
    if (partly > 0) queue.accept(records.slice(0, partly), undefined, now, wall)
    const existed = this.#existed(records, now)
    const fresh`,
      },
    ],
    why: 'putMany is all or nothing: a refused one leaves jobs behind that run all the same',
    finders: ['persistence/memory/backlog', 'flow/put'],
  },
  {
    name: 'in memory a grace that was too short stays as short',
    file: 'persistence/memory/memory-queue.ts',
    edits: [{ find: '(keys?.rules ?? [])], this.#graceFactor)', replace: '(keys?.rules ?? [])])' }],
    why: 'a job that needs a new process to start goes back again and again, and never runs',
    finders: ['persistence/memory/backlog'],
  },
  {
    name: 'in memory a queue without a handler takes the jobs of all others with it',
    file: 'persistence/memory/backlog.ts',
    edits: [{ find: 'if (!this.declaration.works && this.#othersGoOn) return noChange', replace: '' }],
    why: 'jobs that a queue has accepted are lost, and its run() calls are rejected though it goes on',
    finders: ['flow/without-handler', 'persistence/memory/backlog'],
  },
  {
    name: 'in memory a queue that is about to close counts as one that goes on',
    file: 'persistence/memory/backlog.ts',
    edits: [{ find: '        this.#hasReturned = true\n', replace: '' }],
    why: 'I16: queues without a handler that stop together leave the promises of run() open',
    finders: ['flow/without-handler'],
  },
  {
    name: 'a result that is read after a stop settles the job for all',
    file: 'lib/announce/results.ts',
    edits: [
      {
        find: "if (!record.ended && this.#lifecycle.stopped) return rejected(this.stopError('the job did not run'))",
        replace: 'if (!record.ended && this.#lifecycle.stopped) this.settle(record)',
      },
    ],
    why: 'I16: run() of another queue object rejects, though its job runs',
    finders: ['flow/without-handler'],
  },
]
