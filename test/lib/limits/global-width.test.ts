import test from 'ava'
import { freeSlots, keptFreeMs, planSlots, type SlotWait, turnMs } from '../../../lib/limits/global-width.ts'

const wait = (worker: string, since: number, keptSince?: number): SlotWait => ({ worker, since, keptSince })
const room = (wanted: number, free: number, waits: readonly SlotWait[], now = 10_000): number =>
  planSlots('me', wanted, free, waits, now).room

test('global width: as many slots are free as bodies may still run, and never less than none', t => {
  t.is(freeSlots(3, 1), 2)
  t.is(freeSlots(3, 3), 0)
  t.is(freeSlots(1, 3), 0)
  t.is(freeSlots(0, 0), 0)
  t.is(freeSlots(Infinity, 1_000), Infinity)
})

test('global width: a process takes all free slots if no other has waited for longer than a turn', t => {
  t.is(room(9, 3, []), 3)
  t.is(room(2, 3, []), 2)
  t.is(room(9, 3, [wait('a', 10_000 - turnMs + 1)]), 3)
  t.is(room(9, 3, [wait('me', 0)]), 3)
})

test('global width: one slot is left to each process that has waited for longer', t => {
  t.is(room(9, 3, [wait('a', 5_000)]), 2)
  t.is(room(2, 3, [wait('a', 5_000)]), 2)
  t.is(room(9, 3, [wait('a', 5_000), wait('b', 6_000), wait('c', 7_000)]), 0)
  t.is(room(9, 1, [wait('a', 5_000), wait('b', 6_000)]), 0)
})

test('global width: a process that has waited for longest takes a slot first, and then what the others leave', t => {
  t.is(room(9, 1, [wait('a', 5_000), wait('me', 4_000)]), 1)
  t.is(room(9, 2, [wait('a', 5_000), wait('b', 6_000), wait('me', 4_000)]), 1)
  t.is(room(9, 1, [wait('a', 3_000), wait('me', 4_000)]), 0)
  t.is(room(9, 2, [wait('a', 3_000), wait('b', 6_000), wait('me', 4_000)]), 1)
})

test('global width: slots are kept free for those whose turn it is, for a second', t => {
  const plan = planSlots('me', 9, 1, [wait('a', 6_000), wait('b', 5_000)], 10_000)
  t.deepEqual(
    plan.keptFor.map(({ worker }) => worker),
    ['b'],
  )
  t.is(plan.nextLookAt, 10_000 + keptFreeMs)

  const later = planSlots('me', 9, 1, [wait('a', 6_000), wait('b', 5_000, 9_500)], 10_000)
  t.deepEqual([later.keptFor, later.passedOver, later.nextLookAt], [[], [], 9_500 + keptFreeMs])

  const passed = planSlots('me', 9, 1, [wait('b', 5_000, 9_000)], 10_000)
  t.deepEqual([passed.room, passed.passedOver.length, passed.nextLookAt], [1, 1, Infinity])
})

/** A machine with processes that notice a change late, and one name with more jobs than slots. */
function simulate(seed: number) {
  let state = seed * 2_654_435_761 + 1
  const chance = (most: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state % most
  }
  const width = 1 + chance(4)
  const longest = 1 + chance(400)
  const processes = Array.from({ length: 2 + chance(5) }, (_, i) => ({ i, width: 1 + chance(3), running: 0 }))
  const waits = new Map<number, SlotWait>()
  /** By instant: a process looks, or one of its jobs ends. */
  const events = new Map<number, (() => void)[]>()
  const at = (ms: number, act: () => void): void => void events.set(ms, [...(events.get(ms) ?? []), act])
  const result = { most: 0, used: 0, starved: 0, longest, slots: Math.min(width, processes.length) }
  const lastSlot = new Map(processes.map(({ i }) => [i, 0]))
  const underway = (): number => processes.reduce((sum, { running }) => sum + running, 0)
  let now = 0
  const turn = (process: (typeof processes)[number]): void => {
    const { i } = process
    const wanted = process.width - process.running
    const plan = planSlots(i, wanted, freeSlots(width, underway()), [...waits.values()], now)
    let isNews = plan.room > 0
    for (const { worker } of plan.passedOver) isNews = waits.delete(worker as number)
    for (const each of plan.keptFor) {
      waits.set(each.worker as number, { ...each, keptSince: now })
      isNews = true
    }
    process.running += plan.room
    if (plan.room > 0) lastSlot.set(i, now)
    for (let job = 0; job < plan.room; job++) {
      at(now + 1 + chance(longest), () => {
        process.running--
        turn(process)
        for (const other of processes) if (other !== process) at(now + 1 + chance(80), () => turn(other))
      })
    }
    if (plan.room === wanted) isNews = waits.delete(i) || isNews
    else if (plan.room > 0 || !waits.has(i)) waits.set(i, wait(i as never, now))
    if (plan.nextLookAt < Infinity) at(Math.max(plan.nextLookAt, now + 1), () => turn(process))
    if (isNews) for (const other of processes) if (other !== process) at(now + 1 + chance(80), () => turn(other))
  }
  for (const process of processes) turn(process)
  const mostMs = 20_000
  for (; now < mostMs; now++) {
    for (const act of events.get(now) ?? []) act()
    events.delete(now)
    result.most = Math.max(result.most, underway() - width)
    result.used += Math.min(underway(), result.slots) / result.slots / mostMs
    for (const { i, running } of processes) {
      if (running === 0) result.starved = Math.max(result.starved, now - (lastSlot.get(i) as number))
    }
  }
  return { ...result, processes: processes.length, width }
}

test('global width: with any processes it is never exceeded, it is used, and no process starves', t => {
  for (let seed = 0; seed < 30; seed++) {
    const { most, used, starved, longest, processes } = simulate(seed)
    t.true(most <= 0, `seed ${seed}: ${most} too many`)
    t.true(used > 0.85, `seed ${seed}: ${used} used`)
    // A turn, then a job and the notice of its end for each process that waits for longer.
    t.true(starved <= turnMs + processes * (longest + 160), `seed ${seed}: nothing for ${starved} ms`)
  }
})
