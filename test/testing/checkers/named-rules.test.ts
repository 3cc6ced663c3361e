import type { RateRule } from '../../../lib/rate/rules.ts'
import type { Opened } from '../../../testing/entry.ts'
import { type HistoryBuilder, ruleOf } from '../../../testing/history-builder.ts'
import { checkerTests } from '../../support/checker-tests.ts'

const gateway = (limit: number, perMs = 100, more: Partial<RateRule> = {}): RateRule =>
  ruleOf(limit, perMs, { name: 'gateway', ...more })
const tokens = { unit: 'tokens' }

/** Two queues, each in a process of its own, that share a rule. */
function both(history: HistoryBuilder, rule: RateRule, facts: Partial<Opened> = {}): HistoryBuilder {
  const opened = { width: 10, rules: [rule], ...facts }
  return history.of('r').in('b').opened(opened).of('q').in('a').opened(opened)
}
const starts = (history: HistoryBuilder, ...jobs: readonly string[]): HistoryBuilder =>
  jobs.reduce((history, job) => history.put(job).start(job), history)

const I29 = checkerTests('I29')
I29.right('as many starts of all queues as the limit, in any window', history =>
  starts(
    starts(both(history, gateway(2)), 'a')
      .of('r')
      .in('b')
      .at(50),
    'a',
  )
    .of('q')
    .in('a')
    .at(100)
    .put('b')
    .start('b'),
)
I29.right('queues without the rule start as they like', history =>
  starts(
    starts(both(history, gateway(1)), 'a')
      .of('s')
      .in('c')
      .opened({ width: 9 }),
    'b',
    'c',
  ),
)
I29.right('the last declaration holds for all', history =>
  starts(
    starts(both(history, gateway(1)), 'a')
      .of('r')
      .in('c')
      .at(10)
      .opened({ width: 9, rules: [gateway(3)] })
      .at(60),
    'b',
    'c',
  ),
)
I29.right('a repeated declaration leaves in force what was set', history =>
  starts(
    both(history, gateway(1))
      .add({ kind: 'rate', rules: [gateway(3)] })
      .of('r')
      .in('c')
      .opened({ width: 9, rules: [gateway(1)] })
      .at(60),
    ...['a', 'b', 'c'],
  ),
)
I29.right('a queue that was given other rules counts no more', history =>
  starts(both(history, gateway(1)).add({ kind: 'rate', rules: [] }).at(60), 'a', 'b', 'c')
    .of('r')
    .in('b')
    .put('d')
    .start('d'),
)
I29.right('a hold ends at its time, and holds no queue without the rule', history =>
  starts(both(history, gateway(9)), 'a')
    .release('a', { code: 'THROTTLED', afterMs: 50, heldRule: 'gateway' })
    .emitted('pending', 'a')
    .of('s')
    .in('c')
    .opened()
    .at(20)
    .put('c')
    .start('c')
    .of('r')
    .in('b')
    .at(50)
    .put('b')
    .start('b'),
)
I29.wrong(
  'one start more than the limit, in another queue',
  /job b of r started by rule gateway, and with it 2 starts/,
  history =>
    starts(
      starts(both(history, gateway(1)), 'a')
        .of('r')
        .in('b')
        .at(99),
      'b',
    ),
)
I29.wrong('one that was set and is exceeded in another queue', /and with it 2 starts/, history => {
  const opened = { width: 10, rules: [gateway(2)] }
  history.opened(opened).of('r').in('b').opened(opened).of('q').in('a')
  history.add({ kind: 'rate', rules: [gateway(1)] }).at(60)
  return starts(starts(history, 'a').of('r').in('b'), 'b')
})
I29.wrong('units of two queues above the limit', /and with it 12 tokens/, history =>
  both(history, gateway(10, 100, tokens))
    .put('a', { cost: { tokens: 6 } })
    .start('a')
    .of('r')
    .in('b')
    .put('a', { cost: { tokens: 6 } })
    .start('a'),
)
I29.right('units of two queues with one id each up to the limit', history =>
  both(history, gateway(10, 100, tokens))
    .put('a', { cost: { tokens: 9 } })
    .start('a')
    .of('r')
    .in('b')
    .put('a', { cost: { tokens: 1 } })
    .start('a'),
)
I29.right('a Throttled that was thrown once the time of the attempt was over holds nothing', history =>
  starts(both(history, gateway(9)), 'a')
    .release('a', { code: 'THROTTLED', afterMs: 50, heldRule: 'gateway' })
    .emitted('retry', 'a', { delayMs: 5 })
    .emitted('delayed', 'a')
    .of('r')
    .in('b')
    .at(20)
    .put('b')
    .start('b'),
)
I29.wrong(
  'a start of another queue while the rule is held',
  /job b of r started before 50 ms, until when gateway is held/,
  history =>
    starts(both(history, gateway(9)), 'a')
      .release('a', { code: 'THROTTLED', afterMs: 50, heldRule: 'gateway' })
      .emitted('pending', 'a')
      .of('r')
      .in('b')
      .at(49)
      .put('b')
      .start('b'),
)
I29.wrong('a window that its jitter lengthens', /and with it 2 starts lie within 120 ms/, history =>
  starts(
    starts(both(history, gateway(1, 100, { jitterMs: 20 })), 'a')
      .of('r')
      .in('b')
      .at(110),
    'b',
  ),
)

const I30 = checkerTests('I30')
/** Queue q starts so many jobs, one at each end of a window, while r waits with its own. */
function inTurn(history: HistoryBuilder, ofQ: number, order = 'q'.repeat(ofQ)): HistoryBuilder {
  both(history, gateway(1))
  history.of('r').in('b').put('waits').put('waits too')
  const left = ['waits', 'waits too']
  for (const [i, queue] of [...order].entries()) {
    history.at(100 * i)
    const job = queue === 'q' ? `j${i}` : (left.shift() as string)
    history.of(queue).in(queue === 'q' ? 'a' : 'b')
    if (queue === 'q') history.put(job)
    history.start(job).end(job)
  }
  return history.at(100 * order.length)
}
I30.right('queues that start by turns', history => inTurn(history, 0, 'qrqr'))
I30.right('another queue may be ahead by its room', history => inTurn(history, 4))
I30.wrong('a queue that starves', /queue q started 4 jobs by rule gateway while r waited and started 0/, history =>
  inTurn(history, 5),
)
I30.right('a queue that has only this job to start does not wait', history =>
  inTurn(both(history, gateway(1)), 0, 'rrqqqqq'),
)
I30.wrong(
  'a rule that is not used',
  /job a of q could have started by rule gateway at 100 ms and had not by 400 ms/,
  history =>
    starts(both(history, gateway(1)).of('r').in('b'), 'b')
      .of('q')
      .in('a')
      .put('a')
      .at(400)
      .start('a'),
)
/** A job of one unit waits until `atMs`, because another queue waits with one that takes all 8. */
const besideHeavy = (history: HistoryBuilder, atMs: number): HistoryBuilder =>
  both(history, gateway(8, 400, { unit: 'tokens' }))
    .in('a')
    .put('first', { cost: { tokens: 4 } })
    .start('first')
    .end('first')
    .of('r')
    .in('b')
    .put('heavy', { cost: { tokens: 8 } })
    .of('q')
    .in('a')
    .put('light', { cost: { tokens: 1 } })
    .at(atMs)
    .start('light')
I30.right('for a window, a job leaves the capacity of a rule of units to a heavier one of another queue', history =>
  besideHeavy(history, 640),
)
I30.wrong(
  'a job that leaves the capacity of a rule of units to a heavier one for longer than a window',
  /job light of q could have started by rule gateway at 0 ms and had not by 900 ms/,
  history => besideHeavy(history, 900),
)
I30.right('a rule that is held is not used', history =>
  starts(both(history, gateway(1)).of('r').in('b'), 'b')
    .release('b', { code: 'THROTTLED', afterMs: 390, heldRule: 'gateway' })
    .emitted('pending', 'b')
    .of('q')
    .in('a')
    .put('a')
    .at(400)
    .start('a'),
)

const I5 = checkerTests('I5')
I5.right('a named rule is left to I29, and the rules of the queue hold beside it', history =>
  starts(both(history, gateway(1), { rules: [gateway(1), ruleOf(2, 100)] }), 'a', 'b'),
)
I5.wrong('the rules of the queue beside a named one', /and with it 3 starts/, history =>
  starts(both(history, gateway(1), { rules: [gateway(1), ruleOf(2, 100)] }), 'a', 'b', 'c'),
)
