import vm from 'node:vm'
import test from 'ava'
import { PayloadError } from '../../../lib/errors.ts'
import { textOf, valueFrom } from '../../../lib/text/json.ts'

const refused = (payload: unknown): PayloadError | undefined => {
  try {
    textOf(payload)
  } catch (error) {
    return error instanceof PayloadError ? error : Object.assign(new PayloadError('', String(error)))
  }
  return undefined
}
const foreign = (source: string): unknown => vm.runInNewContext(source)

for (const [what, payload, path, said] of [
  [
    'a function',
    { to: [1, { send: () => {} }] },
    'payload.to[1].send',
    /is a function, and what is stored is data; put what/,
  ],
  ['a symbol', { a: Symbol('s') }, 'payload.a', /is a symbol/],
  ['NaN', { a: [Number.NaN] }, 'payload.a[0]', /is NaN, which JSON turns into null/],
  ['a bigint', { a: 10n }, 'payload.a', /is 10n, which JSON cannot hold; put String/],
  ['undefined in an object', { cc: undefined }, 'payload.cc', /is undefined.*leave it out, or put null/],
  ['a hole', { a: Array(2) }, 'payload.a[0]', /is undefined/],
  ['a Date', { at: new Date(0) }, 'payload.at', /is a Date.*getTime/],
  ['a Date of another realm', { at: foreign('new Date(0)') }, 'payload.at', /is a Date/],
  ['an instance of a class', { url: new URL('http://a') }, 'payload.url', /is an instance of URL/],
  ['an instance of a class of another realm', foreign('new Map()'), 'payload', /is an instance of Map/],
  [
    'a key that changes prototypes',
    JSON.parse('{"__proto__":1}'),
    'payload.__proto__',
    /must not be stored, .*; rename it/,
  ],
  ['a toJSON that is inherited', Object.setPrototypeOf([1], { toJSON: () => 'me' }), 'payload.toJSON', /decides/],
  ['a nesting of 201', nested(201), /^payload(\.next){201}$/, /is nested more than 200 deep; put a flat list/],
  ['more values than a text may hold', shared(30), /^payload/, /more than 10000000 values.*; store it elsewhere/],
] as const) {
  test(`payload: ${what} is refused with its path and what to do`, t => {
    const error = refused(payload) as PayloadError

    if (typeof path === 'string') t.is(error.path, path)
    else t.regex(error.path, path)
    t.regex(error.message, said)
  })
}

test('payload: a value that JSON returns unchanged is carried exactly', t => {
  for (const value of [
    undefined,
    null,
    '',
    'half of a pair: \ud83d',
    'nul \0, a separator \x1e and a line \u2028',
    { 'key \udc00': ['\ud800'], toJSON: 'is no function' },
    { a: [1, 'b', null, true, { c: 0.5 }], d: 2 ** 53 },
    Object.assign(Object.create(null), { to: 'you' }),
  ]) {
    t.deepEqual(
      valueFrom(textOf(value)),
      value === undefined ? undefined : { ...{ value } }.value && structuredClone(value),
    )
  }
  t.is(textOf(-0), '0')
  t.is(textOf({ delta: Math.round(-0.4) }), '{"delta":0}')
})

test('payload: plain objects of another realm are plain', t => {
  t.is(textOf(foreign(`JSON.parse('{"to":["ann"]}')`)), '{"to":["ann"]}')
  t.is(textOf({ body: foreign('({ a: Object.create(null) })') }), '{"body":{"a":{}}}')
  t.not(refused(foreign('new (class Object2 { x = 1 })()')), undefined)
  t.not(refused(Object.create(Object.create(null))), undefined)
})

test('payload: a cycle is refused with the shortest path to where it closes', t => {
  const loop: Record<string, unknown> = {}
  loop.self = loop
  t.is(refused(loop)?.path, 'payload.self')
  const list: { to: unknown[] } = { to: [] }
  list.to.push({ again: list })
  t.is(refused({ list })?.path, 'payload.list.to[0].again')
})

test('payload: shared parts are read once', t => {
  let looks = 0
  const leaf = new Proxy(
    {},
    {
      ownKeys: () => {
        looks++
        return []
      },
    },
  )
  let value: object = { leaf }
  for (let i = 0; i < 12; i++) value = { a: value, b: value }

  textOf(value)

  // By the check for symbols, for names, and by JSON itself for each way to it.
  t.true(looks >= 2 ** 12 && looks < 2 ** 12 + 20, `${looks}`)
})

test('payload: an unreadable value is refused with its path, and its error as the cause', t => {
  const cause = new Error('not said')
  const bad = {
    get to(): string {
      throw cause
    },
  }
  const error = refused({ list: [bad] }) as PayloadError
  t.is(error.path, 'payload.list[0]')
  t.is(error.cause, cause)
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  t.is(refused(proxy)?.path, 'payload')
  t.is(refused({ proxy })?.path, 'payload.proxy')
  // One that shows one thing when it is looked at and another when it is written.
  let reads = 0
  const sly = Object.defineProperty({}, 'a', { enumerable: true, get: () => (reads++ === 0 ? 1 : 10n) })
  t.regex(refused(sly)?.message as string, /cannot be written as JSON/)
  const empty = new Proxy({}, { get: (_, key) => (key === 'toJSON' && reads++ > 4 ? () => undefined : undefined) })
  t.is(textOf({ empty }), '{"empty":{}}')
})

function nested(depth: number): object {
  let value: object = {}
  for (let i = 0; i < depth; i++) value = { next: value }
  return value
}

/** So many levels, each twice in the next: 2 ** levels values when they are written out. */
function shared(levels: number): object {
  let value: object = {}
  for (let i = 0; i < levels; i++) value = { a: value, b: value }
  return value
}
