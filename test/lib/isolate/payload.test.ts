import test from 'ava'
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

test('payload: shared memory goes to a thread, and not to a process', t => {
  const shared = { cell: new SharedArrayBuffer(4) }

  t.notThrows(() => payloadCloner('thread')(shared))
  t.throws(() => payloadCloner('process')(shared), { code: 'PAYLOAD' })
})
