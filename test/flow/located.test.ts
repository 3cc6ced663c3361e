/**
 * The stack of an error that answers a call shows the line of the call, whoever made the error and wherever its report
 * came in.
 */
import type { ExecutionContext } from 'ava'
import type { Backlog } from '../../lib/backlog.ts'
import { JobUnknownError, QueueFullError } from '../../lib/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

type Call = (queue: DispatchQueue<number>) => Promise<unknown>

/** Makes the call in a function of this name, which awaits it. */
async function stackOf(t: ExecutionContext, queue: DispatchQueue<number>, call: Call): Promise<string> {
  async function atTheCall(): Promise<void> {
    await call(queue)
  }
  const error = await t.throwsAsync(atTheCall())
  return error?.stack ?? ''
}

const calls: Readonly<Record<string, Call>> = {
  ready: queue => queue.ready(),
  put: queue => queue.put(1),
  putMany: queue => queue.putMany([1, 2]),
  run: queue => queue.run(1),
  'run with options': queue => queue.run(1, { priority: 1 }),
  get: queue => queue.get('x'),
  jobs: queue => queue.jobs(),
  cancel: queue => queue.cancel('x'),
  clear: queue => queue.clear(),
  retry: queue => queue.retry('x'),
}

test('the error of a backlog that cannot be opened shows the line of each call', async t => {
  for (const [name, call] of Object.entries(calls)) {
    const attach = (): Promise<never> =>
      new Promise((_, reject) => setImmediate(() => reject(new QueueFullError(1, 1, 1))))
    const backlog: Backlog = { durable: false, strict: false, attach }
    const stack = await stackOf(t, new DispatchQueue<number>(() => {}, { name, backlog }), call)

    t.regex(stack, /^QueueFullError: cannot put 1 job.*\n(.*\n)*.*atTheCall/, name)
  }
})

test('errors of refused puts and unknown jobs show the line of the call, and their facts', async t => {
  const queue = new DispatchQueue<number>(() => {}, { paused: true, size: 1 })
  await queue.put(1)
  const refusals: Readonly<Record<string, Call>> = {
    put: () => queue.put(2),
    run: () => queue.run(2),
    putMany: () => queue.putMany([2, 3]),
    'two at once': () => Promise.all([queue.put(2), queue.put(3)]),
  }
  for (const [name, call] of Object.entries(refusals)) {
    t.regex(await stackOf(t, queue, call), /^QueueFullError: .*\n(.*\n)*.*atTheCall/, name)
  }
  t.regex(await stackOf(t, queue, () => queue.explain('no such job')), /^JobUnknownError(.*\n)*.*atTheCall/)
  t.regex(await stackOf(t, queue, () => queue.retry('no such job')), /^JobUnknownError(.*\n)*.*atTheCall/)

  t.like(await t.throwsAsync(queue.put(2), { instanceOf: QueueFullError }), { code: 'QUEUE_FULL', size: 1 })
  t.like(await t.throwsAsync(queue.retry('x'), { instanceOf: JobUnknownError }), { code: 'JOB_UNKNOWN', id: 'x' })
})

test('the error of a handler rejects its result unchanged, even an error of rdq', async t => {
  const thrown = new QueueFullError(1, 1, 1)
  const queue = new DispatchQueue<number>(() => {
    throw thrown
  })

  const caught: unknown = await queue.run(1).catch((error: unknown) => error)

  t.is((caught as Error).message, thrown.message)
  t.regex((caught as Error).stack ?? '', /located\.test/)
})
