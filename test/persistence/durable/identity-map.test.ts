/** The records that are followed: held while underway or waited for, and as long as their jobs are held otherwise. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import { IdentityMap } from '../../../persistence/durable/identity-map.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

const record = (seq: number): JobRecord => Object.assign(new JobRecord(`id${seq}`, seq, 0, 0), { seq })

test('identity map: an unreferenced record is forgotten, unless its job is underway or awaited', async t => {
  const identities = new IdentityMap()
  const mine = record(1)
  identities.put(mine)
  for (let seq = 2; seq <= 10_000; seq++) {
    const other = record(seq)
    if (seq === 7) void other.ensureLive()
    identities.put(other)
    if (seq === 8) identities.claim(other)
    if (seq === 9) identities.follow(other)
  }
  await turn()
  collect()
  for (let seq = 20_000; seq < 30_000; seq++) identities.put(record(seq))
  await turn()
  collect()

  t.is(identities.get(1), mine)
  t.deepEqual(
    [7, 8, 9].map(seq => identities.get(seq)?.id),
    ['id7', 'id8', 'id9'],
  )
  t.is(identities.get(500), undefined)
  t.true(identities.size < 10_100, `${identities.size}`)
  t.is(identities.bodies, 1)
})
test('identity map: an ended job stays only if it is kept', t => {
  const identities = new IdentityMap()
  const [kept, gone] = [record(1), record(2)]
  for (const one of [kept, gone]) identities.claim(one)
  identities.end(kept, true)
  identities.end(gone, false)
  t.deepEqual([identities.get(1), identities.get(2), identities.bodies], [kept, undefined, 0])
})
