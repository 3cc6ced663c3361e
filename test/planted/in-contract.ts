/**
 * Bugs planted against rules of the contract of backlogs (lib/backlog.ts), which the suites of the contract find by
 * themselves.
 */
import type { Plant } from './plant.ts'

const oneProcess = ['persistence/sqlite/backlog']
const severalProcesses = ['persistence/sqlite/shared-contract']

export const inContract: readonly Plant[] = [
  {
    name: 'a remote backlog answers in another order than its requests took effect',
    file: 'testing/remote-line.ts',
    edits: [
      {
        find: 'this.#replies.splice(0, 1 + this.#chance.below(this.#replies.length))',
        replace: 'this.#replies.splice(-1 - this.#chance.below(this.#replies.length)).reverse()',
      },
    ],
    why: 'B2: a put is answered after the exchange that hands out its job, and `pending` comes after `finished`',
    finders: ['persistence/memory/backlog', 'testing/remote-backlog'],
  },
  {
    name: 'a session does not show a shared pause that its exchange reported',
    file: 'persistence/durable/session.ts',
    edits: [{ find: '    this.sharedPaused = done.sharedPaused\n', replace: '' }],
    why: 'B3: a session shows something else than its last reply',
    finders: oneProcess,
  },
  {
    name: 'an exchange whose reply is lost is not repeated',
    file: 'persistence/durable/unanswered.ts',
    edits: [
      {
        find: 'if (!isRepeatable(request))',
        replace: "if (request.kind === 'exchange' || !isRepeatable(request))",
      },
    ],
    why: 'B5: an exchange that took effect rejects, and its endings are reported twice',
    finders: severalProcesses,
  },
  {
    name: 'the record of a job that was put is forgotten',
    file: 'persistence/durable/session.ts',
    edits: [{ find: '      this.#identities.put(record)\n', replace: '' }],
    why: 'B8: a query answers with another record than the one that was put',
    finders: oneProcess,
  },
  {
    name: 'a checkpoint is stored, and its record does not show it',
    file: 'persistence/durable/session.ts',
    edits: [
      {
        find: 'if (!lost.has(record.seq) && record.fence === fence) record.ensureExtras().checkpoint = value',
        replace: 'if (record.fence !== fence) record.ensureExtras().checkpoint = value',
      },
    ],
    why: 'B9: the next attempt in this process begins without the checkpoint',
    finders: oneProcess,
  },
  {
    name: 'in memory a checkpoint takes effect after the ending of its exchange',
    file: 'persistence/memory/backlog.ts',
    edits: [
      {
        find: "if (record.state === 'underway' && record.fence === fence) record.ensureExtras().checkpoint = value",
        replace:
          "if (record.state === 'underway' && !settled.some(one => one.record === record)) record.ensureExtras().checkpoint = value",
      },
    ],
    why: 'B12: the last checkpoint before an error is lost',
    finders: ['persistence/memory/backlog'],
  },
  {
    name: 'in memory a body that went on never ends',
    file: 'persistence/memory/backlog.ts',
    edits: [
      {
        find: 'if (endedBodies.length > 0) for (const record of endedBodies) queue.bodyEnded(record, now)',
        replace: '',
      },
    ],
    why: 'B19: a job that was cancelled while it ran can never be put anew',
    finders: ['persistence/memory/backlog'],
  },
  {
    name: 'no caller is notified that a job has ended elsewhere',
    file: 'persistence/durable/remote-endings.ts',
    edits: [{ find: '    this.#options.endedElsewhere(record)\n', replace: '' }],
    why: 'B31: the result of a job that another process runs never settles',
    finders: severalProcesses,
  },
  {
    name: 'a process that did not answer is not notified that it lost its jobs',
    file: 'persistence/durable/link.ts',
    edits: [{ find: 'for (const client of this.#clients) if (client.works) client.stalled()', replace: '' }],
    why: 'B34: `stalled` is never emitted',
    finders: severalProcesses,
  },
]
