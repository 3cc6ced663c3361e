/** A contract as a suite: tests with titles, for any test runner. */

/** The assertions that the tests of a contract use. The `t` of ava has all of them. */
export interface Assert {
  is(actual: unknown, expected: unknown, message?: string): unknown
  deepEqual(actual: unknown, expected: unknown, message?: string): unknown
  /** Every part named in `expected` must match; an array is compared as a whole. */
  like(actual: unknown, expected: object, message?: string): unknown
  true(actual: unknown, message?: string): unknown
  truthy(actual: unknown, message?: string): unknown
  false(actual: unknown, message?: string): unknown
  /** Resolves with the error with which `run` rejected, which must have that code. */
  throwsAsync(run: () => Promise<unknown>, expected: { readonly code: string }, message?: string): Promise<unknown>
}

/** One sentence of a contract. `subject` creates the thing under test; each test creates its own. */
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

/** Whether the promise rejects, with any error. */
export async function rejects(answer: Promise<unknown>): Promise<boolean> {
  return await answer.then(
    () => false,
    () => true,
  )
}
