/** The example, killed in the middle and started again: what the gateway has counted over all runs. */
import { join } from 'node:path'
import test from 'ava'
import { figure, fileWith, lines, start, temporaryFolder } from '../support/example-process.ts'

const records = 160

test('deliver: killed twice and restarted, it delivers each record once, and no window over all runs exceeds the limit', async t => {
  const file = join(temporaryFolder(t), 'deliveries.db')
  const input = fileWith(t, lines(records))
  const first = start('deliver', file, '--input', input)
  await first.line(/sent [2-9]\d/)
  first.child.kill('SIGKILL')
  t.is((await first.end()).code, null)

  // By now it is wide: the rate alone holds it back, and it has to remember the starts of the process that was killed.
  const second = start('deliver', file, '--input', input)
  const beginning = await second.line(/^An earlier run/)
  const wide = await second.line(/underway \d+ of 16/)
  second.child.kill('SIGKILL')
  await second.end()
  const { code, table } = await start('deliver', file, '--input', input).end()

  t.regex(beginning, /of its records \d+ are left/)
  t.true(figure(wide, 'recovered') >= 1 && figure(wide, 'recovered') <= 4, 'what was underway, four wide, was in doubt')
  t.is(code, 0, table)
  t.regex(table, /over 3 runs/)
  t.deepEqual([figure(table, 'delivered'), figure(table, 'duplicates'), figure(table, '429s')], [records, 0, 0])
  t.true(figure(table, 'worst window') <= 80)
})

test('deliver: after an interrupt it continues, and after the last delivery the next start begins anew', async t => {
  const file = join(temporaryFolder(t), 'deliveries.db')
  const input = fileWith(t, lines(40))
  const first = start('deliver', file, '--input', input)
  await first.line(/sent [1-9]/)
  first.child.kill('SIGINT')
  const interrupted = await first.end()
  const second = await start('deliver', file, '--input', input).end()
  const third = await start('deliver', file, '--input', input).end()

  t.regex(interrupted.output, /\d+ records wait in .*deliveries\.db\. Start again to go on\./)
  t.is(second.code, 0, second.table)
  t.deepEqual([figure(second.table, 'delivered'), figure(second.table, 'duplicates')], [40, 0])
  t.regex(second.table, /over 2 runs/)
  t.is(third.code, 0, third.table)
  t.deepEqual([figure(third.table, 'delivered'), figure(third.table, 'duplicates')], [40, 0])
  t.notRegex(third.table, /over/)
})

test('deliver: records that differ from those of the interrupted run are refused with the difference', async t => {
  const file = join(temporaryFolder(t), 'deliveries.db')
  const first = start('deliver', file, '--input', fileWith(t, lines(40)))
  await first.line(/sent [1-9]/)
  first.child.kill('SIGINT')
  await first.end()
  const other = await start('deliver', file, '--input', fileWith(t, '{"to":"somebody else"}')).end()

  t.is(other.code, 2)
  t.regex(other.output, /records\.jsonl:1' was put before with another payload/)
})

test('deliver: a file that is no backlog and a missing folder are refused', async t => {
  const input = fileWith(t, lines(1))
  const missing = await start('deliver', join(temporaryFolder(t), 'missing/deliveries.db'), '--input', input).end()
  const other = await start('deliver', fileWith(t, 'This is a letter, and no database at all.'), '--input', input).end()

  t.deepEqual([missing.code, other.code], [2, 2])
  t.regex(missing.output, /there is no folder .*missing/)
  t.regex(other.output, /it is not an SQLite database; name another file/)
})
