/**
 * What a stranger hands over at the doors of a queue that is there: each is refused by its name, and nothing is half
 * done.
 */
import type { Backlog } from '../../lib/backlog.ts'
import { OptionError, type PutOptions, type Rule } from '../../lib/index.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

const strange: readonly unknown[] = [
  '4',
  'go',
  null,
  [],
  Number.NaN,
  -1,
  2 ** 53,
  Symbol('x'),
  10n,
  () => {},
  Promise.resolve({}),
]

test('resume refuses arguments that are neither a width nor options, and changes nothing', async t => {
  const queue = new DispatchQueue<number>(() => {}, { paused: true, width: 3 })
  for (const value of strange) {
    const error = t.throws(() => queue.resume(value as number), { instanceOf: OptionError }, String(typeof value))
    t.regex(error?.option ?? '', /^(resume|width)/)
  }
  for (const options of [{ width: '4' }, { shared: 'yes' }, { width: 9, shared: 1 }, { widht: 4 }]) {
    t.throws(() => queue.resume(options as object), { instanceOf: OptionError })
  }

  t.true(queue.paused)
  t.is(queue.width, 3)
})

test('pause, stop and jobs refuse arguments that are no options, and say what was meant', async t => {
  const queue = new DispatchQueue<number>(() => {}, { paused: true })
  for (const value of [...strange].filter(value => value !== undefined)) {
    await t.throwsAsync(queue.pause(value as object), { instanceOf: OptionError, message: /^pause / })
    await t.throwsAsync(queue.stop(value as object), { instanceOf: OptionError, message: /^stop / })
    await t.throwsAsync(queue.jobs(value as object), { instanceOf: OptionError, message: /^jobs / })
  }
  await t.throwsAsync(queue.pause({ tasks: 'yes' } as never), { message: /^pause.tasks must be true or false/ })
  await t.throwsAsync(queue.stop({ cancelUnderway: 'yes' } as never), { message: /^stop.cancelUnderway must be/ })
  await t.throwsAsync(queue.stop({ timeout: '5s' } as never), { message: /did you mean stop.grace\?/ })
  await t.throwsAsync(queue.stop({ grace: Date.UTC(2026, 1) }), { message: /^stop.grace .* which is an instant/ })
  await t.throwsAsync(queue.jobs({ state: 'waiting' } as never), { message: /did you mean 'pending'\?/ })
  for (const limit of [0, 10_001, Infinity, '5']) {
    const message = /^jobs\.limit must be a whole number from 1 to 10000, got .*; page on with after$/
    await t.throwsAsync(queue.jobs({ limit } as never), { message })
  }
  await t.throwsAsync(queue.jobs({ after: 5 } as never), { message: /^jobs\.after must be a job or its id, got 5$/ })
  await t.throwsAsync(queue.jobs({ state: 'active' } as never), { message: /did you mean 'underway'\?/ })
  await t.throwsAsync(queue.jobs({ state: 'completed' } as never), { message: /did you mean 'finished'\?/ })

  t.false(queue.stopped)
})

test('an unknown event name is refused with the closest one, wherever a name is given', t => {
  const queue = new DispatchQueue<number>(() => {}, { paused: true })
  const listener = (): void => {}
  const completed = 'completed' as 'finished'
  for (const verb of [
    () => queue.on(completed, listener),
    () => queue.once(completed, listener),
    () => queue.off(completed, listener),
    () => queue.off(completed),
    () => queue.addListener(completed, listener),
    () => queue.removeListener(completed, listener),
    () => queue.events(completed),
  ]) {
    const error = t.throws(verb, { instanceOf: OptionError, message: /got 'completed'; did you mean 'finished'\?$/ })
    t.is(error?.option, 'event')
  }
  const meant = { active: 'underway', waiting: 'pending', drain: 'idle', drained: 'idle', finnished: 'finished' }
  for (const [word, event] of Object.entries(meant)) {
    t.throws(() => queue.on(word as 'idle', listener), { message: new RegExp(`did you mean '${event}'\\?$`) })
  }
  for (const event of [...strange, undefined, 'constructor', '__proto__']) {
    t.throws(() => queue.on(event as 'idle', listener), { instanceOf: OptionError })
  }
  for (const listener of [undefined, null, 'log', {}, 5]) {
    t.throws(() => queue.on('idle', listener as never), { instanceOf: OptionError, message: /^listener must be/ })
  }
  t.is(queue.listenerCount('finished'), 0)
})

test('a backlog that cannot be opened is reported once: as a rejection, or else as a warning', async t => {
  const warnings: string[] = []
  const listen = ({ message }: Error): void => void warnings.push(message)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const backlog = (): Backlog => ({ durable: false, strict: false, attach: () => Promise.reject(new Error('shut')) })
  const open = (name: string): DispatchQueue<number> =>
    new DispatchQueue<number>(() => {}, { name, backlog: backlog() })

  await t.throwsAsync(open('asked ready').ready(), { message: 'shut' })
  await t.throwsAsync(open('asked put').put(1), { message: 'shut' })
  await t.throwsAsync(open('asked run').run(1), { message: 'shut' })
  await t.throwsAsync(open('asked jobs').jobs(), { message: 'shut' })
  await t.throwsAsync(open('asked idle').idle(), { message: 'shut' })
  await t.throwsAsync(open('asked clear').clear(), { message: 'shut' })
  open('asked nothing')
  const seen: unknown[] = []
  open('has a listener').on('error', error => seen.push(error))
  for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))

  t.is(seen.length, 1)
  t.deepEqual(
    warnings.map(warning => /queue '([^']+)': an unhandled error; .*: Error: shut/.exec(warning)?.[1]),
    ['asked nothing'],
  )
})

test('the rules that a queue reads may be set again', async t => {
  const rules: Rule[] = [
    { limit: 5, per: '1s' },
    { limit: 5, per: '1s', spread: true },
    { limit: 5, per: '1s', burst: 2 },
    { limit: 500, per: '1m', of: 'tokens', spread: true },
    { limit: 500, per: '1m', of: 'tokens' },
  ]
  const queue = new DispatchQueue<number>(() => {}, { rate: rules })
  const before = queue.rate

  queue.rate = { limit: 1, per: 1 }
  queue.rate = before

  t.deepEqual(queue.rate, before)
})

test('a cost in a unit that no rule counts is refused where any rule counts units', async t => {
  const rate = [
    { limit: 9, per: '1s' },
    { limit: 9, per: '1s', of: 'tokens' },
  ] as const
  const queue = new DispatchQueue<number>(() => {}, { paused: true, rate })
  await queue.ready()
  const wrong = queue.put(1, { cost: { token: 5 } })
  const right = queue.put(2, { cost: { tokens: 5 } })
  const without = queue.put(3)

  await t.throwsAsync(wrong, {
    instanceOf: OptionError,
    message: 'cost.token is not a unit that the rate counts, which are tokens; did you mean cost.tokens?',
  })
  await Promise.all([right, without])
  await t.throwsAsync(
    queue.putMany([4, 5], n => (n === 5 ? { cost: { tokens: 1, calls: 1 } } : {})),
    {
      message: /^cost.calls is not a unit that the rate counts/,
    },
  )
  t.is(queue.counts.pending, 2)
})

test('a cost in any unit is taken where no rule counts units', async t => {
  const queue = new DispatchQueue<number>(() => {}, { paused: true, rate: { limit: 9, per: '1s' } })

  await t.notThrowsAsync(queue.put(1, { cost: { token: 5 } }))
})

test('an unknown unit given to task.spent emits error, and fails no job', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<number, string>(
    (_, task) => {
      task.spent({ token: 5 })
      return 'done'
    },
    { clock, rate: { limit: 9, per: '1s', of: 'tokens' } },
  )
  const errors: unknown[] = []
  queue.on('error', error => errors.push(error))

  t.is(await queue.run(1, { cost: { tokens: 1 } }), 'done')

  t.is(errors.length, 1)
  t.regex(String(errors[0]), /spent.token is not a unit that the rate counts, .*; did you mean spent.tokens\?/)
})

test('an instant for a delay and a duration for runAt are refused with the option that was meant', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, string>(scripted<string, string>(), { clock })
  const wrong: readonly [PutOptions, RegExp][] = [
    [{ delay: clock.wall() + 5_000 }, /^delay .* did you mean runAt\?$/],
    [{ runAt: 5_000 }, /^runAt .* did you mean delay\?$/],
    [{ runAt: clock.wall() / 1_000 }, /^runAt .* is it in seconds\?$/],
    [{ runAt: clock.wall() * 1_000 }, /^runAt .* is it in microseconds\?$/],
    [{ timeout: clock.wall() }, /^timeout .* which is an instant$/],
  ]

  for (const [options, message] of wrong) {
    await t.throwsAsync(queue.put('a', options), { instanceOf: OptionError, message })
  }

  t.is(queue.counts.delayed, 0)
})
