import test from 'ava'
import { DispatchQueue } from '../../../lib/index.ts'
import { transfer, unmarked } from '../../../lib/isolate/transfer.ts'

test('transfer: a value is marked with what moves with it, and anything else moves nothing', t => {
  const bytes = new Uint8Array(3)

  t.deepEqual(unmarked(transfer(bytes, [bytes.buffer])), { value: bytes, buffers: [bytes.buffer] })
  for (const value of [1, null, undefined, { a: 1 }]) t.deepEqual(unmarked(value), { value, buffers: [] })
})

test('transfer: what cannot move is refused by its place, with what to give instead', t => {
  const bytes = new Uint8Array(3)

  t.throws(() => transfer(bytes, bytes as never), { code: 'OPTION', message: /^transfer: buffers must be an array/ })
  t.throws(() => transfer(bytes, [bytes]), { code: 'OPTION', message: /buffers\[0\].*give its \.buffer/ })
  t.throws(() => transfer(1, ['x' as never]), { code: 'OPTION', message: /buffers\[0\] cannot be transferred/ })
})

test('transfer: a buffer that has moved already is refused', t => {
  const { buffer } = new Uint8Array(3)
  structuredClone(buffer, { transfer: [buffer] })

  t.throws(() => transfer(1, [buffer]), { code: 'OPTION', message: /buffers\[0\] has been transferred already/ })
})

test('transfer: a result whose buffer moved after the call of transfer() is reported, and its job ends without one', async t => {
  const handler = `export default () => {
    const bytes = new Uint8Array(3)
    const { buffer } = bytes
    const marked = { [Symbol.for('rdq.transfer')]: { value: bytes, buffers: [buffer] } }
    structuredClone(buffer, { transfer: [buffer] })
    return marked
  }`
  const url = new URL(`data:text/javascript,${encodeURIComponent(handler)}`)
  const queue = new DispatchQueue(url, { isolate: 'thread' })
  const errors: unknown[] = []
  queue.on('error', error => errors.push(error))

  t.is(await queue.run(null), undefined)
  t.regex(
    (errors[0] as Error).message,
    /^result cannot be cloned \(a buffer of transfer\(\) has been transferred already\)/,
  )
  await queue.stop()
})
