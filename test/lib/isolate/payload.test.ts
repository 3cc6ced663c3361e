import test from 'ava'
import type { PayloadError } from '../../../lib/index.ts'
import { payloadCloner } from '../../../lib/isolate/payload.ts'

for (const kind of ['thread', 'process'] as const) {
  test(`payload, ${kind}: a copy is taken, and what cannot be copied is refused`, t => {
    const clone = payloadCloner(kind)
    const payload = { at: new Date(0), map: new Map([[1, new Uint8Array([7])]]) }

    const copy = clone(payload)

    t.deepEqual(copy, payload)
    t.not(copy, payload)
    for (const plain of ['x', 1, null, undefined, true, 5n]) t.is(clone(plain), plain)
    for (const bad of [() => {}, Symbol('x'), { f() {} }, [Promise.resolve()]]) {
      t.throws(() => clone(bad), { code: 'PAYLOAD', message: new RegExp(`^payload cannot be cloned .* in a ${kind}`) })
    }
  })
}

class Private {
  readonly #secret = 1
  get secret(): number {
    return this.#secret
  }
}
class Public {
  name = 'x'
  greet(): string {
    return this.name
  }
}

for (const kind of ['thread', 'process'] as const) {
  test(`payload, ${kind}: an object that would arrive as a plain one is refused, with its path`, t => {
    const clone = payloadCloner(kind)
    const { signal } = new AbortController()
    const { href } = new URL('http://localhost/')
    for (const [payload, path, what] of [
      [new Private(), 'payload', 'is an instance of Private'],
      [{ a: [1, { b: new Public() }] }, 'payload.a[1].b', 'is an instance of Public'],
      [{ 'a b': new Private() }, 'payload["a b"]', 'is an instance of Private'],
      [new Map([[1, { b: new Private() }]]), 'payload', 'holds an instance of Private'],
      [{ set: new Set([new Private()]) }, 'payload.set', 'holds an instance of Private'],
      [{ to: Object.create({ inherited: true }) }, 'payload.to', 'is an object of a class'],
    ] as const) {
      const error = t.throws(() => clone(payload), { code: 'PAYLOAD' }) as PayloadError
      t.is(error.path, path)
      t.true(error.message.startsWith(`${path} ${what}, `), error.message)
      t.true(error.message.includes(`in a ${kind}`), error.message)
    }
    t.throws(() => clone({ request: { signal } }), {
      code: 'PAYLOAD',
      message: /^payload\.request\.signal is an AbortSignal, .* `signal` of the put, and use task\.signal/,
    })
    for (const lost of [new Request(href), new Response('x'), new Headers(), new Event('x'), new URL(href)]) {
      t.throws(() => clone({ lost }), { code: 'PAYLOAD' })
    }
  })

  test(`payload, ${kind}: objects of which nothing is lost are copied, plain or not`, t => {
    const clone = payloadCloner(kind)
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    const shared = { n: 1 }
    const bare = Object.assign(Object.create(null), { a: 1 })
    const bytes = Buffer.from('bytes')

    const copy = clone({ cyclic, a: shared, b: shared, bare, bytes, at: new Date(0), r: /x/g, n: Object(1) }) as {
      readonly cyclic: typeof cyclic
      readonly a: typeof shared
      readonly b: typeof shared
      readonly bare: { readonly a: number }
      readonly bytes: Uint8Array
    }

    t.is(copy.cyclic.self, copy.cyclic)
    t.is(copy.a, copy.b)
    t.deepEqual(copy.a, shared)
    t.is(copy.bare.a, 1)
    t.is(Buffer.from(copy.bytes).toString(), 'bytes')
    t.is((clone(new TypeError('x')) as Error).name, 'TypeError')
  })
}

test('payload, thread: what the platform copies as it is goes there', t => {
  const clone = payloadCloner('thread')

  t.true(clone(new Blob(['x'])) instanceof Blob)
  t.true(clone(new Map([[1, new Set([2])]])) instanceof Map)
})

test('payload: shared memory goes to a thread, and not to a process', t => {
  const shared = { cell: new SharedArrayBuffer(4) }

  t.notThrows(() => payloadCloner('thread')(shared))
  t.throws(() => payloadCloner('process')(shared), { code: 'PAYLOAD' })
})

test('payload: an array that consists of holes is copied at once, however long it is, and its elements are looked at', t => {
  const holes: unknown[] = []
  holes[4_000_000_000] = { n: 1 }
  t.deepEqual((payloadCloner('thread')(holes) as unknown[])[4_000_000_000], { n: 1 })

  holes[3_000_000_000] = new AbortController().signal
  t.throws(() => payloadCloner('thread')(holes), {
    code: 'PAYLOAD',
    message: /payload\[3000000000\] is an AbortSignal/,
  })
})
