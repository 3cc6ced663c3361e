/**
 * A strict server, ten requests per second, at the end of a way that takes some requests longer than others. In virtual
 * time; test/limit/strict-server.proof.ts does it on loopback.
 */
import test from 'ava'
import { DispatchQueue, type Rule, Throttled } from '../../lib/index.ts'
import { VirtualClock } from '../../testing/index.ts'
import { randomOf } from '../support/random.ts'
import { StrictServer } from '../support/strict-server.ts'

const limit = 10
const perMs = 1_000
/** Usually a millisecond or two, seldom more, never more than 20 apart. */
const mostMs = 20

interface Outcome {
  /** Refusals as a share of the requests. */
  readonly refused: number
  /** How much of the server's rate was used. */
  readonly used: number
  readonly jitterMs: number | undefined
}

async function send(requests: number, rule: Partial<Rule>): Promise<Outcome> {
  const clock = new VirtualClock()
  const random = randomOf(1)
  const server = new StrictServer(limit, perMs)
  const way = (): Promise<void> =>
    new Promise(resolve => {
      const ms = Math.min(0.2 - Math.log(1 - random()) * (random() < 0.01 ? 10 : 1), mostMs)
      clock.at(clock.now() + ms, () => resolve())
    })
  const queue = new DispatchQueue(
    async () => {
      await way()
      const waitMs = server.arrive(clock.now())
      await way()
      if (waitMs > 0) throw new Throttled(waitMs)
    },
    { clock, width: 100, rate: { limit, per: perMs, ...rule } },
  )
  let [ended, lastAt] = [0, 0]
  queue.on('finished', () => {
    ended++
    lastAt = clock.now()
  })
  await queue.putMany(Array.from({ length: requests }, (_, i) => i))
  while (ended < requests) await clock.advance(10 * perMs)
  const [{ jitterMs } = {}] = queue.rate as readonly { jitterMs?: number }[]
  await queue.stop()
  return { refused: server.refused / requests, used: (requests / limit) * (perMs / lastAt), jitterMs }
}

test('strict server: with the rule alone a seventh of the requests is refused', async t => {
  const { refused } = await send(1_000, {})

  t.true(refused > 0.1, `${refused}`)
})

test('strict server: with a jitter as long as the network delay varies, no request is refused', async t => {
  const { refused, used } = await send(10_000, { jitter: mostMs })

  t.is(refused, 0)
  t.true(used > 0.98, `${used}`)
})

test('strict server: with a jitter that is learned, less than 1 % is refused and more than 95 % of the rate is used', async t => {
  const { refused, used, jitterMs } = await send(10_000, { jitter: 'learn' })

  t.log(
    `refused ${(refused * 100).toFixed(2)} %, used ${(used * 100).toFixed(1)} %, learned ${jitterMs?.toFixed(1)} ms`,
  )
  t.true(refused > 0 && refused < 0.01, `${refused}`)
  t.true(used >= 0.95, `${used}`)
})
