import test from 'ava'
import { PayloadError } from '../../lib/errors.ts'
import { checkPayload, fingerprint } from '../../lib/payload.ts'

const refusedAt = (payload: unknown, strict: boolean): string | undefined => {
  try {
    checkPayload(payload, strict)
  } catch (error) {
    return error instanceof PayloadError ? error.path : String(error)
  }
  return undefined
}

test('payload: a function or symbol is refused anywhere, with its path', t => {
  for (const strict of [false, true]) {
    t.is(
      refusedAt(() => {}, strict),
      'payload',
    )
    t.is(refusedAt({ to: [1, { send: () => {} }] }, strict), 'payload.to[1].send')
    t.is(refusedAt({ a: Symbol('s') }, strict), 'payload.a')
  }
})

test('payload: what JSON would change is refused only where strict', t => {
  for (const value of [NaN, Infinity, -0, 1n, undefined, new Date(0), new Map(), new (class Own {})()]) {
    t.is(refusedAt({ a: value }, true), 'payload.a', String(value))
    t.is(refusedAt({ a: value }, false), undefined, String(value))
  }
  t.is(refusedAt(JSON.parse('{"__proto__":1}'), true), 'payload.__proto__')
  t.is(refusedAt({ a: [1, 'b', null, true, { c: 0.5 }] }, true), undefined)
})

test('payload: one that is part of itself is refused where strict and let be elsewhere', t => {
  const loop: Record<string, unknown> = {}
  loop.self = loop
  t.not(refusedAt(loop, true), undefined)
  t.is(refusedAt(loop, false), undefined)
})

test('payload: the digest is that of the content, whatever the order of keys', t => {
  t.is(fingerprint({ a: 1, b: [2, { c: 3, d: 4 }] }), fingerprint({ b: [2, { d: 4, c: 3 }], a: 1 }))
  const loop: unknown[] = []
  loop.push(loop)
  const all = [
    1,
    '1',
    null,
    undefined,
    true,
    [],
    {},
    [1, 2],
    [2, 1],
    { a: 1 },
    { a: '1' },
    new Date(1),
    new Map([[1, 2]]),
    loop,
  ]
  t.is(new Set(all.map(fingerprint)).size, all.length)
})

// fingerprint() does not mark where a string ends: a known fault of lib/payload.ts.
test('payload: a string that looks like two has another digest than the two', t => {
  t.not(fingerprint(['a;string:b']), fingerprint(['a', 'b']))
})
