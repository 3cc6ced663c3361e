/** Replies to puts are kept for as long as they may be requested, and no longer. */
import test from 'ava'
import type { PutRequest } from '../../../../persistence/durable/store.ts'
import { fileName, Process } from '../../../support/sqlite-store.ts'

const putOf = (p: Process, number: number, acknowledged: number): PutRequest => ({
  ...{ kind: 'put', queue: p.queue, number, acknowledged, now: p.now, wall: p.wall, size: Infinity },
  ...{ ids: [`made-x${number}`], payloads: ['1'], priorities: undefined, queuedAt: [p.wall], extras: [] },
})

test('put replies: replies that later puts acknowledge are deleted, and all of them when the worker leaves', t => {
  const p = new Process()
  p.attach()
  const counts: number[] = []
  for (let number = 1; number <= 200; number++) {
    p.send(putOf(p, number, Math.max(number - 3, 0)))
    counts.push(p.rows('rdq_put_reply'))
    t.truthy(p.store.query({ kind: 'replay', queue: p.queue, number: Math.max(number - 2, 1) }))
  }
  t.true(Math.max(...counts) <= 70, `${Math.max(...counts)} rows`)

  t.true(p.store.close())

  t.is(p.rows('rdq_put_reply'), 0)
})

test('put replies: a recovery deletes the rows of dead workers, once none of them can still reopen the file', t => {
  const path = fileName()
  const [p, dead, second, third] = [new Process(path), new Process(path), new Process(path), new Process(path)]
  for (const process of [p, dead, second, third]) process.attach()
  dead.send(putOf(dead, 1, 0))
  p.send(putOf(p, 2, 0))
  for (const process of [dead, second, third]) process.die()
  p.store.recover(dead.token, p.now, p.wall)
  p.pass(500_000)
  p.store.recover(second.token, p.now, p.wall)
  t.is(p.rows('rdq_put_reply'), 2)

  p.pass(200_000)
  p.store.recover(third.token, p.now, p.wall)

  t.is(p.rows('rdq_put_reply'), 1)
  t.deepEqual(p.store.query({ kind: 'replay', queue: p.queue, number: 2 }), { first: 2, existed: [] })
})
