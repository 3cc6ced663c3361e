import test from 'ava'
import { IsolateReports } from '../../../lib/isolate/isolate-reports.ts'
import type { FromIsolateBatch } from '../../../lib/isolate/protocol.ts'
import { VirtualClock } from '../../../testing/index.ts'

const setup = () => {
  const clock = new VirtualClock()
  const sent: FromIsolateBatch[] = []
  const reports = new IsolateReports((batch, buffers) => {
    sent.push(structuredClone(batch, { transfer: [...buffers] as ArrayBuffer[] }))
  }, clock)
  const values = (): unknown[] =>
    sent.flatMap(({ items }) => items.flatMap(item => ('value' in item ? [item.value] : [])))
  return { clock, sent, reports, values }
}

test('reports: what arises in one turn of the loop is one batch, with the number of the last call that started', async t => {
  const { clock, sent, reports } = setup()
  reports.push({ kind: 'finished', call: 1, value: 'a' })
  reports.started = 3
  reports.push({ kind: 'finished', call: 2, value: 'b' })
  t.is(sent.length, 0)
  await clock.advance(1)

  t.is(sent.length, 1)
  t.like(sent[0], { started: 3 })
  t.is(sent[0]?.items.length, 2)
})

test('reports: a value that cannot be cloned fails alone, and the buffers of the others still move', async t => {
  const { sent, reports } = setup()
  const bytes = new Uint8Array([1, 2])
  reports.push({ kind: 'finished', call: 1, value: () => {} })
  reports.push({ kind: 'finished', call: 2, value: 'b' })
  reports.push({ kind: 'finished', call: 3, value: bytes }, [bytes.buffer])
  reports.flush()

  const items = sent.flatMap(batch => batch.items)
  t.deepEqual(
    items.map(item => [item.kind, 'call' in item && item.call]),
    [
      ['unsent', 1],
      ['finished', 2],
      ['finished', 3],
    ],
  )
  t.deepEqual((items[2] as { value: unknown }).value, new Uint8Array([1, 2]))
  t.is(bytes.length, 0)
})

test('reports: progress waits until the last was taken, is bounded, and precedes the end of its call', async t => {
  const { clock, sent, reports, values } = setup()
  reports.progress(1, 'first')
  await clock.advance(1)
  for (let i = 0; i < 500; i++) reports.progress(1, i)
  await clock.advance(1)
  t.deepEqual(values(), ['first'])
  reports.progressTaken()
  await clock.advance(1)
  t.is(values().length, 101)
  t.is(values().at(-1), 499)
  reports.progress(1, 'last')
  reports.endProgress(1)
  reports.push({ kind: 'finished', call: 1, value: 'end' })
  await clock.advance(1)

  t.deepEqual(values().slice(-2), ['last', 'end'])
  t.true(sent.length >= 3)
})
