import test from 'ava'
import { DispatchQueue, OptionError, type PutOptions, type QueueOptions } from '../../../lib/index.ts'
import { parseQueueOptions } from '../../../lib/options/options.ts'

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

test('options: each bad option of a put rejects by its name, and nothing is put', async t => {
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

test('options: an unknown name is refused with the name that was probably meant, also for names of other libraries', t => {
  const meant = (options: object): string =>
    t.throws(() => new DispatchQueue(nothing, options), { instanceOf: OptionError })?.message ?? ''

  t.regex(meant({ concurrency: 5 }), /concurrency is not an option; did you mean width\?/)
  t.regex(meant({ widht: 5 }), /did you mean width\?/)
  t.regex(meant({ interval: 5 }), /did you mean rate\?/)
  t.regex(meant({ limiter: 5 }), /did you mean rate\?/)
  t.regex(meant({ retry: { attemps: 5 } }), /retry.attemps .*did you mean retry.attempts\?/)
  t.regex(meant({ retry: { backoff: 5 } }), /did you mean retry.delay and retry.factor\? Known are:/)
  t.regex(meant({ retry: { retries: 5 } }), /did you mean retry.attempts\?/)
  t.regex(meant({ keep: { completed: 5 } }), /keep.completed is not an option; did you mean keep.finished\?/)
  t.regex(meant({ rate: { max: 5, duration: 1 } }), /rate.max is not an option; did you mean rate.limit\?/)
  t.regex(meant({ rate: { limit: 5, duration: 1 } }), /did you mean rate.per\?/)
  t.regex(meant({ rate: { limit: 5, interval: 1 } }), /did you mean rate.per\?/)
  t.regex(meant({ overflow: 'block' }), /overflow must be 'reject' or 'wait', got 'block'; did you mean 'wait'\?/)
  t.regex(meant({ keep: 5 }), /^keep must be an object of options, got 5$/)
  t.regex(meant({ xyzzy: undefined }), /xyzzy is not an option\. Known are: name, width/)
})

test('options: a number given as text, or too large, is refused with the number that was meant', t => {
  const said = (options: object): string =>
    t.throws(() => new DispatchQueue(nothing, options), { instanceOf: OptionError })?.message ?? ''

  t.regex(said({ width: '5' }), /got '5'; did you mean the number 5\?$/)
  t.regex(said({ rate: { limit: '60', per: '1m' } }), /^rate\.limit .*, got '60'; did you mean the number 60\?$/)
  t.regex(said({ width: 'five' }), /, got 'five'$/)
  t.regex(said({ width: Number.MAX_VALUE }), /, which is too large; did you mean Infinity\?$/)
  t.regex(said({ width: 10n ** 40n }), /, got 1\d+n$/)
  t.regex(said({ afterCrash: 'retry' }), /^afterCrash must be 'again' or 'fail', or a function of the job, got 'retry'/)
})

test('options: an unreadable value, and one that is no object of options, is refused by its name', t => {
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  const throwing = (name: string): object => ({
    get [name]() {
      throw new Error('not today')
    },
  })
  const make = (options: unknown): OptionError | undefined =>
    t.throws(() => new DispatchQueue(nothing, options as QueueOptions), { instanceOf: OptionError }) as OptionError

  for (const option of Object.keys(bad)) {
    t.is(make(throwing(option))?.option, option)
    for (const value of [revoked, Symbol('x'), option === 'rate' ? [0] : [], null, 10n]) {
      t.regex(make({ [option]: value })?.option ?? '', new RegExp(`^${option}`), option)
    }
  }
  t.regex(String(make(throwing('width'))?.cause), /not today/)
  t.is(make({ retry: throwing('delay') })?.option, 'retry.delay')
  t.is(make({ keep: throwing('ids') })?.option, 'keep.ids')
  t.is(make({ rate: { limit: 1, ...{ per: 1 }, burst: 1, spread: Symbol('x') } })?.option, 'rate.spread')
  for (const options of [[], null, 5, 'width', () => {}, Promise.resolve({}), new Map(), revoked]) {
    t.is(make(options)?.option, 'options')
  }
})

test('options: an unreadable option of a put rejects by its name, and each option is read once', async t => {
  const queue = new DispatchQueue<number>(nothing, { paused: true })
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const name of ['priority', 'delay', 'runAt', 'key', 'id', 'cost', 'retry', 'timeout', 'signal']) {
    const throwing = {
      get [name](): never {
        throw new Error('not today')
      },
    }
    await t.throwsAsync(queue.put(1, throwing), {
      instanceOf: OptionError,
      message: new RegExp(`^${name} cannot be read`),
    })
    for (const value of [revoked, Symbol('x'), [], null]) {
      const options = { [name]: value } as PutOptions
      const error = await t.throwsAsync(queue.put(1, options), { instanceOf: OptionError }, `${name}: ${typeof value}`)
      t.regex(error?.option ?? '', new RegExp(`^${name}`))
    }
  }
  for (const options of [[], revoked, Promise.resolve({}), 5, null] as unknown as PutOptions[]) {
    const error = await t.throwsAsync(queue.put(1, options), { instanceOf: OptionError })
    t.is(error?.option, 'options')
  }
  let reads = 0
  const changing = {
    get priority(): number {
      return ++reads === 1 ? 5 : Number.NaN
    },
  }

  const job = await queue.put(1, changing)

  t.deepEqual([job.priority, reads, queue.counts.pending], [5, 1, 1])
})

test('options: a signal may be of another realm, and its controller is distinguished from it', async t => {
  const queue = new DispatchQueue<number>(nothing, { paused: true })
  const { signal } = new AbortController()
  const foreign = {
    aborted: false,
    addEventListener: signal.addEventListener.bind(signal),
    removeEventListener: signal.removeEventListener.bind(signal),
  }

  await t.notThrowsAsync(queue.put(1, { signal: foreign as unknown as AbortSignal }))
  await t.throwsAsync(queue.put(1, { signal: new AbortController() as unknown as AbortSignal }), {
    message: /did you mean the signal of this AbortController\?$/,
  })
})

test('options: the refusal of another value in the place of the handler says that the handler comes first', t => {
  const swapped = (): unknown => new DispatchQueue({ width: 5 } as never)

  t.throws(swapped, { instanceOf: OptionError, message: /^handler must be .*, got an object; the handler comes first/ })
})

test('options: an instant that is given for a duration is refused, whichever option it is', t => {
  const instant = Date.UTC(2026, 4, 28)
  for (const options of [
    { timeout: instant },
    { maxHold: instant },
    { slice: instant },
    { retry: { delay: instant } },
    { keep: { failed: instant } },
    { rate: { limit: 1, per: instant } },
  ]) {
    t.throws(() => new DispatchQueue(nothing, options), { instanceOf: OptionError, message: /which is an instant/ })
  }
})

test('options: an unknown name of a put is refused, undefined or not', async t => {
  const queue = new DispatchQueue<number>(nothing, { paused: true })

  await t.throwsAsync(queue.put(1, { priorty: 1 } as PutOptions), { message: /did you mean priority\?/ })
  await t.throwsAsync(queue.put(1, { prio: 1 } as PutOptions), { message: /did you mean priority\?/ })
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
    failedMs: 3_600_000,
    cancelledMs: 3_600_000,
    idsMs: 3_600_000,
    results: false,
    most: 10_000,
  })
})

test('options: keep.results without keep.finished is refused, and the error names the missing option', t => {
  for (const keep of [{ results: true }, { results: true, failed: '1h' }, { results: true, finished: 0 }] as const) {
    const error = t.throws(() => parseQueueOptions({ keep }), { instanceOf: OptionError })
    t.is(error?.option, 'keep.results')
    t.is(
      error?.message,
      "keep.results keeps nothing, because finished jobs are forgotten at once; set keep.finished too, to '1h' for example",
    )
  }
  t.throws(() => parseQueueOptions({ keep: { results: true, finished: '1h', most: 0 } }), {
    code: 'OPTION',
    message: 'keep.results keeps nothing, because keep.most is 0; raise keep.most',
  })
  t.notThrows(() => parseQueueOptions({ keep: { results: true, finished: '1h', most: 1 } }))
  t.notThrows(() => parseQueueOptions({ keep: { results: false } }))
})

test('options: a durable backlog keeps ended jobs longer by default, and any number of them', t => {
  const backlog = { durable: true, strict: true, attach: () => Promise.reject(new Error('not asked')) }

  t.deepEqual(parseQueueOptions({ name: 'q', backlog }).keep, {
    finishedMs: 0,
    failedMs: 14 * 86_400_000,
    cancelledMs: 86_400_000,
    idsMs: 7 * 86_400_000,
    results: false,
    most: Infinity,
  })
  const { keep } = parseQueueOptions({ keep: { failed: '2h', most: 3 } })
  t.like(keep, { failedMs: 7_200_000, cancelledMs: 3_600_000, most: 3 })
  for (const most of [-1, 1.5, '3', null, Number.NaN]) {
    t.throws(() => parseQueueOptions({ keep: { most: most as number } }), {
      code: 'OPTION',
      message: /^keep\.most must be a whole number of 0 or more, or Infinity, got /,
    })
  }
})
