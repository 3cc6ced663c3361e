import test from 'ava'
import { CheckpointValue } from '../../../lib/text/checkpoint-value.ts'

for (const strict of [false, true]) {
  test(`checkpoint value: it is as it was when it was kept, and each reading is a copy (strict: ${strict})`, t => {
    const value = { list: [1] }
    const kept = CheckpointValue.of(value, strict)
    value.list.push(2)

    const read = kept.read() as typeof value
    t.deepEqual(read, { list: [1] })
    read.list.push(3)
    t.deepEqual(kept.read(), { list: [1] })
    for (const plain of [undefined, null, 0, 'text', true]) t.is(CheckpointValue.of(plain, strict).read(), plain)
  })
}

test('checkpoint value: in memory a copyable value keeps its class, and any other is refused with its path', t => {
  const value = {
    at: new Date(1),
    map: new Map([[1, 2]]),
    bytes: new Uint8Array([1]),
    big: 1n,
    error: new RangeError('x'),
  }
  t.deepEqual(CheckpointValue.of(value, false).read(), value)
  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic
  const read = CheckpointValue.of(cyclic, false).read() as typeof cyclic
  t.is(read.self, read)

  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const [bad, path] of [
    [() => {}, 'checkpoint'],
    [{ a: [new (class Own {})()] }, 'checkpoint.a[0]'],
    [{ a: Buffer.from('x') }, 'checkpoint.a'],
    [{ a: new Map([[1, () => {}]]) }, 'checkpoint'],
    [{ a: new WeakMap() }, 'checkpoint.a'],
    [proxy, 'checkpoint'],
  ] as const) {
    t.throws(() => CheckpointValue.of(bad, false), {
      code: 'PAYLOAD',
      message: new RegExp(`^${path.replace('[', '.')} .*copy`),
    })
  }
})

test('checkpoint value: a text that another program has changed reads as undefined', t => {
  t.is(CheckpointValue.ofText('{oops').read(), undefined)
})
