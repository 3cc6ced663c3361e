import test from 'ava'
import { DispatchQueue, OptionError, type PutOptions, type QueueOptions } from '../../lib/index.ts'
import { parseQueueOptions } from '../../lib/options.ts'

const nothing = (): void => {}

/** Each option with values that design.md does not call legal. */
const bad: Readonly<Record<string, readonly unknown[]>> = {
  name: ['', 'x'.repeat(201), 5, null],
  width: [-1, 1.5, Number.NaN, '5', null, -0.5],
  rate: [
    5,
    'fast',
    { limit: 0, per: 1 },
    { limit: 1, per: 0 },
    { limit: 1.5, per: 1 },
    { limit: 1 },
    [{ limit: -1, per: 1 }],
  ],
  backlog: [5, {}, 'jobs.db'],
  retry: [
    0,
    -1,
    1.5,
    '3',
    { attempts: 0 },
    { delay: -1 },
    { factor: 0.5 },
    { jitter: 1 },
    { max: 'long' },
    { tries: 3 },
  ],
  timeout: [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5 s', 'soon'],
  afterCrash: ['maybe', 5],
  crashLimit: [0, -1, 1.5],
  size: [0, -1, Number.NaN, 2.5],
  overflow: ['drop', true],
  slice: [0, -5, 'x'],
  context: ['none', 1],
  keep: [5, { finished: -1 }, { ids: 'x' }, { results: 1 }, { done: 1 }],
  paused: [0, 'no'],
  signal: [{}, 5],
  clock: [5, {}],
  maxHold: [0, -1],
}

for (const [option, values] of Object.entries(bad)) {
  test(`options: a bad ${option} is refused at the door by its name, with what was given`, t => {
    for (const value of values) {
      const error = t.throws(() => new DispatchQueue(nothing, { [option]: value } as QueueOptions), {
        instanceOf: OptionError,
      })
      t.regex(error?.option ?? '', new RegExp(`^${option}`), `${option}: ${String(value)}`)
      t.regex(error?.message ?? '', new RegExp(`^${option}`))
    }
  })
}

test('options: of a put, each bad value rejects by its name, and nothing is put', async t => {
  const queue = new DispatchQueue<number>(nothing, { paused: true })
  const wrong: Readonly<Record<keyof PutOptions, readonly unknown[]>> = {
    priority: [Number.NaN, Number.POSITIVE_INFINITY, '1', null],
    delay: [-1, 'soon', Number.NaN, Number.POSITIVE_INFINITY],
    runAt: ['tomorrow', Number.NaN, new Date('no date'), null],
    key: ['', 5, 'x'.repeat(201)],
    id: ['', 5, 'x'.repeat(201)],
    cost: [5, { tokens: -1 }, { tokens: Number.NaN }, null],
    retry: [0, 'x'],
    timeout: [0, -1, 'x'],
    signal: [{}, 5],
  }

  for (const [option, values] of Object.entries(wrong)) {
    for (const value of values) {
      const error = await t.throwsAsync(queue.put(1, { [option]: value } as PutOptions), { instanceOf: OptionError })
      t.regex(error?.option ?? '', new RegExp(`^${option}`))
    }
  }
  await t.throwsAsync(queue.put(1, { delay: 1, runAt: 1 }), { message: /runAt and delay/ })
  t.is(queue.counts.pending, 0)
})

test('options: an unknown name is refused with the one that was probably meant, in the words of others too', t => {
  const meant = (options: object): string =>
    t.throws(() => new DispatchQueue(nothing, options), { instanceOf: OptionError })?.message ?? ''

  t.regex(meant({ concurrency: 5 }), /concurrency is not an option; did you mean width\?/)
  t.regex(meant({ widht: 5 }), /did you mean width\?/)
  t.regex(meant({ interval: 5 }), /did you mean rate\?/)
  t.regex(meant({ limiter: 5 }), /did you mean rate\?/)
  t.regex(meant({ retry: { attemps: 5 } }), /retry.attemps .*did you mean retry.attempts\?/)
  t.regex(meant({ xyzzy: undefined }), /xyzzy is not an option Known are: name, width/)
})

test('options: an unknown name of a put is refused, undefined or not', async t => {
  const queue = new DispatchQueue<number>(nothing, { paused: true })

  await t.throwsAsync(queue.put(1, { priorty: 1 } as PutOptions), { message: /did you mean priority\?/ })
  await t.throwsAsync(queue.put(1, { jobId: undefined } as PutOptions), { message: /did you mean id\?/ })
})

test('options: the defaults are those of the reference', t => {
  const {
    name,
    width,
    rate,
    retry,
    timeoutMs,
    size,
    waits,
    slice,
    context,
    keep,
    paused,
    maxHoldMs,
    crashLimit,
    afterCrash,
  } = parseQueueOptions({})

  t.deepEqual(
    { name, width, rate, timeoutMs, size, waits, slice, context, paused, maxHoldMs, crashLimit, afterCrash },
    {
      name: undefined,
      width: 1,
      rate: undefined,
      timeoutMs: Number.POSITIVE_INFINITY,
      size: Number.POSITIVE_INFINITY,
      waits: false,
      slice: 5,
      context: 'queue',
      paused: false,
      maxHoldMs: 3_600_000,
      crashLimit: 3,
      afterCrash: 'again',
    },
  )
  t.deepEqual(retry, { attempts: 1, delayMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: true })
  t.deepEqual(keep, {
    finishedMs: 0,
    failedMs: 14 * 86_400_000,
    cancelledMs: 86_400_000,
    idsMs: 7 * 86_400_000,
    results: false,
  })
})
