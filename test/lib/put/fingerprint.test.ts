import vm from 'node:vm'
import test from 'ava'
import { PayloadError } from '../../../lib/errors.ts'
import { fingerprint, fingerprintOfText } from '../../../lib/put/fingerprint.ts'

class Own {
  #secret: number
  constructor(secret: number) {
    this.#secret = secret
  }
  get secret(): number {
    return this.#secret
  }
}
class Derived extends Map<number, number> {}

test('fingerprint: equal content has one digest, whatever the order of keys and the realm', t => {
  for (const make of [
    () => ({ a: 1, b: [2, { c: 3, d: 4 }] }),
    () => ({ b: [2, { d: 4, c: 3 }], a: 1 }),
    () => vm.runInNewContext('({ b: [2, { c: 3, d: 4 }], a: 1 })'),
  ]) {
    t.is(fingerprint(make()), fingerprint({ a: 1, b: [2, { c: 3, d: 4 }] }))
  }
  for (const make of [
    () => new Date(1),
    () => new Map([['a', new Set([1])]]),
    () => /a/g,
    () => new Uint8Array([1, 2]),
    () => new Uint8Array([1, 2]).buffer,
    () => new URL('http://a/b'),
    () => [undefined, -0, 1n, null, Symbol.for('s')],
    () => ({ [Symbol.for('s')]: 1 }),
    () => Object(1),
  ]) {
    t.is(fingerprint(make()), fingerprint(make()))
  }
})

test('fingerprint: different content never has one digest', t => {
  const symbol = Symbol('s')
  const values = [
    ...[1, '1', 1n, null, undefined, true, 'a;string:b', symbol, Symbol('s'), Symbol.for('s'), () => 1, () => 1],
    ...[
      [],
      {},
      [1, 2],
      [2, 1],
      ['a;string:b'],
      ['a', 'b'],
      Object.assign(Array(2), { 1: 1 }),
      [undefined, 1],
      Object.assign([1], { name: 1 }),
    ],
    ...[{ a: 1 }, { a: '1' }, { [symbol]: 1 }, { [Symbol('s')]: 1 }, { a: undefined }],
    ...[new Date(1), new Date(2), new Map([[1, 2]]), new Map([[1, 3]]), new Set([1]), new Set([2])],
    ...[/a/, /b/, /a/g, new URL('http://a'), new URL('http://b'), new Error('a'), new Error('a')],
    ...[new Headers({ a: '1' }), new Headers({ a: '2' }), new Own(1), new Own(2), new Derived([[1, 2]]), new Derived()],
    ...[
      new Uint8Array([1]),
      new Uint8Array([2]),
      new Int8Array([1]),
      Buffer.from([1]),
      new DataView(new ArrayBuffer(1)),
    ],
    ...[new Uint8Array([1]).buffer, new Uint8Array([2]).buffer, Object(1), Object('1'), Object(2)],
    ...[new WeakMap(), Promise.resolve(1), Promise.resolve(1)],
  ]

  t.is(new Set(values.map(fingerprint)).size, values.length)
})

test('fingerprint: a value that cannot be compared is equal to itself', t => {
  const loop: unknown[] = []
  loop.push(loop)
  let deep = {}
  for (let i = 0; i < 20_000; i++) deep = { next: deep }
  for (const value of [() => 1, new Own(1), new Error('a'), Symbol('s'), loop, deep, [new Own(1)]]) {
    t.is(fingerprint(value), fingerprint(value))
  }
})

test('fingerprint: a part that is shared is read once, and counts as if it was not shared', t => {
  let looks = 0
  const leaf = new Proxy(
    { a: 1 },
    {
      ownKeys: target => {
        looks++
        return Reflect.ownKeys(target)
      },
    },
  )
  const levels = (leaf: () => object): object => {
    let value = leaf()
    for (let i = 0; i < 12; i++) value = { a: value, b: value }
    return value
  }

  fingerprint(levels(() => leaf))

  t.is(looks, 1)
  t.is(fingerprint([{ a: { b: 1 } }, { a: { b: 1 } }]), fingerprint(Array(2).fill({ a: { b: 1 } })))
})

test('fingerprint: an unreadable value is refused', t => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  t.throws(() => fingerprint({ proxy }), { instanceOf: PayloadError, message: /^payload cannot be read/ })
})

test('fingerprint: the digest of a text is the same as in older files', t => {
  t.is(fingerprintOfText('{"b":[1,"x",null,true],"a":{}}'), fingerprintOfText('{"a":{},"b":[1,"x",null,true]}'))
  t.is(fingerprintOfText('{"a":{},"b":[1,"x",null,true]}'), '49x2P25ORbiT0Et2xLfuQn7gkSNPNoTDh03qzQK2Sr4=')
  t.is(fingerprintOfText(' null'), 'KhGM2lqKnSiE5Fhx50lbP9kQyutwful3W6VYGCSEDUE=')
})
