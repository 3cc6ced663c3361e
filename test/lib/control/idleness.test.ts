import test from 'ava'
import { Idleness, type IdlenessParts } from '../../../lib/control/idleness.ts'

test('idleness: a queue is idle once its backlog is open, and nothing waits, runs, is on its way or is unannounced', t => {
  const counts = { pending: 0, delayed: 0, underway: 0, finished: 3, failed: 1, cancelled: 1 }
  const idle = {
    opening: { session: { counts } },
    intake: { empty: true },
    dispatch: { noneInFlight: true },
    commands: { announcing: false },
  }
  const isIdle = (parts: object): boolean => new Idleness({ ...idle, ...parts } as unknown as IdlenessParts).isIdle
  const withCounts = (more: object): object => ({ opening: { session: { counts: { ...counts, ...more } } } })

  t.true(isIdle({}))
  t.false(isIdle({ opening: { session: undefined } }), 'not open')
  t.false(isIdle({ intake: { empty: false } }), 'a put is on its way')
  t.false(isIdle({ dispatch: { noneInFlight: false } }), 'an exchange may bring an ending')
  t.false(isIdle({ commands: { announcing: true } }), 'an ending is not announced')
  for (const state of ['pending', 'delayed', 'underway']) t.false(isIdle(withCounts({ [state]: 1 })), state)
})
