/** The records that are followed: held while underway or waited for, and as long as their jobs are held otherwise. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import { Followed } from '../../../persistence/durable/identity-map.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

const record = (seq: number): JobRecord => Object.assign(new JobRecord(`id${seq}`, seq, 0, 0), { seq })

test('followed: what nobody holds is let go, and what is underway or waited for is not', async t => {
  const followed = new Followed()
  const mine = record(1)
  followed.put(mine)
  for (let seq = 2; seq <= 10_000; seq++) {
    const other = record(seq)
    if (seq === 7) void other.ensureLive()
    followed.put(other)
    if (seq === 8) followed.claim(other)
    if (seq === 9) followed.hold(other)
  }
  await turn()
  collect()
  for (let seq = 20_000; seq < 30_000; seq++) followed.put(record(seq))
  await turn()
  collect()

  t.is(followed.get(1), mine)
  t.deepEqual(
    [7, 8, 9].map(seq => followed.get(seq)?.id),
    ['id7', 'id8', 'id9'],
  )
  t.is(followed.get(500), undefined)
  t.true(followed.size < 10_100, `${followed.size}`)
  t.is(followed.bodies, 1)
})
test('followed: an ended job is followed only where it is kept', t => {
  const followed = new Followed()
  const [kept, gone] = [record(1), record(2)]
  for (const one of [kept, gone]) followed.claim(one)
  followed.end(kept, true)
  followed.end(gone, false)
  t.deepEqual([followed.get(1), followed.get(2), followed.bodies], [kept, undefined, 0])
})
