import test from 'ava'
import { keepsWaits } from '../../../lib/decisions/waits.ts'

test('waits: only an exchange without room leaves them as they are, while slots are free and jobs may start', t => {
  t.true(keepsWaits({ room: 0, mayLaunch: true }))
  t.true(keepsWaits({ room: 0, mayLaunch: true, isFull: false }))

  t.false(keepsWaits({ room: 1, mayLaunch: true }))
  t.false(keepsWaits({ room: 0, mayLaunch: false }))
  t.false(keepsWaits({ room: 0, mayLaunch: true, isFull: true }))
})
