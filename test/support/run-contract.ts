/** Registers the tests of a contract with ava, for one subject. */
import test from 'ava'
import type { ContractTest } from '../../testing/contract/contract.ts'

export function holds<Subject>(name: string, contract: readonly ContractTest<Subject>[], subject: Subject): void {
  for (const { title, run } of contract) test(`${name}: ${title}`, t => run(t, subject))
}
