/**
 * Sets the journeys that are imported after this on the naive backlog: a database for each queue, or for those that
 * share one.
 */
import { durableApart, runOn } from './backlog-under-test.ts'
import { NaiveBacklog } from './naive-backlog.ts'

runOn({
  name: 'naive',
  durable: true,
  make: () => new NaiveBacklog(),
  apart: durableApart,
})
