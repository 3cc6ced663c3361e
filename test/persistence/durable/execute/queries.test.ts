/** Why a job does not run, and what holds for keys. */
import test from 'ava'
import type { ExplainedJob, ExplainStore, KeyReportStore } from '../../../../persistence/durable/execute/queries.ts'
import { explain, reportKeys } from '../../../../persistence/durable/execute/queries.ts'
import type { ExplainReply, JobRow } from '../../../../persistence/durable/store.ts'
import { ruleOf } from '../../../../testing/history-builder.ts'
import { LimitsInMaps, type MapQueue, mapQueue } from '../../../support/limits-in-maps.ts'

interface Facts {
  readonly job?: Partial<ExplainedJob>
  readonly limits?: LimitsInMaps
  readonly bodies?: number
  readonly runsAlone?: boolean
}
function explained(
  queue: MapQueue,
  { job, limits = new LimitsInMaps(), bodies = 0, runsAlone = false }: Facts,
): unknown {
  const facts: ExplainedJob = { state: 'pending', key: undefined, cost: undefined, crashes: 0, ...job }
  const store: ExplainStore<MapQueue, ExplainedJob> = {
    limits: limits.store,
    locate: (_queue, target) => (target === 1 ? facts : undefined),
    rowOf: () => ({ seq: 1 }) as JobRow,
    dueOf: () => ({ clock: 'steady', at: 40 }),
    bodies: () => bodies,
    startBefore: () => 3,
    runsAlone: () => runsAlone,
    heldUntil: ({ heldKeys }, key) => heldKeys.get(key),
  }
  const request = { kind: 'explain', queue: 1, target: 1, now: 0, wall: 0 } as const
  if (explain(store, queue, { ...request, target: 2 }) !== undefined) throw new Error('an unknown job is explained')
  return explain(store, queue, request) as ExplainReply
}

test('explain: a job that may start has a position and no reason', t => {
  t.like(explained(mapQueue(), {}), { position: 3, why: undefined, notBefore: 0 })
})

test('explain: a delayed job has no position, and comes due', t => {
  t.like(explained(mapQueue(), { job: { state: 'delayed' } }), { position: undefined, why: 'delay', notBefore: 40 })
})

test('explain: the rate, the key, the hold of a key and the global width are named', t => {
  const rated = mapQueue(ruleOf(1, 1_000))
  rated.rate.grant(undefined, 0, 0)
  t.like(explained(rated, {}), { why: 'rate', notBefore: 1_000, rule: ruleOf(1, 1_000) })

  const [keyed, limits] = [mapQueue(), new LimitsInMaps()]
  keyed.keysVersion = 1
  keyed.overrides.set('k', { width: 1 })
  limits.bodies.set('k', 1)
  t.like(explained(keyed, { job: { key: 'k' }, limits }), { why: 'width', key: 'k' })

  const held = mapQueue()
  held.heldKeys.set('k', 60)
  t.like(explained(held, { job: { key: 'k' } }), { why: 'hold', key: 'k', notBefore: 60 })

  const narrow = { ...mapQueue(), globalWidth: 2 }
  t.like(explained(narrow, { bodies: 2 }), { why: 'globalWidth' })
  t.like(explained(narrow, { bodies: 1 }), { why: undefined })
})

test('explain: a suspect, and any job while a suspect runs alone, waits for that', t => {
  t.like(explained(mapQueue(), { job: { crashes: 1 } }), { why: 'suspect' })
  t.like(explained(mapQueue(), { runsAlone: true }), { why: 'suspect' })
})

const counts = { pending: 0, delayed: 0, underway: 0 }
function reportsOf(queue: MapQueue, query: Partial<Parameters<typeof reportKeys>[2]>): unknown {
  const all: Readonly<Record<string, typeof counts>> = {
    a: { ...counts, pending: 1 },
    b: counts,
    c: { ...counts, underway: 2 },
    d: counts,
  }
  const store: KeyReportStore<MapQueue> = {
    limits: new LimitsInMaps().store,
    nextKey: (_queue, after) => Object.keys(all).find(name => name > after),
    countsOfKey: (_queue, name) => all[name] ?? counts,
    refusalOfNext: () => ({ why: 'width', until: Infinity, rule: undefined, never: false }),
    heldUntil: ({ heldKeys }, key) => heldKeys.get(key),
  }
  return reportKeys(store, queue, { limit: 9, ...query }, 0).map(({ key, why, until }) => [key, why, until])
}

test('keys: those with jobs or an override are listed in order, with what holds their next job up', t => {
  const queue = mapQueue()
  queue.overrides.set('d', { width: 1 })
  queue.heldKeys.set('a', 30)

  t.deepEqual(reportsOf(queue, {}), [
    ['a', 'hold', 30],
    ['c', undefined, undefined],
    ['d', undefined, undefined],
  ])
  t.deepEqual(reportsOf(queue, { state: 'underway' }), [['c', undefined, undefined]])
  t.deepEqual(reportsOf(queue, { after: 'a', limit: 1 }), [['c', undefined, undefined]])
  t.deepEqual(reportsOf(queue, { key: 'b' }), [])

  queue.keysVersion = 1
  t.deepEqual(reportsOf(queue, { key: 'a' }), [['a', 'width', undefined]])
})
