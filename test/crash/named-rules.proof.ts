/** As named-rules.test.ts, with points of all kinds: `RULE_SEED` chooses them. */
import test from 'ava'
import type { KillPoint } from '../support/kill-point.ts'
import { randomOf } from '../support/random.ts'
import { endAll } from '../support/worker-pool.ts'
import { dieWithSharedRule } from './shared-rule.ts'

test.after.always('no process stays, and no file', endAll)

const seed = Number(process.env.RULE_SEED ?? 1)
const rounds = 8

test('processes that die at any point of a claim, a launch or an ending exceed no limit, and all jobs finish', async t => {
  t.timeout(rounds * 60_000)
  const random = randomOf(seed)
  const nth = (most: number): number => 1 + Math.floor(random() * most)
  const point = (): KillPoint => {
    const points: readonly KillPoint[] = [
      { at: 'underway', nth: nth(6) },
      { at: 'start', nth: nth(6) },
      { at: 'end', nth: nth(4) },
      { at: 'finished', nth: nth(4) },
      { at: 'committed', of: 'claim' },
      { at: 'committed', of: 'settle' },
      { at: 'statement', of: 'claim', nth: nth(12) },
      { at: 'statement', of: 'any', nth: 60 + nth(400) },
    ]
    return points[Math.floor(random() * points.length)] as KillPoint
  }
  for (let round = 0; round < rounds; round++) {
    const points = { mail: [point(), point()], sms: [point(), point()] }
    const wrong = await dieWithSharedRule(points)
    t.deepEqual(wrong, [], `RULE_SEED=${seed}, round ${round}: ${JSON.stringify(points)}`)
  }
})
