/** Values of every kind in JavaScript that a caller may pass, by accident or on purpose. Each call makes new ones. */
import vm from 'node:vm'

class Own {
  #secret = 1
  visible = 2
  get secret(): number {
    return this.#secret
  }
}

const refusing: ProxyHandler<object> = new Proxy(
  {},
  {
    get: () => () => {
      throw new Error('asked of a proxy')
    },
  },
)

function deep(levels: number): object {
  let value: object = {}
  for (let i = 0; i < levels; i++) value = { next: value }
  return value
}
function shared(levels: number): object {
  let value: object = {}
  for (let i = 0; i < levels; i++) value = { a: value, b: value }
  return value
}
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
/** Each part of it is another one. */
function endless(): object {
  return new Proxy(
    {},
    {
      get: (_, key) => (key === 'then' || key === 'toJSON' || typeof key === 'symbol' ? undefined : endless()),
      ownKeys: () => ['a', 'b', 'c'],
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }),
    },
  )
}
/** Answers the first questions well and the later ones not. */
function sly(good: number): object {
  let requested = 0
  const lie = (): unknown => {
    if (requested++ < good) return 'good'
    throw new Error('asked once too often')
  }
  return Object.defineProperty({}, 'field', { enumerable: true, get: lie })
}
function changing(): object {
  const value = { n: 1, list: [1] }
  queueMicrotask(() => Object.assign(value, { n: Number.NaN, list: () => {}, self: value }))
  return value
}

export const oddValues: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  NaN: () => Number.NaN,
  infinity: () => Infinity,
  'minus zero': () => -0,
  'a negative number': () => -1.5,
  'a huge number': () => 1.7e308,
  'a number': () => 3,
  'a bigint': () => 10n ** 30n,
  'an empty string': () => '',
  'a string': () => 'text',
  'half of a pair': () => 'Ann 💥'.slice(0, 5),
  'the other half': () => '\udca5',
  'a nul': () => 'a\0b',
  separators: () => 'a\x1eb\u2028c\ufeff',
  __proto__: () => '__proto__',
  'a long string': () => 'x'.repeat(300_000),
  true: () => true,
  'a symbol': () => Symbol('s'),
  'a symbol of all': () => Symbol.for('s'),
  'a function': () => () => 1,
  'a class': () => Own,
  'an instance of a class': () => new Own(),
  'an object without a prototype': () => Object.assign(Object.create(null), { a: 1 }),
  'an object of another realm': () => vm.runInNewContext('({ a: [1, { b: 2 }] })'),
  'an error of another realm': () => vm.runInNewContext('new TypeError("foreign")'),
  'a Date of another realm': () => vm.runInNewContext('new Date(0)'),
  'a Date': () => new Date(0),
  'an invalid Date': () => new Date(Number.NaN),
  'a Map': () => new Map([[{}, () => {}]]),
  'a Set': () => new Set([Symbol('s')]),
  'a WeakMap': () => new WeakMap(),
  'a RegExp': () => /a/g,
  'an Error': () => new Error('plain'),
  'an Error with a cycle': () => {
    const error = new Error('cyclic') as Error & { self?: unknown }
    error.self = error
    error.cause = error
    return error
  },
  'an Error that resists': () =>
    Object.defineProperties(new Error('resists'), {
      message: { get: () => refusedHere() },
      stack: { get: () => refusedHere() },
      name: { get: () => refusedHere() },
      code: { enumerable: true, get: () => refusedHere() },
      after: { get: () => refusedHere() },
    }),
  'an Error of strange fields': () =>
    Object.assign(new Error('\ud83d\0'), { name: 5, message: Symbol('m'), stack: 10n, code: Number.NaN, '\udca5': 1 }),
  'an AggregateError': () => new AggregateError([new Error('a'), revoked()], 'many'),
  'a DOMException': () => new DOMException('aborted', 'AbortError'),
  'something like a control error': () => ({ code: 'THROTTLED', after: revoked(), key: 5 }),
  'a control error without sense': () => Object.assign(new Error('x'), { code: 'RETRY_LATER', after: 'soonish' }),
  'a Promise': () => Promise.resolve(1),
  'a rejected Promise': () => {
    const rejected = Promise.reject(new Error('of a promise'))
    rejected.catch(() => {})
    return rejected
  },
  'a thenable that throws': () => ({
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tried.
    get then(): never {
      return refusedHere()
    },
  }),
  'a generator': () =>
    (function* () {
      yield 1
    })(),
  'an iterator that throws': () => ({
    [Symbol.iterator]() {
      return this
    },
    next: () => refusedHere(),
  }),
  'a proxy that was revoked': () => revoked(),
  'an object with a proxy that was revoked': () => ({ a: [revoked()] }),
  'a proxy that throws': () => new Proxy({}, refusing),
  'a proxy of a function': () => new Proxy(() => {}, {}),
  'a proxy without end': () => endless(),
  'a getter that throws': () => ({
    get bad(): never {
      return refusedHere()
    },
  }),
  'a getter that throws the second time': () => sly(1),
  'a getter that throws the third time': () => sly(2),
  'a toJSON that throws': () => ({ toJSON: () => refusedHere() }),
  'a toJSON that leaves nothing': () => ({ toJSON: () => undefined }),
  'a toJSON that lies': () => ({ a: 1, toJSON: () => ({ b: 2 }) }),
  'a answerOf that throws': () => ({ answerOf: () => refusedHere(), toString: () => refusedHere() }),
  'a cycle': () => {
    const loop: Record<string, unknown> = {}
    loop.self = { loop }
    return loop
  },
  'an array with a hole': () => Object.assign(Array(3), { 0: 1 }),
  'an array with a name': () => Object.assign([1], { name: 'x' }),
  'an array of length 2 ** 32 - 1': () => Array(2 ** 32 - 1),
  'an array of all': () => [undefined, Number.NaN, 1n, () => {}, Symbol('s'), new Own()],
  'a deep object': () => deep(150),
  'a very deep object': () => deep(20_000),
  'shared parts': () => shared(10),
  'many shared parts': () => shared(60),
  'a wide object': () => Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, i])),
  'an object with a symbol for a key': () => ({ [Symbol('s')]: 1, a: 1 }),
  'an object with a prototype for a key': () => JSON.parse('{ "__proto__": { "a": 1 }, "constructor": 1 }') as object,
  'an object that is changed afterwards': () => changing(),
  'a typed array': () => new Float64Array([Number.NaN]),
  'a Buffer': () => Buffer.from('x'),
  'a SharedArrayBuffer': () => new SharedArrayBuffer(8),
  'a detached ArrayBuffer': () => {
    const buffer = new ArrayBuffer(8)
    structuredClone(buffer, { transfer: [buffer] })
    return buffer
  },
  'a MessagePort': () => {
    const { port1, port2 } = new MessageChannel()
    port1.close()
    port2.close()
    return port1
  },
  'an AbortSignal': () => new AbortController().signal,
  'an AbortSignal that has aborted': () => AbortSignal.abort(revoked()),
  arguments: () =>
    (function () {
      // biome-ignore lint/complexity/noArguments: they are what is tried.
      return arguments
    })(),
  globalThis: () => globalThis,
}

function refusedHere(): never {
  throw new Error('must not be read')
}
