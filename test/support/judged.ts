/** Tests of a checker: histories that are right and that it must have judged, and wrong ones, each the smallest. */
import test from 'ava'
import { type CheckOptions, check, type Invariant } from '../../testing/index.ts'
import { Pen } from '../../testing/pen.ts'

export interface Judged {
  /** The history holds, and the checker had something to judge. */
  right(title: string, write: (pen: Pen) => Pen, options?: CheckOptions): void
  /** The checker finds it, and says so. */
  wrong(title: string, message: RegExp, write: (pen: Pen) => Pen, options?: CheckOptions): void
}

export function judged(invariant: Invariant): Judged {
  return {
    right: (title, write, options) =>
      test(`${invariant}: ${title}`, t => {
        const { violations, judged } = check(write(new Pen()), options)

        t.deepEqual(
          violations.filter(violation => violation.invariant === invariant),
          [],
        )
        t.true(judged[invariant] > 0, 'there was nothing to judge')
      }),
    wrong: (title, message, write, options) =>
      test(`${invariant}: ${title}`, t => {
        const { violations } = check(write(new Pen()), options)

        const found = violations.filter(violation => violation.invariant === invariant)
        t.is(found.length, 1)
        t.regex(found[0]?.message ?? '', message)
      }),
  }
}
