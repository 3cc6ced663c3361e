import test from 'ava'
import { Waiters, type WaitersParts } from '../../../lib/control/waiters.ts'
import type { Run } from '../../../lib/run/run.ts'

/** Moments of a queue whose bodies and idleness the test says. */
function parts() {
  const state = { bodies: 0, idle: true, told: 0, runs: [] as Partial<Run>[] }
  const waiters = new Waiters({
    bodies: () => state.bodies,
    runs: state.runs as unknown as WaitersParts['runs'],
    isIdle: () => state.idle,
    becameIdle: () => void state.told++,
  })
  return { waiters, state }
}

test('waiters: a pause has drained when no body is left, and not before', async t => {
  const { waiters, state } = parts()
  state.bodies = 1
  const drained: boolean[] = []
  void waiters.drained(false).then(value => drained.push(value))

  waiters.check()
  await undefined
  t.deepEqual(drained, [])
  state.bodies = 0
  waiters.check()
  await undefined

  t.deepEqual(drained, [true])
})

test('waiters: a pause of tasks has drained when all that run are parked', async t => {
  const { waiters, state } = parts()
  state.bodies = 2
  state.runs.push({ bodyEnded: false, task: { parked: true } as Run['task'] }, { bodyEnded: false, task: undefined })
  const drained = [waiters.drained(true), waiters.drained(false)]
  waiters.check()
  state.runs[1] = { bodyEnded: true }
  waiters.check()
  waiters.supersede()

  t.deepEqual(await Promise.all(drained), [true, false])
})

test('waiters: idle is told once each time that it comes, and waited for by any number', async t => {
  const { waiters, state } = parts()
  waiters.check()
  t.is(state.told, 0, 'it was idle from the start')
  state.idle = false
  waiters.busy()
  const waiting = [waiters.idle(), waiters.idle()]
  waiters.check()
  state.idle = true
  waiters.check()
  waiters.check()

  await Promise.all(waiting)
  t.is(state.told, 1)
})

test('waiters: what had not come when the queue stopped rejects', async t => {
  const { waiters, state } = parts()
  state.idle = false
  const idle = waiters.idle()

  waiters.stop(true)

  await t.throwsAsync(idle, { code: 'QUEUE_STOPPED' })
})

test('waiters: a stop with nothing left is idle, and says so to those who ask later', async t => {
  const { waiters, state } = parts()
  state.idle = false
  const idle = waiters.idle()

  waiters.stop(false)

  await idle
  await waiters.idle()
  t.pass()
})

test('waiters: what a stop has given back does not make the queue idle, neither before nor after', async t => {
  const { waiters, state } = parts()
  state.idle = false
  waiters.busy()
  const before = waiters.idle()
  waiters.stop(true)
  state.idle = true
  waiters.check()

  await t.throwsAsync(before, { code: 'QUEUE_STOPPED' })
  await t.throwsAsync(waiters.idle(), { code: 'QUEUE_STOPPED' })
  t.is(state.told, 0)
})
