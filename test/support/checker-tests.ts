/** Tests of a checker: correct histories, which it must have judged, and wrong ones, each as small as possible. */
import test from 'ava'
import { HistoryBuilder } from '../../testing/history-builder.ts'
import { type CheckOptions, check, type Invariant } from '../../testing/index.ts'

export interface CheckerTests {
  /** The history holds, and the checker had something to judge. */
  right(title: string, write: (history: HistoryBuilder) => HistoryBuilder, options?: CheckOptions): void
  /** The checker finds it, and says so. */
  wrong(
    title: string,
    message: RegExp,
    write: (history: HistoryBuilder) => HistoryBuilder,
    options?: CheckOptions,
  ): void
}

export function checkerTests(invariant: Invariant): CheckerTests {
  return {
    right: (title, write, options) =>
      test(`${invariant}: ${title}`, t => {
        const { violations, judged } = check(write(new HistoryBuilder()), options)

        t.deepEqual(
          violations.filter(violation => violation.invariant === invariant),
          [],
        )
        t.true(judged[invariant] > 0, 'there was nothing to judge')
      }),
    wrong: (title, message, write, options) =>
      test(`${invariant}: ${title}`, t => {
        const { violations } = check(write(new HistoryBuilder()), options)

        const found = violations.filter(violation => violation.invariant === invariant)
        t.is(found.length, 1)
        t.regex(found[0]?.message ?? '', message)
      }),
  }
}
