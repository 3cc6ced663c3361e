import test from 'ava'
import { RememberedIds } from '../../../persistence/memory/remembered-ids.ts'

const of = (id: string, forgetAt = 10) => ({ id, fingerprint: 'f', state: 'finished', forgetAt }) as const

test('remembered ids: beyond `most` the oldest are forgotten, however many are added', t => {
  const ids = new RememberedIds()
  for (let i = 0; i < 100_000; i++) ids.add(of(`${i}`), 1_000)

  t.is(ids.size, 1_000)
  t.is(ids.recall('98999', 0), undefined)
  t.truthy(ids.recall('99000', 0))
  ids.add(of('none'), 0)
  t.is(ids.size, 0)
})

test('remembered ids: a freed id that is added again counts as the youngest', t => {
  const ids = new RememberedIds()
  for (const id of ['a', 'b', 'c']) ids.add(of(id), 3)

  t.true(ids.forget('a', 0))
  t.false(ids.forget('a', 0))
  ids.add(of('a'), 3)
  ids.add(of('d'), 3)

  t.deepEqual(
    ['a', 'b', 'c', 'd'].filter(id => ids.recall(id, 0)),
    ['a', 'c', 'd'],
  )
})

test('remembered ids: pruning forgets a bounded number of expired and surplus ids', t => {
  const ids = new RememberedIds()
  for (const [id, forgetAt] of [
    ['a', 1],
    ['b', 1],
    ['c', 5],
    ['d', 5],
  ] as const)
    ids.add(of(id, forgetAt), Infinity)

  ids.prune(1, 1, Infinity)
  t.is(ids.size, 3)
  ids.prune(1, 9, Infinity)
  t.is(ids.size, 2)
  ids.prune(1, 9, 1)
  t.truthy(ids.recall('d', 1))
  t.is(ids.size, 1)
  ids.prune(5, 9, Infinity)
  t.is(ids.size, 0)
})

test('remembered ids: freed ids leave no lasting gaps, and each gap is passed once', t => {
  const ids = new RememberedIds()
  // To walk over all gaps each time would take minutes, in which ava gives up.
  for (let i = 0; i < 300_000; i++) {
    ids.add(of(`${i}`), Infinity)
    if (i % 100 !== 0) ids.forget(`${i}`, 0)
  }

  t.is(ids.size, 3_000)
  ids.prune(10, 8_000, Infinity)
  t.is(ids.size, 0)
})
