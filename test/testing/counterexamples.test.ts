import test from 'ava'
import { check, counterexamples } from '../../testing/index.ts'

/** A job that is gone is missing in the sum as well. */
const alike: Readonly<Record<string, readonly string[]>> = { I1: ['I15'] }

for (const { name, source, breaks, entries } of counterexamples) {
  test(`counter-example: ${name} (${source}): ${breaks} finds it, and no other`, t => {
    const { violations } = check(entries)

    const found = new Set<string>(violations.map(({ invariant }) => invariant))
    t.true(found.delete(breaks))
    t.deepEqual(
      [...found].filter(other => !alike[breaks]?.includes(other)),
      [],
    )
  })
}

test('counter-example: each has a name of its own', t => {
  t.is(new Set(counterexamples.map(({ name }) => name)).size, counterexamples.length)
})
