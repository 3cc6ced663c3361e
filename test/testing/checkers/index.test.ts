import test from 'ava'
import { HistoryBuilder } from '../../../testing/history-builder.ts'
import { assertHolds, check, invariants } from '../../../testing/index.ts'
import { textOf } from '../../support/repository.ts'

test('check: it reports what it read and how often each invariant was judged', t => {
  const report = check(new HistoryBuilder().opened().put('a').start('a').end('a'))

  t.is(report.entries, 9)
  t.is(report.judged.I4, 1)
  t.is(report.judged.I18, 0)
  t.deepEqual(Object.keys(report.judged), [...invariants])
})

test('check: queues of different names are judged separately', t => {
  const one = new HistoryBuilder().opened().put('a').start('a').entries
  const other = one.map(entry => ({ ...entry, seq: entry.seq + one.length, queue: 'other' }))

  t.deepEqual(check([...one, ...other]).violations, [])
})

test('check: excepted invariants are not judged', t => {
  const wrong = new HistoryBuilder().opened({ width: 0 }).put('a').start('a')

  t.deepEqual(
    check(wrong).violations.map(({ invariant }) => invariant),
    ['I4'],
  )
  t.like(check(wrong, { except: ['I4'] }), { violations: [], judged: { I4: 0 } })
})

test('assertHolds: it throws with the job, the entries and how many there are, and else answers as check does', t => {
  const wrong = new HistoryBuilder().opened({ width: 0 })
  for (let i = 0; i < 7; i++) wrong.put(`a${i}`).start(`a${i}`)

  const error = t.throws(() => assertHolds(wrong), { name: 'AssertionError' })
  t.regex(
    error?.message ?? '',
    /^I4: job a0 started while 0 ran, at a width of 0: entry 6 at 0 ms in a\n {2}\{"seq":6,/,
  )
  t.regex(error?.message ?? '', /and 2 more$/)
  t.is(assertHolds(new HistoryBuilder().opened().put('a')).entries, 4)
})

test('check: docs/reference/checkers.md names each invariant with its function, where that is, and each kind of entry', t => {
  const page = textOf('docs/reference/checkers.md')
  const table = textOf('testing/checkers/index.ts')

  for (const invariant of invariants) {
    const row = new RegExp(`^\\| \`${invariant}\` \\|.*\`(\\w+)\` in \`([\\w-]+\\.ts)\``, 'm').exec(page)
    const [, name = '', file = ''] = row ?? []
    t.true(table.includes(`${invariant}: ${name}`), `${invariant} is not ${name}`)
    t.true(textOf(`testing/checkers/${file}`).includes(`export const ${name}: Checker`), `${name} is not in ${file}`)
  }
  const kinds = [...textOf('testing/entry.ts').matchAll(/^ {2}readonly kind: (.+)$/gm)].flatMap(([, kind]) =>
    [...(kind as string).matchAll(/'(\w+)'/g)].map(([, name]) => name as string),
  )
  t.true(kinds.length > 30)
  t.deepEqual(
    kinds.filter(kind => !page.includes(`\`${kind}\``)),
    [],
  )
})
