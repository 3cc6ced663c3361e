/** The rules of the contract of backlogs, as lib/backlog.ts states them, and the suites that test them. */
import test from 'ava'
import { backlogContract, sharedBacklogContract } from '../../testing/index.ts'
import { textOf } from '../support/repository.ts'

/** Rules that no suite of backlogs can test, and what does. */
const elsewhere: Readonly<Record<string, string>> = {
  B7: 'what a backlog can never store is its own: test/lib/dispatch/exchange-splitter.test.ts, test/persistence/sqlite/store/refused.test.ts',
}

const numbers = (text: string): string[] => [...text.matchAll(/\bB\d+(?=[.:])/g)].map(([number]) => number)

test('contract: each rule has a test that names it, and each test names a rule', t => {
  const [, page = ''] = /# What a backlog owes its queue([\s\S]*?)\*\//.exec(textOf('lib/backlog.ts')) ?? []
  const rules = numbers(page)
  const titles = [...backlogContract, ...sharedBacklogContract].map(({ title }) => title)
  const tested = new Set(titles.flatMap(title => numbers(title).slice(0, 1)))

  t.deepEqual(
    rules.toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1))),
    rules.map((_, i) => `B${i + 1}`),
  )
  t.deepEqual(
    rules.filter(rule => !tested.has(rule) && elsewhere[rule] === undefined),
    [],
  )
  t.deepEqual(
    titles.filter(title => !rules.some(rule => title.startsWith(`${rule}: `))),
    [],
  )
  t.deepEqual(
    Object.keys(elsewhere).filter(rule => !rules.includes(rule) || tested.has(rule)),
    [],
  )
})
