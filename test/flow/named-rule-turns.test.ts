/** A queue that waits for a named rule, and can no longer start the job it waits for, is waited for no more. */
import { setImmediate as turn } from 'node:timers/promises'
import { Throttled } from '../../lib/index.ts'
import type { QueueOptions } from '../../lib/options/options.ts'
import { VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, sharedBacklog, test } from '../support/backlog-under-test.ts'

const perMs = 100_000
const rate = { name: 'gateway', limit: 10, per: perMs, of: 'tokens' } as const
type Options = Partial<QueueOptions<string, string>>
const ofKey = { key: 'k', cost: { tokens: 9 } }

/**
 * Queue a runs two bodies and waits for capacity for a heavy job, which comes in 100 s. Queue b has a light job, for
 * which there is capacity at once if nobody waits.
 */
async function waiting(options: Options = {}, others: readonly Options[] = []) {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const started: string[] = []
  const aborter = new AbortController()
  const ends = new Map<string, { resolve(result: string): void; reject(error: unknown): void }>()
  const run = (payload: string): string | Promise<string> => {
    started.push(payload)
    if (!payload.startsWith('body')) return ''
    return new Promise<string>((resolve, reject) => void ends.set(payload, { resolve, reject }))
  }
  const open = (name: string, parts: Options, handler: typeof run | null = run): DispatchQueue<string, string> =>
    new DispatchQueue<string, string>(handler, { clock, backlog, name, ...parts })
  const a = open('a', { width: 5, rate, ...options })
  const b = open('b', { width: 5, rate })
  const looker = open('a', {}, null)
  const more = others.map((parts, i) => open(`other ${i}`, parts))
  await Promise.all([a, b, looker, ...more].map(queue => queue.ready()))
  /** Passes some time, but not as much as a queue is waited for. */
  const pass = async (until: () => boolean): Promise<void> => {
    for (let left = durable() ? 200 : 20; left > 0 && !until(); left--) {
      await clock.advance(1)
      await turn()
    }
  }
  await a.putMany(['body 1', 'body 2'], { key: 'k', cost: { tokens: 0 } })
  await pass(() => ends.size === 2)
  await b.put('first', { cost: { tokens: 5 } })
  await pass(() => started.length === 3)
  for (const queue of more) {
    await queue.putMany(['other', 'waits'], { cost: { tokens: 1, calls: 1 } })
    await clock.advance(10)
  }
  const heavy = await a.put('heavy', { ...ofKey, signal: aborter.signal })
  await clock.advance(10)
  await b.put('light', { cost: { tokens: 1 } })
  const lightStarts = async (): Promise<boolean> => {
    await pass(() => started.includes('light'))
    return started.includes('light')
  }
  const throws = (error: unknown): void => ends.get('body 1')?.reject(error)
  return { a, b, aborter, looker, heavy, open, throws, lightStarts }
}
type Waiting = Awaited<ReturnType<typeof waiting>>

test('turns: a queue leaves capacity for a job of another queue that can start when there is enough', async t => {
  const { lightStarts } = await waiting()

  t.false(await lightStarts())
})

test('turns: a queue keeps its turn when an object of its name that has no handler puts, looks or opens', async t => {
  const { looker, open, lightStarts } = await waiting()

  await looker.put('later', { delay: '1d' })
  await looker.jobs()
  const another = open('a', {}, null)
  await another.ready()

  t.false(await lightStarts())
})

const slow = { name: 'slow', limit: 1, per: '1d', of: 'calls' } as const
for (const [which, rule] of Object.entries({ 'for a day': slow, 'for less than a window': { ...slow, per: '90s' } })) {
  test(`turns: the next queue starts when one waits no more, though another rule holds the first up ${which}`, async t => {
    const { heavy, lightStarts } = await waiting({}, [{ rate: [rate, rule] }])
    t.false(await lightStarts())

    await heavy.cancel()

    t.true(await lightStarts())
  })
}

const global = { globalWidth: 5 }
const keyed = { keys: { width: 3 } }
interface Cause {
  readonly options?: Options
  readonly act: (waiting: Waiting) => unknown
}
const causes: Readonly<Record<string, Cause>> = {
  'its width is lowered to its bodies': { act: ({ a }) => (a.width = 2) },
  'its width is lowered below its bodies': { act: ({ a }) => (a.width = 1) },
  'its width is 0': { act: ({ a }) => (a.width = 0) },
  'it is paused': { act: ({ a }) => void a.pause() },
  'it is paused for all processes': { act: ({ a }) => void a.pause({ shared: true }) },
  'it is paused for all processes by another object': { act: ({ looker }) => void looker.pause({ shared: true }) },
  'it stops': { act: ({ a }) => void a.stop() },
  'the job is cancelled': { act: ({ heavy }) => heavy.cancel() },
  'the job is cancelled by another object': { act: ({ looker, heavy }) => looker.cancel(heavy.id) },
  'the signal of the job is aborted': { act: ({ aborter }) => aborter.abort() },
  'the job is removed': { act: ({ a, heavy }) => a.remove(heavy) },
  'the job is removed by another object': { act: ({ looker, heavy }) => looker.remove(heavy.id) },
  'the job is put off': { act: ({ a, heavy }) => a.reschedule(heavy, '1h') },
  'the job is put off by another object': { act: ({ looker, heavy }) => looker.reschedule(heavy.id, '1h') },
  'it is cleared': { act: ({ a }) => a.clear() },
  'it is cleared by another object': { act: ({ looker }) => looker.clear() },
  'the key of the job is cleared': { act: ({ a }) => a.key('k').clear() },
  'its global width is lowered': { act: ({ a }) => (a.globalWidth = 2), options: global },
  'its global width is lowered by another object': { act: ({ looker }) => (looker.globalWidth = 2), options: global },
  'another global width is declared': { act: ({ open }) => open('a', { globalWidth: 2 }, null), options: global },
  'it has no such rule any more': { act: ({ a }) => (a.rate = undefined) },
  'it has a rule of another name': { act: ({ a }) => (a.rate = { ...rate, name: 'other' }) },
  'another object has taken the rule from it': { act: ({ looker }) => (looker.rate = undefined) },
  'another rule is declared for it': { act: ({ open }) => open('a', { rate: { limit: 9, per: 1 } }, null) },
  'the key of the job is paused': { act: ({ a }) => a.key('k').pause(), options: keyed },
  'the key of the job is paused by another object': { act: ({ looker }) => looker.key('k').pause(), options: keyed },
  'the key of the job is paused where keys are not declared': { act: ({ a }) => a.key('k').pause() },
  'the key of the job has a width of 0': { act: ({ a }) => (a.key('k').width = 0), options: keyed },
  'the key of the job has its width': { act: ({ a }) => (a.key('k').width = 2), options: keyed },
  'the key of the job has its width by another object': {
    act: ({ looker }) => (looker.key('k').width = 2),
    options: keyed,
  },
  'another width is declared for keys': { act: ({ open }) => open('a', { keys: { width: 2 } }, null), options: keyed },
  'keys are declared': { act: ({ open }) => open('a', { keys: { width: 2 } }, null) },
  'its rule is lowered below the cost of the job': {
    act: ({ a, b }) => {
      a.on('failed', () => {})
      b.rate = { ...rate, limit: 8 }
    },
  },
  'Throttled holds the key of the job': { act: ({ throws }) => throws(new Throttled('1h', { key: true })) },
  'Throttled holds the key of the job, declared': {
    act: ({ throws }) => throws(new Throttled('1h', { key: true })),
    options: keyed,
  },
  'Throttled holds it': { act: ({ throws }) => throws(new Throttled('1h')) },
  'Throttled holds it, and its width is taken': {
    act: ({ a, throws }) => {
      a.width = 2
      throws(new Throttled('1h'))
    },
  },
}
for (const [cause, { options, act }] of Object.entries(causes)) {
  test(`turns: a queue is not waited for if ${cause}`, async t => {
    const parts = await waiting(options)

    await act(parts)

    t.true(await parts.lightStarts())
  })
}
