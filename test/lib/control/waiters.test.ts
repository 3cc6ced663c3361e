import test from 'ava'
import { Waiters, type WaitersParts } from '../../../lib/control/waiters.ts'
import type { Run } from '../../../lib/run/run.ts'

/** Moments of a queue whose bodies and idleness the test says. */
function parts() {
  const state = { bodies: 0, idle: true, told: 0, runs: [] as Partial<Run>[] }
  const moments = new Waiters({
    bodies: () => state.bodies,
    runs: state.runs as unknown as WaitersParts['runs'],
    isIdle: () => state.idle,
    becameIdle: () => void state.told++,
  })
  return { moments, state }
}

test('moments: a pause has drained when no body is left, and not before', async t => {
  const { moments, state } = parts()
  state.bodies = 1
  const drained: boolean[] = []
  void moments.drained(false).then(value => drained.push(value))

  moments.look()
  await undefined
  t.deepEqual(drained, [])
  state.bodies = 0
  moments.look()
  await undefined

  t.deepEqual(drained, [true])
})

test('moments: a pause of tasks has drained when all that run are parked', async t => {
  const { moments, state } = parts()
  state.bodies = 2
  state.runs.push({ bodyEnded: false, task: { parked: true } as Run['task'] }, { bodyEnded: false, task: undefined })
  const drained = [moments.drained(true), moments.drained(false)]
  moments.look()
  state.runs[1] = { bodyEnded: true }
  moments.look()
  moments.supersede()

  t.deepEqual(await Promise.all(drained), [true, false])
})

test('moments: idle is told once each time that it comes, and waited for by any number', async t => {
  const { moments, state } = parts()
  moments.look()
  t.is(state.told, 0, 'it was idle from the start')
  state.idle = false
  moments.busy()
  const waiting = [moments.idle(), moments.idle()]
  moments.look()
  state.idle = true
  moments.look()
  moments.look()

  await Promise.all(waiting)
  t.is(state.told, 1)
})

test('moments: what had not come when the queue stopped rejects', async t => {
  const { moments, state } = parts()
  state.idle = false
  const idle = moments.idle()

  moments.stop(true)

  await t.throwsAsync(idle, { code: 'QUEUE_STOPPED' })
})

test('moments: a stop with nothing left is idle, and says so to those who ask later', async t => {
  const { moments, state } = parts()
  state.idle = false
  const idle = moments.idle()

  moments.stop(false)

  await idle
  await moments.idle()
  t.pass()
})

test('moments: what a stop has given back does not make the queue idle, neither before nor after', async t => {
  const { moments, state } = parts()
  state.idle = false
  moments.busy()
  const before = moments.idle()
  moments.stop(true)
  state.idle = true
  moments.look()

  await t.throwsAsync(before, { code: 'QUEUE_STOPPED' })
  await t.throwsAsync(moments.idle(), { code: 'QUEUE_STOPPED' })
  t.is(state.told, 0)
})
