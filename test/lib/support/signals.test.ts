import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { Signals } from '../../../lib/support/signals.ts'

/** Signals that write down what an abort was about, in its order. */
function listening() {
  const reported: (string | number)[] = []
  return { reported, signals: new Signals<string | number>((_, items) => void reported.push(...items), false) }
}
const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

test('signals: each item is notified once when the signal aborts, with one listener for all', t => {
  const { signals, reported } = listening()
  const controller = new AbortController()
  for (let i = 0; i < 20; i++) signals.listen(controller.signal, i)
  t.is(listeners(controller.signal), 1)

  controller.abort()

  t.deepEqual(reported, [...Array(20).keys()])
})

test('signals: any number of queues have one listener on a signal, which is removed with the last', t => {
  const queues = [...Array(20)].map(listening)
  const { signal } = new AbortController()
  const forget = queues.map(({ signals }, i) => signals.listen(signal, i))
  t.is(listeners(signal), 1)

  for (const each of forget.slice(1)) each()
  t.is(listeners(signal), 1)
  forget[0]?.()

  t.is(listeners(signal), 0)
})

test('signals: each queue that listens is notified of an abort', t => {
  const queues = [...Array(3)].map(listening)
  const controller = new AbortController()
  for (const [i, { signals }] of queues.entries()) signals.listen(controller.signal, i)

  controller.abort()

  t.deepEqual(
    queues.map(({ reported }) => reported),
    [[0], [1], [2]],
  )
})

test('signals: a removed item is not notified, and removing the last one removes the listener', t => {
  const { signals, reported } = listening()
  const controller = new AbortController()
  const first = signals.listen(controller.signal, 'first')
  const second = signals.listen(controller.signal, 'second')
  first()
  t.is(listeners(controller.signal), 1)
  second()
  second()
  t.is(listeners(controller.signal), 0)
  signals.listen(controller.signal, 'third')

  controller.abort()

  t.deepEqual(reported, ['third'])
})

test('signals: a signal that has aborted notifies at once', t => {
  const { signals, reported } = listening()
  signals.listen(AbortSignal.abort(), 'a')()

  t.deepEqual(reported, ['a'])
})

test('signals: an item that is removed during the abort is not notified', t => {
  const controller = new AbortController()
  const reported: number[] = []
  let forget: (() => void)[] = []
  const signals = new Signals<number>((_, items) => {
    for (const item of items) {
      reported.push(item)
      forget[item + 1]?.()
    }
  }, false)
  forget = [0, 1, 2, 3].map(item => signals.listen(controller.signal, item))

  controller.abort()

  t.deepEqual(reported, [0, 2])
})

test('signals: a queue that was dropped and collected leaves no listener on a signal that lives on', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { signal } = new AbortController()
  ;(() => void listening().signals.listen(signal, 'a'))()
  t.is(listeners(signal), 1)

  for (let left = 100; left > 0 && listeners(signal) > 0; left--) {
    await new Promise(resolve => setImmediate(resolve))
    collect()
  }

  t.is(listeners(signal), 0)
})

test('signals: a signal keeps a queue alive while a caller waits for a reply, until the item is removed', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { signal } = new AbortController()
  const [listens, took] = (() => {
    const held = [0, 1].map(() => new Signals<string>(() => {}, true))
    held[0]?.listen(signal, 'a')
    held[1]?.listen(signal, 'b')()
    return held.map(one => new WeakRef(one))
  })()

  for (let left = 100; left > 0 && took?.deref(); left--) {
    await new Promise(resolve => setImmediate(resolve))
    collect()
  }

  t.is(took?.deref(), undefined)
  t.truthy(listens?.deref())
})
