import test from 'ava'
import {
  clearRules,
  declareRules,
  isRateSet,
  type NamedRuleBook,
  type NamedSettings,
  namedInForce,
  type RuleState,
  rulesInForce,
  setRules,
  unnamed,
} from '../../../lib/decisions/rule-settings.ts'
import { parseRate, type RateRule } from '../../../lib/rate/rules.ts'

const rule = (limit: number, name?: string): readonly RateRule[] =>
  parseRate('rate', { limit, per: 1_000, ...(name !== undefined && { name }) })
const [slow, quick] = [rule(1), rule(9)]
const none = (): RuleState => ({ rules: [], declared: undefined })

/** The named rules of a backlog, with the instants of nothing. */
class Book implements NamedRuleBook {
  readonly rules = new Map<string, NamedSettings>()
  changes = 0
  settings(name: string): NamedSettings | undefined {
    return this.rules.get(name)
  }
  rule(name: string): RateRule | undefined {
    return namedInForce(this.rules.get(name))
  }
  change(name: string, settings: NamedSettings): void {
    this.changes++
    this.rules.set(name, settings)
  }
  limit(name = 'gateway'): number | undefined {
    return namedInForce(this.rules.get(name))?.limit
  }
}
const rulesNow = (state: RuleState, book: Book) => ({
  ...{ rules: rulesInForce(state.rules, book), rateIsSet: isRateSet(state, book) },
})
const gateway = (limit: number): readonly RateRule[] => rule(limit, 'gateway')

test('rules: the first declaration counts, the same one again does not, and another one replaces it', t => {
  const [state, book] = [none(), new Book()]
  declareRules(state, book, slow)
  setRules(state, book, quick)

  declareRules(state, book, slow)
  t.is(state.rules, quick)
  declareRules(state, book, undefined)
  t.is(state.rules, quick)
  declareRules(state, book, rule(5))
  t.is(state.rules[0]?.limit, 5)
})

test('rules: clearing an override restores the declared rules', t => {
  const [state, book] = [none(), new Book()]
  t.false(rulesNow(state, book).rateIsSet)
  declareRules(state, book, slow)
  t.false(rulesNow(state, book).rateIsSet)
  setRules(state, book, quick)
  t.true(rulesNow(state, book).rateIsSet)

  clearRules(state, book)

  t.deepEqual(rulesNow(state, book), { rules: slow, rateIsSet: false })
})

test('rules: an override without rules can be cleared, and lasts until the next declaration, even of the same', t => {
  const [state, book] = [none(), new Book()]
  declareRules(state, book, slow)
  setRules(state, book, [])
  t.deepEqual(rulesNow(state, book), { rules: [], rateIsSet: true })

  clearRules(state, book)
  t.deepEqual(state.rules, slow)

  setRules(state, book, [])
  declareRules(state, book, slow)
  t.deepEqual(rulesNow(state, book), { rules: slow, rateIsSet: false })
})

test('rules: the last declaration of a named rule holds for all queues', t => {
  const [a, b, book] = [none(), none(), new Book()]
  t.is(declareRules(a, book, gateway(60)), undefined)

  t.deepEqual(declareRules(b, book, gateway(30)), gateway(60))

  t.deepEqual([rulesInForce(a.rules, book), rulesInForce(b.rules, book)], [gateway(30), gateway(30)])
  t.false(rulesNow(a, book).rateIsSet)
  // Also a declaration that the queue only repeats.
  t.deepEqual(declareRules(a, book, gateway(60)), gateway(30))
  t.is(book.limit(), 60)
})

test('rules: an override of a named rule stays while queues repeat what they declared, though they differ', t => {
  const [a, b, c, book] = [none(), none(), none(), new Book()]
  declareRules(a, book, gateway(60))
  declareRules(b, book, gateway(30))
  setRules(a, book, gateway(2))
  t.is(book.limit(), 2)

  declareRules(a, book, gateway(60))
  declareRules(b, book, gateway(30))
  declareRules(c, book, gateway(30))

  t.is(book.limit(), 2)
  t.true(rulesNow(c, book).rateIsSet)
  declareRules(b, book, gateway(7))
  t.is(book.limit(), 7)
  t.false(rulesNow(a, book).rateIsSet)
})

test('rules: an override of a named rule is cleared through any queue that has it, for all', t => {
  const [a, b, book] = [none(), none(), new Book()]
  declareRules(a, book, gateway(60))
  declareRules(b, book, [...slow, ...gateway(60)])
  setRules(a, book, gateway(2))

  clearRules(b, book)

  t.is(book.limit(), 60)
  t.deepEqual(b.rules, [...slow, ...gateway(60)])
})

test('rules: setting what is declared is no override, and changes nothing', t => {
  const [a, book] = [none(), new Book()]
  declareRules(a, book, gateway(60))
  const { changes } = book

  setRules(a, book, gateway(60))

  t.is(book.changes, changes)
  t.false(rulesNow(a, book).rateIsSet)
})

test('rules: a rule that was only set is in force, and is gone when that is cleared', t => {
  const [a, book] = [none(), new Book()]
  declareRules(a, book, slow)
  setRules(a, book, [...slow, ...gateway(3)])
  t.is(book.limit(), 3)

  clearRules(a, book)

  t.is(book.limit(), undefined)
  t.deepEqual(rulesNow(a, book), { rules: slow, rateIsSet: false })
})

test('rules: named rules are distinguished from those of a queue alone', t => {
  t.is(unnamed(slow), slow)
  t.deepEqual(unnamed([...slow, ...gateway(3)]), slow)
})
