/** The notices of a reply: which runs are lost, once, and which jobs have lost nothing. */
import test from 'ava'
import type { Exchange, Settlement } from '../../../lib/backlog.ts'
import { JobRecord } from '../../../lib/job.ts'
import { CheckpointValue } from '../../../lib/text/checkpoint-value.ts'
import { IdentityMap } from '../../../persistence/durable/identity-map.ts'
import { noticesOf } from '../../../persistence/durable/notices.ts'
import type { JobRow } from '../../../persistence/durable/store.ts'

const reported = {
  lostRuns: [1],
  within: [],
  recovered: [],
  endedByRecovery: [],
  droppedReports: 0,
  needVerdict: [],
  cancelRequests: [],
}
const unread = (): never => {
  throw new Error('there are no rows')
}
const unreadable = { recordOf: unread, seen: unread }
const row = (parts: Partial<JobRow>): JobRow => ({ seq: 1, fence: 1, state: 'pending', ...parts }) as JobRow

/** A job that is underway here by its first fence. */
function underway() {
  const identities = new IdentityMap()
  const record = new JobRecord('a', null, 0, 0)
  record.seq = record.fence = 1
  identities.claim(record)
  const notices = (settled: Settlement[] = [], checkpoints: Exchange['checkpoints'] = []) =>
    noticesOf({ notices: reported, lost: new Set([1]), settled, checkpoints, identities, records: unreadable })
  return { identities, record, notices }
}

test('notices: a lost run is reported once, however many exchanges find out, and nothing of it is stored', t => {
  const { identities, record, notices } = underway()
  const checkpoint = { record, fence: 1, value: CheckpointValue.of(0, true) }
  const ending = { record, fence: 1, kind: 'finished' } as Settlement

  t.like(notices([], [checkpoint]), { lostRuns: [record], ignoredSettles: [], ignoredCheckpoints: [] })
  t.false(identities.runsHere(record))
  t.like(notices([ending], [checkpoint]), { lostRuns: [], ignoredSettles: [ending], ignoredCheckpoints: [checkpoint] })
})

test('notices: a claim is lost too if its job was about to go back without a launch', t => {
  const { identities, record, notices } = underway()
  const back = { record, fence: 1, kind: 'notLaunched' } as Settlement

  t.like(notices([back]), { lostRuns: [record], ignoredSettles: [] })
  t.false(identities.runsHere(record))
})

test('notices: the ignored ending of an older run does not end the current one', t => {
  const { identities, record, notices } = underway()
  record.fence = 2
  identities.claim(record)
  const old = { record, fence: 1, kind: 'finished' } as Settlement

  t.like(notices([old]), { lostRuns: [record], ignoredSettles: [old] })
})

test('notices: a run whose job has ended elsewhere and is forgotten here is ignored', t => {
  const { identities, record, notices } = underway()
  identities.end(record, false)
  const late = { record, fence: 1, kind: 'failed' } as Settlement

  t.like(notices([late]), { lostRuns: [], ignoredSettles: [late] })
})

test('notices: a job that was taken from this process is lost at once, and one that it has claimed again is not', t => {
  for (const [parts, lost] of [
    [{ state: 'pending' }, 1],
    [{ state: 'failed' }, 1],
    [{ state: 'underway', fence: 2 }, 1],
    [{ state: 'underway' }, 0],
  ] as const) {
    const { identities, record } = underway()
    const notices = { ...reported, lostRuns: [], recovered: [row(parts)] }
    const { lostRuns: gone, recovered } = noticesOf({
      ...{ notices, lost: new Set<number>(), settled: [], checkpoints: [], identities },
      records: { recordOf: () => record, seen: () => record },
    })

    t.deepEqual([gone.length, recovered.length, identities.runsHere(record)], [lost, 1, lost === 0])
  }
})
