/** What is on its way to the thread has a bound. How the channel meets the death of its thread: thread.test.ts. */
import test from 'ava'
import { systemClock } from '../../../lib/clock.ts'
import { Channel, type Member } from '../../../persistence/sqlite/channel.ts'
import { hostWith } from '../../../persistence/sqlite/host.ts'
import type { PutRequest } from '../../../persistence/sqlite/wire.ts'
import { scene } from '../../support/scene.ts'

const { at } = scene()
const host = hostWith(new URL('../../support/mute-thread.js', import.meta.url))

function putOf(jobs: number, bytes = 1): PutRequest {
  const each = <T>(value: (i: number) => T): T[] => Array.from({ length: jobs }, (_, i) => value(i))
  return {
    ...{ kind: 'put', queue: 1, now: 0, wall: 0, size: Infinity, priorities: undefined, more: [] },
    ...{ ids: each(String), payloads: each(() => 'x'.repeat(bytes)), queuedAt: each(() => 0) },
  }
}

for (const [what, put, most] of [
  ['10,000 jobs', putOf(4_000), 8_000],
  ['16 MiB', putOf(2, 2 ** 22), 4],
] as const) {
  test(`channel: of puts that are not answered at most ${what} are on their way, and looks overtake the rest`, async t => {
    const member = { name: 'q', works: false, wake() {}, taken() {}, stalled() {}, failed() {} } as unknown as Member
    const options = { durability: 'process', stallMs: 300_000, host } as const
    const channel = await Channel.join(at(`${what}.db`), options, member, systemClock)
    t.teardown(() => channel.leave(member, false))
    for (let i = 0; i < 5; i++) channel.ask(put).catch(() => {})

    const given = await channel.ask<number>({ kind: 'find', queue: 1, target: 'any' })

    t.is(given, most)
  })
}
