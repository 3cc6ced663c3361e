import test from 'ava'
import { freeSlots } from '../../../lib/limits/global-width.ts'

test('global width: as many slots are free as bodies may still run, and never less than none', t => {
  t.is(freeSlots(3, 1), 2)
  t.is(freeSlots(3, 3), 0)
  t.is(freeSlots(1, 3), 0)
  t.is(freeSlots(0, 0), 0)
  t.is(freeSlots(Infinity, 1_000), Infinity)
})
