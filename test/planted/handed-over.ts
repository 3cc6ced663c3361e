/** Bugs planted where payloads and errors are taken from callers, made into text, refused, and split. */
import type { Plant } from './plant.ts'

export const handedOver: readonly Plant[] = [
  {
    name: 'a payload is made into text when its batch leaves',
    file: 'lib/put/intake.ts',
    edits: [{ find: '    record.text = text\n', replace: '' }],
    why: 'an object that is changed after its put is stored as nobody has put it',
    finders: ['flow/sqlite/handed-over'],
  },
  {
    name: 'the digest of an id is that of the object',
    file: 'lib/put/intake.ts',
    edits: [
      { find: 'text === undefined ? fingerprint(payload) : fingerprintOfText(text)', replace: 'fingerprint(payload)' },
    ],
    why: 'what a later process puts under the same id is a conflict, as a digest in memory is of this process alone',
    finders: ['persistence/sqlite/put-within'],
  },
  {
    name: 'a checkpoint in memory is held by reference',
    file: 'lib/text/checkpoint-value.ts',
    edits: [{ find: '    return structuredClone(value)\n', replace: '    return value\n' }],
    why: 'what a handler did after its checkpoint is restored with it, and left out at the retry',
    finders: ['lib/text/checkpoint-value', 'flow/handed-over'],
  },
  {
    name: 'all runs restore one copy',
    file: 'lib/text/checkpoint-value.ts',
    edits: [{ find: 'return structuredClone(this.#copy)', replace: 'return this.#copy' }],
    why: 'what one attempt did to what it restored is found by the next',
    finders: ['lib/text/checkpoint-value', 'flow/handed-over'],
  },
  {
    name: 'an ending becomes text when it is sent, not when the handler returns',
    file: 'lib/dispatch/launcher.ts',
    edits: [{ find: '    run.text = this.#endingTexts?.of(run)\n', replace: '' }],
    why: 'an error that is changed after it was thrown is recorded as it was later, and results are not kept',
    finders: ['flow/sqlite/handed-over'],
  },
  {
    name: 'the reason of a cancel is read when its turn comes',
    file: 'lib/control/commands.ts',
    edits: [{ find: 'const text = durable ? errorToJson(error) : undefined', replace: 'const text = undefined' }],
    why: 'a reason that is changed after the call is recorded as it was later',
    finders: ['flow/sqlite/handed-over'],
  },
  {
    name: 'a payload in memory with json is handed on by reference',
    file: 'persistence/memory/backlog.ts',
    edits: [{ find: 'return text === undefined ? payload : valueFrom(text)', replace: 'return payload' }],
    why: 'tests in memory prove nothing of a file: what one attempt changes the next one finds',
    finders: ['flow/handed-over'],
  },
  {
    name: 'a hole in putMany is passed over',
    file: 'lib/queue.ts',
    edits: [{ find: 'if (!(i in payloads)) {', replace: 'if (i < 0) {' }],
    why: 'what was left out by a slip is put as undefined',
    finders: ['flow/handed-over'],
  },
  {
    name: 'half of a surrogate pair is a label',
    file: 'lib/parse/label.ts',
    edits: [{ find: '&& isWellFormed(value)', replace: '' }],
    why: 'a key comes back from a file as another one, and two tenants share it',
    finders: ['lib/parse/label'],
  },
  {
    name: 'a list accepts any value as its key',
    file: 'lib/control/queries.ts',
    edits: [{ find: `    if (key !== undefined) checkLabel('jobs.key', key)\n`, replace: '' }],
    why: 'a value that V8 cannot copy kills the thread of the file, again and again, for one question',
    finders: ['flow/fuzz'],
  },
  {
    name: 'objects of a class are compared by what they show',
    file: 'lib/put/fingerprint.ts',
    edits: [
      {
        find: 'return value instanceof URL ?',
        replace: `return !('href' in value) ? 'Class' : value instanceof URL ?`,
      },
    ],
    why: 'a put is dropped as a repetition of one with other content',
    finders: ['lib/put/fingerprint', 'flow/handed-over'],
  },
  {
    name: 'shared parts are read for each way to them',
    file: 'lib/text/json.ts',
    edits: [{ find: 'walk.values.set(value, walk.count - before)', replace: 'walk.values.delete(value)' }],
    why: 'a small payload with shared parts blocks the loop for ever, before it is refused',
    finders: ['lib/text/json'],
  },
  {
    name: 'an error of parts without end is recorded whole',
    file: 'lib/text/error-to-json.ts',
    edits: [{ find: 'const maxParts = 1_000', replace: 'const maxParts = Infinity' }],
    why: 'a handler that throws a strange object blocks the loop',
    finders: ['lib/text/error-to-json'],
  },
  {
    name: 'a settle that a file refuses for good is sent again for ever',
    file: 'lib/dispatch/exchanges.ts',
    edits: [{ find: `if (codeOf(error) === 'STORE') {`, replace: `if (codeOf(error) === 'STORE' && isPiece) {` }],
    why: 'F1: one value that the file refuses stops the whole queue',
    finders: ['lib/dispatch/exchange-splitter', 'persistence/sqlite/store/refused'],
  },
  {
    name: 'an exchange that was refused is dropped as a whole',
    file: 'lib/dispatch/exchange-splitter.ts',
    edits: [{ find: 'this.#pieces.push(pieceOf({}), ...pieces)', replace: 'this.#pieces.push(pieceOf({}))' }],
    why: 'what others had to tell is lost with what was refused',
    finders: ['lib/dispatch/exchange-splitter'],
  },
  {
    name: 'an ending that was refused does not fail its job',
    file: 'lib/dispatch/exchange-splitter.ts',
    edits: [
      {
        find: "if (kind !== 'cancelled') settled.kind = 'failed'",
        replace: "if (kind === 'failed') settled.kind = 'failed'",
      },
    ],
    why: 'a job that goes back again and again with what cannot be stored never ends',
    finders: ['lib/dispatch/exchange-splitter'],
  },
  {
    name: 'a fault of the store is laid upon each job',
    file: 'lib/dispatch/exchange-splitter.ts',
    edits: [{ find: 'this.#pieces.push(pieceOf({}), ...pieces)', replace: 'this.#pieces.push(...pieces)' }],
    why: 'while the store refuses everything, every job that ends fails for it',
    finders: ['lib/dispatch/exchange-splitter'],
  },
  {
    name: 'a checkpoint that is refused, and that nobody awaits, ends the process',
    file: 'lib/dispatch/checkpoints.ts',
    edits: [{ find: '    stored.catch(() => {})\n', replace: '' }],
    why: 'one slip of one handler takes all other jobs down with it',
    finders: ['flow/handed-over', 'flow/fuzz'],
  },
  {
    name: 'attempts without end are none in a file',
    file: 'persistence/durable/decode.ts',
    edits: [{ find: 'attempts: retry.attempts ?? Infinity', replace: 'attempts: retry.attempts' }],
    why: 'a job that is to be tried for ever fails at its first error',
    finders: ['flow/sqlite/handed-over'],
  },
  {
    name: 'a batch of puts is refused as a whole',
    file: 'lib/put/refusals.ts',
    edits: [
      {
        find: `if (entries.length > 1 && codeOf(error) === 'STORE') for`,
        replace: 'if (entries.length > 100_000) for',
      },
    ],
    why: 'F3: one bad put refuses the puts of everybody else in the same turn of the loop',
    finders: ['lib/put/refusals', 'persistence/sqlite/store/refused'],
  },
  {
    name: 'a result that the file refuses fails its job',
    file: 'lib/dispatch/exchange-splitter.ts',
    edits: [
      {
        find: "if (kind === 'finished' && settled.text !== undefined) {",
        replace: "if (kind === 'finished' && settled.text === '') {",
      },
    ],
    why: 'a result that cannot be stored never fails a job',
    finders: ['persistence/sqlite/store/refused'],
  },
]
