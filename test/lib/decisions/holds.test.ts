import test from 'ava'
import { hold } from '../../../lib/decisions/holds.ts'

/** What is held by the end, of a queue that has the rule 'gateway'. */
function heldBy(heldKey: string | undefined, heldRule: string | undefined): readonly string[] {
  const all: string[] = []
  hold(
    {
      queue: until => all.push(`queue until ${until}`),
      key: (key, until) => all.push(`key ${key} until ${until}`),
      rule: (name, until) => {
        if (name === 'gateway') all.push(`rule ${name} until ${until}`)
        return name === 'gateway'
      },
    },
    { heldKey, heldRule },
    50,
  )
  return all
}

test('holds: Throttled holds the queue unless it names a key or a rule', t => {
  t.deepEqual(heldBy(undefined, undefined), ['queue until 50'])
  t.deepEqual(heldBy('k', undefined), ['key k until 50'])
  t.deepEqual(heldBy(undefined, 'gateway'), ['rule gateway until 50'])
  t.deepEqual(heldBy('k', 'gateway'), ['key k until 50', 'rule gateway until 50'])
})

test('holds: Throttled holds the queue instead of a rule that the queue does not have', t => {
  t.deepEqual(heldBy(undefined, 'other'), ['queue until 50'])
  t.deepEqual(heldBy('k', 'other'), ['key k until 50', 'queue until 50'])
})
