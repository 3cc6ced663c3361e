import test from 'ava'
import { DispatchQueue, OptionError, RetryLater, Throttled, Unrecoverable } from '../../../lib/index.ts'
import { controlOf } from '../../../lib/settle/control-errors.ts'

const wall = 1_780_000_000_000

/** As a second copy of rdq makes it: of another class, with the same fields. */
function foreign(error: object, fields: object = {}): unknown {
  return Object.assign(new Error('of another copy'), error, fields)
}

test('control errors: they are recognised by their code, whichever copy of rdq created them', t => {
  for (const make of [(error: object) => error, foreign]) {
    t.deepEqual(controlOf(make(new RetryLater(20)), wall), { kind: 'later', afterMs: 20 })
    t.deepEqual(controlOf(make(new Throttled('2', { key: 'k', rule: 'gateway' })), wall), {
      ...{ kind: 'throttled', afterMs: 2_000 },
      ...{ key: 'k', rule: 'gateway' },
    })
    t.deepEqual(controlOf(make(new Unrecoverable('no')), wall), { kind: 'never' })
  }
})

test('control errors: a foreign error that merely has the code, or cannot be read, requests nothing', t => {
  const others: readonly unknown[] = [
    ...[
      undefined,
      null,
      'THROTTLED',
      5,
      new Error('x'),
      { code: 429 },
      Object.assign(new Error('x'), { code: 'ECONNRESET' }),
    ],
    ...[Object.assign(new Error('an SDK says so'), { code: 'THROTTLED' }), { code: 'RETRY_LATER' }],
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('resists')
        },
      },
    ),
  ]
  for (const other of others) t.is(controlOf(other, wall), undefined)
})

test('control errors: Throttled accepts the header of a response as received', t => {
  const headers = new Headers({ 'retry-after': '120' })
  t.like(controlOf(new Throttled(headers.get('retry-after')), wall), { afterMs: 120_000 })
  t.like(controlOf(new Throttled(new Headers().get('retry-after')), wall), { kind: 'throttled', afterMs: undefined })
})

test('control errors: wrong arguments are refused at construction, with the names of the error and the argument', t => {
  const tenant = null as unknown as string
  const wrong: readonly [() => unknown, RegExp, string][] = [
    [() => new Throttled('soon'), /^Throttled: after must be .*, got 'soon'$/, 'after'],
    [() => new RetryLater('soon'), /^RetryLater: after must be .*, got 'soon'$/, 'after'],
    [() => new Throttled(1, { key: tenant ?? null }), /^Throttled: key must be .*, got null$/, 'key'],
    [() => new Throttled(1, { key: '' }), /^Throttled: key must be/, 'key'],
    [() => new Throttled(1, null as never), /^Throttled: options must be .*, got null$/, 'options'],
  ]
  for (const [make, message, option] of wrong) {
    const error = t.throws(make, { instanceOf: OptionError, message })
    t.is(error?.option, option)
  }
  t.is(new Throttled(1, { key: undefined }).key, undefined)
  t.is(new Throttled(1, { key: true }).key, true)
  t.throws(() => new Throttled(1, { key: false as never }), { message: /true for the job's own key/ })
})

for (const code of ['UNRECOVERABLE', 'RETRY_LATER', 'THROTTLED']) {
  test(`control errors: an error of another copy of rdq has its effect: ${code}`, async t => {
    const errors = { UNRECOVERABLE: new Unrecoverable(), RETRY_LATER: new RetryLater(1), THROTTLED: new Throttled(1) }
    let runs = 0
    const queue = new DispatchQueue(
      async () => {
        if (++runs < 3) throw foreign(errors[code as keyof typeof errors])
        return 'done'
      },
      { retry: { attempts: 2, delay: 1 } },
    )

    const ended = await queue.run(1).then(
      value => value,
      error => error.code,
    )

    t.deepEqual([ended, runs], code === 'UNRECOVERABLE' ? [code, 1] : ['done', 3])
    await queue.stop()
  })
}
