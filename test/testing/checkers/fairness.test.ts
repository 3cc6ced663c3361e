import type { HistoryBuilder } from '../../../testing/history-builder.ts'
import { checkerTests } from '../../support/checker-tests.ts'

/** Puts as many jobs of each key: `a1`, `a2`, … of the key a. */
function puts(on: HistoryBuilder, count: number, ...keys: readonly string[]): HistoryBuilder {
  for (const key of keys) {
    for (let i = 1; i <= count; i++) on.put(`${key}${i}`, key === '' ? {} : { key })
  }
  return on.at(1)
}
/** Starts and ends these jobs, one after the other, each after 1 ms. */
function runs(on: HistoryBuilder, ...jobs: readonly string[]): HistoryBuilder {
  let ms = 1
  for (const job of jobs) on.at(++ms).start(job).end(job)
  return on
}
const alone = { width: 1 }

const I27 = checkerTests('I27')
I27.right('keys that take turns, also the one of jobs without a key', history =>
  runs(puts(history.sharing({}, alone), 3, 'a', 'b', ''), 'a1', 'b1', '1', 'a2', 'b2', '2', 'a3', 'b3', '3'),
)
I27.right('a key starts more where another is at its width, or paused', history =>
  runs(puts(history.sharing({}, alone).key('b', { paused: true }), 4, 'a', 'b', 'c'), 'a1', 'c1', 'a2', 'c2', 'a3'),
)
I27.right('a heavy key has several turns where a light one has one', history =>
  runs(puts(history.sharing({}, alone).key('a', { weight: 3 }), 6, 'a', 'b'), 'a1', 'a2', 'a3', 'b1', 'a4', 'a5', 'a6'),
)
I27.wrong('one key has all turns', /key 'a' of weight 1 started 3 jobs while key 'b' of weight 1 waited/, history =>
  runs(puts(history.sharing({}, alone), 3, 'a', 'b'), 'a1', 'a2', 'a3'),
)
I27.wrong('jobs without a key starve', /key 'a' of weight 1 started 3 jobs while key '' of weight 1 waited/, history =>
  runs(puts(history.sharing({}, alone), 3, 'a', ''), 'a1', 'a2', 'a3'),
)
I27.wrong(
  'weights are not heeded over a long time',
  /key 'b' of weight 1 started 3 jobs while key 'a' of weight 3 waited and started 3/,
  history =>
    runs(
      puts(history.sharing({}, alone).key('a', { weight: 3 }), 6, 'a', 'b'),
      ...['a1', 'b1', 'a2', 'b2', 'a3', 'b3'],
    ),
)
