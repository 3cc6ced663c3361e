import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { drain, type Entry, History, VirtualClock } from '../../testing/index.ts'

/** What an entry says in a word or two. */
function said(entry: Entry): string {
  const { kind } = entry
  if (kind === 'heard') return `heard ${entry.event}`
  if (kind === 'answered' || kind === 'refused') return `${kind} ${entry.of}`
  return kind
}

test('history: what a queue is asked, what its handler does and what is heard is there in its order', async t => {
  const clock = new VirtualClock({ now: 5 })
  const history = new History({ clock })
  const queue = history.watch(
    record =>
      new DispatchQueue(
        record(async (n: number) => n),
        { clock },
      ),
  )

  const job = await queue.put(1, { priority: 3, delay: '10ms', key: 'k' })
  const result = job.result
  await drain(queue, clock)
  t.is(await result, 1)
  await queue.stop()

  t.deepEqual(history.entries.map(said), [
    ...['opened', 'put', 'heard delayed', 'accepted', 'promised', 'idle'],
    ...['heard underway', 'launch', 'release', 'heard finished', 'heard settled', 'heard idle', 'settled'],
    ...['answered idle', 'stop', 'heard stopped', 'answered stop'],
  ])
  const [, put, , accepted] = history.entries
  t.like(put, { seq: 2, nowMs: 5, process: 'main', queue: 'queue', priority: 3, delayMs: 10, key: 'k', job: job.id })
  t.like(accepted, { job: job.id, existed: false })
  t.like(history.entries[7], { nowMs: 15, job: job.id, attempt: 1, fence: 1 })
})
