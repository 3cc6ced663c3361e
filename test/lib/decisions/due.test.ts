import test from 'ava'
import { dueOf, dueOfCommand } from '../../../lib/decisions/due.ts'

const now = 1_000
const wall = 50_000

test('due: a job without an instant, or with one that has come, may start at once', t => {
  t.is(dueOf({}, now, wall), undefined)
  t.is(dueOf({ dueAt: now }, now, wall), undefined)
  t.is(dueOf({ runAt: wall }, now, wall), undefined)
})

test('due: a delay ends by the steady clock, and a date by the wall clock', t => {
  t.deepEqual(dueOf({ dueAt: now + 1 }, now, wall), { clock: 'steady', at: now + 1 })
  t.deepEqual(dueOf({ runAt: wall + 1 }, now, wall), { clock: 'wall', at: wall + 1 })
})

test('due: a job with a date goes by that alone', t => {
  t.is(dueOf({ dueAt: now + 1, runAt: wall }, now, wall), undefined)
})

test('due: a command sets a wait that begins with it, a date, or neither', t => {
  t.deepEqual(dueOfCommand({ waitMs: 10 }, now, wall), { clock: 'steady', at: now + 10 })
  t.deepEqual(dueOfCommand({ runAt: wall + 10 }, now, wall), { clock: 'wall', at: wall + 10 })
  t.is(dueOfCommand({}, now, wall), undefined)
})
