/**
 * Each option and argument of each verb is handed what JavaScript has: it is taken, or refused by an error of rdq, and
 * nothing else.
 */
import { RetryLater, Throttled, Unrecoverable } from '../../lib/index.ts'
import { DispatchQueue, sharedBacklog, test } from '../support/backlog-under-test.ts'

const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()
const refuses = (): never => {
  throw new Error('resists')
}
const resists = new Proxy({}, { get: refuses, has: refuses, ownKeys: refuses, getPrototypeOf: refuses })

const strange: Readonly<Record<string, unknown>> = {
  'a revoked proxy': revoked,
  'a proxy that resists': resists,
  'a symbol': Symbol('x'),
  NaN: Number.NaN,
  '2^53': 2 ** 53,
  '-1': -1,
  'an empty array': [],
  'an array': [1],
  null: null,
  'a function': () => {},
  'a text': 'x',
  'no text': '',
  'a BigInt': 10n,
  'a Date': new Date(),
  'no Date': new Date(Number.NaN),
  'a Map': new Map(),
  'a promise': Promise.resolve(1),
  'an object without a prototype': Object.create(null),
  'an object': { a: 1 },
  true: true,
}

const putOptions = ['priority', 'delay', 'runAt', 'key', 'id', 'cost', 'retry', 'timeout', 'signal'] as const
const ruleFields = ['limit', 'per', 'of', 'spread', 'burst'] as const
const queueOptions = [
  ...['name', 'width', 'rate', 'retry', 'timeout', 'afterCrash', 'crashLimit', 'size', 'overflow', 'slice', 'context'],
  ...['keep', 'paused', 'signal', 'clock', 'maxHold', 'backlog'],
]

type Door = (queue: DispatchQueue<number, unknown>, value: never) => unknown

const doors: Readonly<Record<string, Door>> = {
  ...Object.fromEntries(putOptions.map(name => [`put ${name}`, (queue, value) => queue.put(1, { [name]: value })])),
  ...Object.fromEntries(
    putOptions.map(name => [`putMany ${name}`, (queue, value) => queue.putMany([1], { [name]: value })]),
  ),
  ...Object.fromEntries(
    ruleFields.map(name => [`rate ${name}`, (queue, value) => rateSet(queue, { limit: 5, per: 1, [name]: value })]),
  ),
  put: (queue, value) => queue.put(1, value),
  putMany: (queue, value) => queue.putMany(value),
  'putMany options': (queue, value) => queue.putMany([1], value),
  'putMany options of a function': (queue, value) => queue.putMany([1], () => value),
  'cost of a unit': (queue, value) => queue.put(1, { cost: { tokens: value } }),
  'retry delay': (queue, value) => queue.put(1, { retry: { delay: value } }),
  width: (queue, value) => {
    queue.width = value
  },
  rate: rateSet,
  rates: (queue, value) => rateSet(queue, [value]),
  pause: (queue, value) => queue.pause(value),
  'pause tasks': (queue, value) => queue.pause({ tasks: value }),
  'resume shared': (queue, value) => queue.resume({ width: -1, shared: value }),
  get: (queue, value) => queue.get(value),
  explain: (queue, value) => queue.explain(value),
  cancel: (queue, value) => queue.cancel(value),
  'cancel reason': (queue, value) => queue.cancel('nobody', value),
  retry: (queue, value) => queue.retry(value),
  remove: (queue, value) => queue.remove(value),
  reprioritize: (queue, value) => queue.reprioritize(value, 1),
  'reprioritize priority': (queue, value) => queue.reprioritize('nobody', value),
  jobs: (queue, value) => queue.jobs(value),
  'jobs state': (queue, value) => queue.jobs({ state: value }),
  'jobs key': (queue, value) => queue.jobs({ key: value }),
  'jobs limit': (queue, value) => queue.jobs({ limit: value }),
  'jobs after': (queue, value) => queue.jobs({ after: value }),
  on: (queue, value) => queue.on(value, () => {}),
  'on listener': (queue, value) => queue.on('stalled', value),
  off: (queue, value) => queue.off(value),
  events: (queue, value) => queue.events(value),
  'events options': (queue, value) => queue.events('stalled', value),
  'events signal': (queue, value) => queue.events('stalled', { signal: value }),
  Throttled: (_, value) => new Throttled(value),
  'Throttled options': (_, value) => new Throttled(1, value),
  'Throttled key': (_, value) => new Throttled(1, { key: value }),
  RetryLater: (_, value) => new RetryLater(value),
  Unrecoverable: (_, value) => new Unrecoverable(value),
}

function rateSet(queue: DispatchQueue<number, unknown>, value: unknown): void {
  queue.rate = value as never
}

const known = ['OPTION', 'PAYLOAD', 'COST', 'JOB_UNKNOWN', 'JOB_STATE', 'ID_CONFLICT']

/** What is wrong with how a door answers; undefined where it takes the value or refuses it as one of rdq does. */
async function wrongWith(call: () => unknown): Promise<string | undefined> {
  try {
    const answer = call()
    // An iterator of events is no answer to wait for.
    if (answer instanceof Promise) await answer
    return undefined
  } catch (error) {
    const { code, name, message } = error as { code?: string; name: string; message: string }
    return known.includes(code ?? '') ? undefined : `${name}: ${message}`
  }
}

test('every door takes what is handed to it or refuses it by an error of rdq, and the queue goes on', async t => {
  const queue = new DispatchQueue<number, unknown>(n => n, { name: 'doors', paused: true })
  const errors: unknown[] = []
  queue.on('error', error => errors.push(error))
  for (const [what, value] of Object.entries(strange)) {
    for (const [door, call] of Object.entries(doors)) {
      t.is(await wrongWith(() => call(queue, value as never)), undefined, `${door}: ${what}`)
    }
  }

  queue.rate = undefined
  queue.width = 1
  await queue.clear()
  queue.resume()

  t.is(await queue.run(7), 7)
  t.deepEqual(errors, [])
})

test('every option of a new queue is taken or refused by its name, and a refused one leaves nothing behind', async t => {
  const backlog = sharedBacklog()
  for (const [what, value] of Object.entries(strange)) {
    for (const option of queueOptions) {
      let made: DispatchQueue<number> | undefined
      const wrong = await wrongWith(() => {
        made = new DispatchQueue<number>(() => {}, { name: `${option} ${what}`, backlog, [option]: value })
        made.on('error', () => {})
      })
      await made?.stop()
      t.is(wrong, undefined, `${option}: ${what}`)
    }
  }
})
