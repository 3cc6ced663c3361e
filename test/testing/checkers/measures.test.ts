import test from 'ava'
import { HistoryBuilder } from '../../../testing/history-builder.ts'
import { check } from '../../../testing/index.ts'
import { checkerTests } from '../../support/checker-tests.ts'

const I20 = checkerTests('I20')
I20.right('what is measured is within its bound', history =>
  history.add({ kind: 'measured', what: 'timers', value: 3, most: 3 }),
)
I20.wrong('more than there may be', /timers is 4, more than 3/, history =>
  history.add({ kind: 'measured', what: 'timers', value: 4, most: 3 }),
)

const I21 = checkerTests('I21')
I21.right('a whole file', history => history.add({ kind: 'file', path: 'jobs.db', wrong: [] }))
I21.wrong('a broken file', /jobs\.db: integrity/, history =>
  history.add({ kind: 'file', path: 'jobs.db', wrong: ['integrity: row 1 missing'] }),
)

test('I22: two runs are equal, or differ from an entry on', t => {
  const one = (): HistoryBuilder => new HistoryBuilder().opened().put('a')

  t.deepEqual(check(one(), { rerun: one() }).violations, [])
  t.is(check(one(), { rerun: one() }).judged.I22, 1)
  const { violations } = check(one().start('a'), { rerun: one().at(1).start('a') })
  t.deepEqual(
    violations.map(({ invariant, message }) => [invariant, message]),
    [['I22', 'the runs part at entry 5']],
  )
  t.is(check(one().start('a'), { rerun: one() }).violations.length, 1)
})
