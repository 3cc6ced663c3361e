import { getEventListeners } from 'node:events'
import test from 'ava'
import { Signals } from '../../lib/signals.ts'

test('signals: each call is made once when the signal aborts, with one listener for all', t => {
  const signals = new Signals()
  const controller = new AbortController()
  const called: number[] = []
  for (let i = 0; i < 20; i++) signals.listen(controller.signal, () => called.push(i))
  t.is(getEventListeners(controller.signal, 'abort').length, 1)

  controller.abort()

  t.deepEqual(called, [...Array(20).keys()])
})

test('signals: what was taken back is not called, and the last takes the listener off', t => {
  const signals = new Signals()
  const controller = new AbortController()
  const called: string[] = []
  const first = signals.listen(controller.signal, () => called.push('first'))
  const second = signals.listen(controller.signal, () => called.push('second'))
  first()
  t.is(getEventListeners(controller.signal, 'abort').length, 1)
  second()
  second()
  t.is(getEventListeners(controller.signal, 'abort').length, 0)
  signals.listen(controller.signal, () => called.push('third'))

  controller.abort()

  t.deepEqual(called, ['third'])
})

test('signals: one that has aborted calls at once', t => {
  let called = 0
  new Signals().listen(AbortSignal.abort(), () => called++)()

  t.is(called, 1)
})
