import test from 'ava'
import { Settings, type SettingsParts } from '../../../lib/control/settings.ts'
import { Lifecycle } from '../../../lib/lifecycle.ts'

/** Settings whose command of a rate is handled by `send`, with a suspension whose end throws if `fault` is given. */
const setup = (send: (handleReply: () => void) => void, fault?: Error) => {
  const log: string[] = []
  const events: unknown[] = []
  const parts = {
    lifecycle: new Lifecycle(true, false),
    dispatch: {
      suspendLaunches: () => {
        log.push('suspended')
        return {
          over: () => {
            log.push('over')
            if (fault) throw fault
          },
        }
      },
    },
    commands: { send: async (_: unknown, handleReply: () => void) => send(handleReply) },
    opening: {},
    emitter: {
      announce: (...event: unknown[]) => void events.push(event),
      report: (error: Error) => log.push(error.message),
    },
    works: true,
    declared: { rules: [], globalWidth: Infinity },
  }
  return { log, events, settings: new Settings(parts as unknown as SettingsParts) }
}
const rate = { limit: 1, per: 1_000 }

test('settings: launches are suspended until the backlog uses the new rules', async t => {
  const { log, settings } = setup(handleReply => handleReply())
  settings.setRate(rate)
  await new Promise(setImmediate)

  t.deepEqual(log, ['suspended', 'over'])
  t.deepEqual(settings.rules, [])
})

test('settings: launches resume, and the error is reported, if the backlog refuses the rules', async t => {
  const { log, settings } = setup(() => {
    throw new Error('no')
  })
  settings.setRate(rate)
  t.is(settings.rules[0]?.limit, 1)
  await new Promise(setImmediate)

  t.deepEqual(log, ['suspended', 'over', 'no'])
  t.deepEqual(settings.rules, [])
})

test('settings: a suspension ends once, though its end throws', async t => {
  const { log, settings } = setup(handleReply => handleReply(), new Error('a fault'))
  settings.setRate(rate)
  await new Promise(setImmediate)

  t.deepEqual(log, ['suspended', 'over', 'a fault'])
})

test('settings: the last global width that was set reads, also while earlier ones are being stored', async t => {
  const replies: (() => void)[] = []
  const { events, settings } = setup(handleReply => void replies.push(handleReply))

  for (const width of [3, 5, 3]) settings.setGlobalWidth(width)
  replies[0]?.()
  t.is(settings.globalWidth, 3)
  replies[1]?.()
  t.is(settings.globalWidth, 3)
  replies[2]?.()

  // This backlog stores nothing, so what was declared reads again.
  t.is(settings.globalWidth, Infinity)
  t.deepEqual(events, [
    ['globalWidth', 3, Infinity],
    ['globalWidth', 5, 3],
    ['globalWidth', 3, 5],
    ['globalWidth', Infinity, 3],
  ])
})
