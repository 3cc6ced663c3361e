/** Four processes on two queues that share a named rule, killed between claim and launch, and judged by brute force. */
import test from 'ava'
import { endAll, type Line } from '../support/worker-pool.ts'
import { dieWithSharedRule, limitsExceeded } from './shared-rule.ts'

test.after.always('no process stays, and no file', endAll)

test('the brute force finds a window of a shared rule that is too full, and a width that is exceeded', t => {
  const line = (atMs: number, what: string, job: string): Line => ({ atMs, who: 'w', what, job, more: '1' })
  const starts = (queue: string, count: number, everyMs: number): Line[] =>
    Array.from({ length: count }, (_, i) => line(i * everyMs, 'start', `${queue}-${i}`))
  const ended = (lines: readonly Line[]): Line[] =>
    lines.flatMap(of => [of, { ...of, atMs: of.atMs + 1, what: 'over' }])

  t.deepEqual(limitsExceeded(ended([...starts('mail', 12, 160), ...starts('sms', 12, 160)])), [])
  t.regex(limitsExceeded(ended([...starts('mail', 13, 150), ...starts('sms', 12, 150)])).join(), /rule gateway.*: 25/)
  t.regex(limitsExceeded(starts('mail', 5, 10)).join(), /bodies of mail at once: 5, and 4 are allowed/)
  t.regex(limitsExceeded([0, 2, 4].map(i => line(i, 'start', `sms-${i}`))).join(), /bodies of key a of sms at once: 3/)
  t.regex(
    limitsExceeded(ended(Array.from({ length: 9 }, (_, i) => line(i * 10, 'start', `sms-${i * 5}`)))).join(),
    /starts of key a of sms in one window: 9/,
  )
})

test('processes that die between claim and launch exceed no window of a named rule and no width, and all jobs finish', async t => {
  const wrong = await dieWithSharedRule({
    mail: [
      { at: 'underway', nth: 3 },
      { at: 'committed', of: 'claim' },
    ],
    sms: [{ at: 'underway' }, { at: 'start', nth: 4 }],
  })

  t.deepEqual(wrong, [])
})
