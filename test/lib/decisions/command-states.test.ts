import test from 'ava'
import {
  cancelEffect,
  isWaiting,
  knownJob,
  refuseByState,
  type StateCommand,
} from '../../../lib/decisions/command-states.ts'
import { JobStateError, JobUnknownError } from '../../../lib/errors.ts'
import type { JobState } from '../../../lib/job.ts'

const states: readonly JobState[] = ['pending', 'delayed', 'underway', 'finished', 'failed', 'cancelled']
const accepted: Readonly<Record<StateCommand, readonly JobState[]>> = {
  reprioritize: ['pending', 'delayed'],
  reschedule: ['pending', 'delayed'],
  promote: ['pending', 'delayed'],
  retry: ['failed', 'cancelled'],
  remove: ['pending', 'delayed', 'finished', 'failed', 'cancelled'],
}

for (const command of Object.keys(accepted) as StateCommand[]) {
  test(`commands: ${command} is accepted by jobs that are ${accepted[command].join(', ')}`, t => {
    for (const state of states) {
      if (accepted[command].includes(state)) t.notThrows(() => refuseByState(command, 'job', state))
      else t.throws(() => refuseByState(command, 'job', state), { instanceOf: JobStateError })
    }
  })
}

test('commands: a refusal names the command, the job, its state and the states that would do', t => {
  t.throws(() => refuseByState('retry', 'a', 'underway'), {
    message: 'cannot retry job a: it is underway, and must be failed or cancelled',
  })
})

test('commands: an unknown job is refused with the name that the caller gave', t => {
  t.throws(() => knownJob(undefined, 'a'), { instanceOf: JobUnknownError, message: /'a'/ })
  t.throws(() => knownJob(undefined, 7), { instanceOf: JobUnknownError, message: /'7'/ })
  t.is(knownJob('job', 'a'), 'job')
})

test('commands: a cancel ends a waiting job, requests the end of a run, and leaves ended jobs alone', t => {
  t.deepEqual(states.map(cancelEffect), ['ends', 'ends', 'requests', 'none', 'none', 'none'])
  t.deepEqual(states.filter(isWaiting), ['pending', 'delayed'])
})
