import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import { Suspects } from '../../../persistence/memory/suspects.ts'

let seq = 0
const suspect = (name: string, crashes: number, priority = 0): JobRecord => {
  const record = new JobRecord(name, name, priority, 0)
  record.seq = ++seq
  record.ensureExtras().crashes = crashes
  return record
}
const room = { beside: 2, alone: 1 }

function taken(suspects: Suspects, other: JobRecord | undefined, now = 0): string[] {
  const candidates = suspects.candidates(room, 3, other, now)
  const names: string[] = []
  for (let next = candidates.next(other); next; next = candidates.next(other)) names.push(next.id)
  return names
}

test('suspects: those with fewer crashes first, and only as many as fit, beside others and alone', t => {
  const suspects = new Suspects()
  for (const one of [suspect('d', 2), suspect('a', 1), suspect('b', 1), suspect('c', 1), suspect('e', 2)])
    suspects.push(one, 0)

  // `c` and `e` find no room.
  t.deepEqual(taken(suspects, undefined, 10_000), ['a', 'b', 'd'])
  t.deepEqual([suspects.size, suspects.before(suspects.jobs()[1] as JobRecord)], [5, 0])
})

test('suspects: one that crashed often lets others go first for a while, and not for ever', t => {
  const suspects = new Suspects()
  const [often, other] = [suspect('often', 2), suspect('other', 0)]
  suspects.push(often, 0)

  t.deepEqual(taken(suspects, other, 500), [])
  t.deepEqual(taken(suspects, other, 2_000), ['often'])
  t.true(suspects.remove(often))
  t.false(suspects.remove(often))
  t.deepEqual(taken(suspects, undefined), [])
})
