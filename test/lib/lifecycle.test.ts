/** The two tables of the lifecycle: which command leads where, and which are refused. */
import test from 'ava'
import { Lifecycle, type PauseState } from '../../lib/lifecycle.ts'

type Command = (lifecycle: Lifecycle) => void
const pause: Command = life => life.pause()
const share: Command = life => life.share()
const resume: Command = life => life.resume()
const sharedPause: Command = life => life.sharedPauseChanged(true)
const sharedResume: Command = life => life.sharedPauseChanged(false)

const after = (...commands: readonly Command[]): Lifecycle => {
  const lifecycle = new Lifecycle(true, false)
  for (const command of commands) command(lifecycle)
  return lifecycle
}

/** How each state of pausing is reached. */
const ways: Readonly<Record<PauseState, readonly Command[]>> = {
  running: [],
  paused: [pause],
  sharing: [share],
  shared: [sharedPause],
  'paused, shared': [sharedPause, pause],
  'sharing, shared': [sharedPause, share],
}

test('lifecycle: a queue begins to run at once, or paused where its options say so', t => {
  t.is(new Lifecycle(true, false).pauseState, 'running')
  t.is(new Lifecycle(true, true).pauseState, 'paused')
})

test('lifecycle: jobs start while it runs, and in no other state', t => {
  for (const [state, way] of Object.entries(ways)) {
    const lifecycle = after(...way)
    t.is(lifecycle.pauseState, state as PauseState)
    t.is(lifecycle.mayLaunch, state === 'running', state)
    t.is(lifecycle.paused, state !== 'running', state)
  }
})

test('lifecycle: exchanges go on during a shared pause, because the backlog is the first to know its end', t => {
  const claims = Object.entries(ways).filter(([, way]) => after(...way).mayClaim)

  t.deepEqual(
    claims.map(([state]) => state),
    ['running', 'shared'],
  )
})

test('lifecycle: a queue without a handler neither claims nor starts', t => {
  const lifecycle = new Lifecycle(false, false)

  t.false(lifecycle.mayLaunch)
  t.false(lifecycle.mayClaim)
  t.false(lifecycle.paused)
})

test('lifecycle: a pause of this object stands in for a shared one, and is gone once that holds', t => {
  t.is(after(share).pauseState, 'sharing')
  t.true(after(share).pausedHere)
  t.is(after(share, sharedPause).pauseState, 'shared')
  t.false(after(share, sharedPause).pausedHere)
})

test('lifecycle: a pause of this object outlives a shared one that was requested besides', t => {
  t.is(after(pause, share, sharedPause, sharedResume).pauseState, 'paused')
  t.is(after(share, pause, sharedPause, sharedResume).pauseState, 'paused')
})

test('lifecycle: resume ends the pause of this object and leaves a shared one', t => {
  t.is(after(pause, resume).pauseState, 'running')
  t.is(after(share, resume).pauseState, 'running')
  t.is(after(sharedPause, pause, resume).pauseState, 'shared')
  t.is(after(sharedPause, resume).pauseState, 'shared')
})

test('lifecycle: the end of a shared pause leaves the one of this object', t => {
  t.is(after(sharedPause, sharedResume).pauseState, 'running')
  t.is(after(sharedPause, pause, sharedResume).pauseState, 'paused')
})

test('lifecycle: a shared pause that holds already does not begin, and one that does not hold does not end', t => {
  for (const state of ['shared', 'paused, shared', 'sharing, shared'] as const) {
    t.throws(() => after(...ways[state], sharedPause), { message: `a queue that is ${state} cannot sharedPause` })
  }
  for (const state of ['running', 'paused', 'sharing'] as const) {
    t.throws(() => after(...ways[state], sharedResume), { message: `a queue that is ${state} cannot sharedResume` })
  }
})

test('lifecycle: tasks are parked with a pause alone', t => {
  t.throws(() => after().parkTasks(), { message: 'a queue that is running cannot park tasks' })
  const lifecycle = after(pause)
  lifecycle.parkTasks()
  t.true(lifecycle.tasksParked)
  lifecycle.unparkTasks()
  t.false(lifecycle.tasksParked)
  lifecycle.stop()
  t.throws(() => lifecycle.parkTasks(), { message: 'a queue that is stopping cannot park tasks' })
})

test('lifecycle: nothing starts after the call of stop, which interrupts and ends, or ends at once', t => {
  const lifecycle = after()
  t.false(lifecycle.stopping)
  lifecycle.stop()
  t.deepEqual(
    [lifecycle.mayLaunch, lifecycle.mayClaim, lifecycle.stopping, lifecycle.stopped],
    [false, false, true, false],
  )
  lifecycle.interrupt()
  t.is(lifecycle.phase, 'interrupting')
  lifecycle.end()
  t.true(lifecycle.stopped)

  const quick = after()
  quick.stop()
  quick.end()
  t.is(quick.phase, 'stopped')
})

test('lifecycle: a stop is not undone, not repeated, and does not end before it begins', t => {
  t.throws(() => after().interrupt(), { message: 'a queue that is open cannot be interrupting' })
  t.throws(() => after().end(), { message: 'a queue that is open cannot be stopped' })
  const lifecycle = after()
  lifecycle.stop()
  t.throws(() => lifecycle.stop(), { message: 'a queue that is stopping cannot be stopping' })
  lifecycle.end()
  t.throws(() => lifecycle.interrupt(), { message: 'a queue that is stopped cannot be interrupting' })
})

test('lifecycle: a stopping queue still reads paused, and follows a shared pause to its end', t => {
  const lifecycle = after(pause)
  lifecycle.stop()
  t.true(lifecycle.paused)
  lifecycle.sharedPauseChanged(true)
  t.is(lifecycle.pauseState, 'paused, shared')
})
