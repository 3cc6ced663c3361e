/** What a mapping of clocks that is not exact costs: time, and never a start too many. */
import test from 'ava'
import type { Backlog } from '../../../lib/backlog.ts'
import { DispatchQueue } from '../../../lib/index.ts'
import { type ClockMapping, hostMapping, StoreClock } from '../../../persistence/durable/clock-mapping.ts'
import { Link } from '../../../persistence/durable/link.ts'
import { LocalConnection } from '../../../persistence/durable/local-connection.ts'
import { openSession } from '../../../persistence/durable/open-session.ts'
import { defaultTransport } from '../../../persistence/durable/transport.ts'
import { VirtualClock } from '../../../testing/virtual-clock.ts'
import { NaiveDatabase } from '../../support/naive-database.ts'
import { NaiveStore } from '../../support/naive-store.ts'

const off = (byMs: number, errorMs: number): ClockMapping => ({
  toStore: now => now + byMs,
  fromStore: at => at - byMs,
  errorMs,
})

/** A backlog in a store of plain maps, for one process whose clock is off by so much. */
function naiveBacklog(db: NaiveDatabase, worker: string, clock: VirtualClock, mapping: ClockMapping): Backlog {
  const connection = new LocalConnection({ clock, mapping, open: () => new NaiveStore(db, worker) })
  const link = new Link({ connection, clock, name: 'naive' })
  return { durable: true, strict: true, transport: defaultTransport, attach: options => openSession(options, link) }
}

test('clock mapping: the instants of one host are exact', t => {
  const exact = new StoreClock(hostMapping({ origin: { boot: 'b', offsetMs: 1_000 } } as VirtualClock))

  t.deepEqual(
    [exact.earliest(5), exact.latest(5), exact.fromEarliest(1_005), exact.fromLatest(1_005)],
    [...[1_005, 1_005, 5, 5]],
  )
})

test('clock mapping: instants that may be wrong are taken on the safe side, there and back', t => {
  const rough = new StoreClock(off(1_000, 30))

  t.deepEqual([rough.earliest(5), rough.latest(5)], [975, 1_035])
  t.deepEqual([rough.fromEarliest(975), rough.fromLatest(1_035)], [5, 5])
})

for (const byMs of [0, 40, -40]) {
  test(`clock mapping: two processes whose clocks are off by ${byMs} ms and ${-byMs} ms never exceed a shared rate at the true clock`, async t => {
    const clock = new VirtualClock()
    const db = new NaiveDatabase()
    const starts: number[] = []
    const queueOf = (worker: string, mapping: ClockMapping) =>
      new DispatchQueue<number, void>(
        async () => {
          starts.push(clock.now())
        },
        {
          ...{ name: 'shared', clock, backlog: naiveBacklog(db, worker, clock, mapping) },
          ...{ width: 10, rate: { limit: 5, per: '1s' } },
        },
      )
    const one = queueOf('one', off(byMs, 40))
    const other = queueOf('other', off(-byMs, 40))
    await one.ready
    await other.ready
    for (let i = 0; i < 60; i++) await (i % 2 ? one : other).put(i)

    await clock.advance(15_000)

    t.is(starts.length, 60)
    for (let i = 5; i < starts.length; i++) {
      const passedMs = (starts[i] as number) - (starts[i - 5] as number)
      t.true(passedMs >= 1_000, `the sixth start came ${passedMs} ms after the first`)
    }
    // Each start costs the errors of both, and no more but the exchange that notices.
    t.true((starts[55] as number) - (starts[0] as number) <= 11 * 1_200)
    await Promise.all([one.stop(), other.stop()])
  })
}
