/** Sets the journeys that are imported after this on the naive backlog: a database for each queue, or for those that share one. */
import { durableApart, runOn } from './backlog-under-test.ts'
import { NaiveBacklog } from './naive-backlog.ts'

runOn({
  name: 'naive',
  durable: true,
  make: () => new NaiveBacklog(),
  apart: {
    ...durableApart,
    'F49: a hundred thousand jobs are put, looked at, changed and run, each in a time that does not grow with them':
      'the naive store looks at every job for each request',
  },
})
