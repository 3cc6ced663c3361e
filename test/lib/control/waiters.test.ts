import test from 'ava'
import { Waiters } from '../../../lib/control/waiters.ts'
import type { Run } from '../../../lib/run/run.ts'

/** Waiters of a queue whose slots and idleness the test sets. */
function parts() {
  const state = { idle: true, announced: 0 }
  const slots = { slotsTaken: 0, runs: [] as Pick<Run, 'bodyEnded' | 'task'>[] }
  const idleness = {
    get isIdle() {
      return state.idle
    },
  }
  const waiters = new Waiters(slots, idleness, { announce: () => void state.announced++ })
  return { waiters, state, slots }
}

test('waiters: a pause has drained when no body is left, and not before', async t => {
  const { waiters, slots } = parts()
  slots.slotsTaken = 1
  const drained: boolean[] = []
  void waiters.drained(false).then(value => drained.push(value))

  waiters.check()
  await undefined
  t.deepEqual(drained, [])
  slots.slotsTaken = 0
  waiters.check()
  await undefined

  t.deepEqual(drained, [true])
})

test('waiters: a pause of tasks has drained when all running tasks are parked', async t => {
  const { waiters, slots } = parts()
  slots.slotsTaken = 2
  slots.runs.push({ bodyEnded: false, task: { parked: true } as Run['task'] }, { bodyEnded: false, task: undefined })
  const drained = [waiters.drained(true), waiters.drained(false)]
  waiters.check()
  slots.runs[1] = { bodyEnded: true, task: undefined }
  waiters.check()
  waiters.supersede()

  t.deepEqual(await Promise.all(drained), [true, false])
})

test('waiters: each idle moment is announced once, and any number of callers may wait for it', async t => {
  const { waiters, state } = parts()
  waiters.check()
  t.is(state.announced, 0, 'it was idle from the start')
  state.idle = false
  waiters.busy()
  const waiting = [waiters.idle(), waiters.idle()]
  waiters.check()
  state.idle = true
  waiters.check()
  waiters.check()

  await Promise.all(waiting)
  t.is(state.announced, 1)
})

test('waiters: callers that still wait when the queue stops are rejected', async t => {
  const { waiters, state } = parts()
  state.idle = false
  const idle = waiters.idle()

  waiters.stop(true)

  await t.throwsAsync(idle, { code: 'QUEUE_STOPPED' })
})

test('waiters: after a stop with nothing left, later calls of idle() resolve', async t => {
  const { waiters, state } = parts()
  state.idle = false
  const idle = waiters.idle()

  waiters.stop(false)

  await idle
  await waiters.idle()
  t.pass()
})

test('waiters: jobs that a stop returned do not make the queue idle, neither before nor after', async t => {
  const { waiters, state } = parts()
  state.idle = false
  waiters.busy()
  const before = waiters.idle()
  waiters.stop(true)
  state.idle = true
  waiters.check()

  await t.throwsAsync(before, { code: 'QUEUE_STOPPED' })
  await t.throwsAsync(waiters.idle(), { code: 'QUEUE_STOPPED' })
  t.is(state.announced, 0)
})
