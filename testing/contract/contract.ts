/** A contract as a suite: tests by title, for whatever runner calls them. */

/** The assertions that the tests of a contract make. The `t` of ava has them as they are. */
export interface Assert {
  is(actual: unknown, expected: unknown, message?: string): unknown
  deepEqual(actual: unknown, expected: unknown, message?: string): unknown
  /** Every part that `expected` names is as it says; an array is compared as a whole. */
  like(actual: unknown, expected: object, message?: string): unknown
  true(actual: unknown, message?: string): unknown
  truthy(actual: unknown, message?: string): unknown
  false(actual: unknown, message?: string): unknown
  /** Resolves with the error that `run` rejected with, which has that code. */
  throwsAsync(run: () => Promise<unknown>, expected: { readonly code: string }, message?: string): Promise<unknown>
}

/** One sentence of a contract. `subject` makes what is tested: each test asks for its own. */
export interface ContractTest<Subject> {
  readonly title: string
  readonly run: (t: Assert, subject: Subject) => Promise<void>
}

/** Adds tests to the list of a contract. */
export function testsInto<Subject>(
  tests: ContractTest<Subject>[],
): (title: string, run: ContractTest<Subject>['run']) => void {
  return (title, run) => void tests.push({ title, run })
}

/** Whether that rejects, with whatever error. */
export async function rejects(answer: Promise<unknown>): Promise<boolean> {
  return await answer.then(
    () => false,
    () => true,
  )
}
