import { type Limited, Throttled } from '../../lib/index.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

/** The first of two jobs of the key 'acme' is told to wait for ten hours, of which `maxHold` leaves a minute. */
async function held(key: string | undefined, options: object) {
  const clock = new VirtualClock()
  const handler = scripted<string, void>()
  const queue = new DispatchQueue<string, void>(handler, { clock, maxHold: '1m', ...options })
  const limited: Limited[] = []
  queue.on('limited', one => limited.push(one))
  await queue.putMany(['a', 'b'], { key: 'acme' })
  await clock.advance(0)
  const until = clock.wall() + 60_000
  handler.underway[0]?.fail(new Throttled('10h', { key }))
  await clock.advance(1)
  const [job] = await queue.jobs({ state: 'pending' })
  const { why, key: of, rule, notBefore } = await queue.explain(job as never)
  await clock.advance(59_998)
  const before = handler.underway.length
  await clock.advance(1)
  const [again] = handler.underway
  return { limited, why, of, rule, until, notBefore, before, again: again?.payload }
}

const places = {
  'without keys': {},
  'where keys share': { keys: {} },
  'beside a rule': { rate: { limit: 100, per: '1s' } },
}
for (const [place, options] of Object.entries(places)) {
  test(`hold: a hold of the whole queue is capped, explained and emitted by the event limited, ${place}`, async t => {
    const { limited, why, of, rule, until, notBefore, before, again } = await held(undefined, options)

    t.deepEqual([why, of, rule, notBefore], ['hold', undefined, undefined, until])
    t.deepEqual(limited, [{ rule: undefined, until }])
    t.deepEqual([before, again], [0, 'a'])
  })
  test(`hold: a hold of a key is capped and explained, ${place}`, async t => {
    const { why, of, rule, until, notBefore, before, again } = await held('acme', options)

    t.deepEqual([why, of, rule, notBefore], ['hold', 'acme', undefined, until])
    t.deepEqual([before, again], [0, 'a'])
  })
}

test('hold: where keys take turns, `limited` reports the hold of a key with its name', async t => {
  const { limited, until } = await held('acme', { keys: {} })

  t.deepEqual(limited, [{ rule: undefined, key: 'acme', until }])
})
