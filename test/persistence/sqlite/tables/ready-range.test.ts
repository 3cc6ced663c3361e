/** Jobs that wait as one row are, to all who ask, as if each had a row of its own. */
import test from 'ava'
import type { SettleKind } from '../../../../lib/backlog.ts'
import type { ExchangeReply, PutReply } from '../../../../persistence/durable/store.ts'
import { type Ending, endingsOf, namesOf, type Put, payloadsOf } from '../../../../testing/contract/store-requests.ts'
import { randomOf } from '../../../support/random.ts'
import { Process } from '../../../support/sqlite-store.ts'

const names = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))
const opened = (parts: Parameters<Process['attach']>[0] = {}): Process => {
  const p = new Process()
  p.attach(parts)
  return p
}

test('ready ranges: jobs put one after the other wait as one row, over many puts, and are claimed from its beginning', t => {
  const p = opened()
  for (let from = 0; from < 300; from += 100) p.put(names(100, from))
  t.deepEqual([p.rows('rdq_ready_range'), p.rows('rdq_ready')], [1, 0])

  t.deepEqual(p.claimed(120), names(120))
  t.deepEqual(p.claimed(120), names(120, 120))
  t.deepEqual([p.rows('rdq_ready_range'), p.rows('rdq_ready')], [1, 0])
  t.deepEqual(p.claimed(120), names(60, 240))
  t.deepEqual([p.rows('rdq_ready_range'), p.rows('rdq_ready')], [0, 0])
})

test('ready ranges: two queues, and two epochs of one queue, have ranges of their own', t => {
  const p = opened()
  p.put(names(5))
  const first = p.queue
  p.attach({ name: 'other' })
  p.put(names(5, 10))
  const other = p.queue
  p.queue = first
  p.command({ kind: 'clear', reason: undefined })
  p.put(names(5, 20))

  t.deepEqual(p.claimed(), names(5, 20))
  p.queue = other
  t.deepEqual(p.claimed(), names(5, 10))
})

test('ready ranges: jobs cleared but not swept yet read as cancelled, and still do after the sweep', t => {
  const p = opened()
  const { first } = p.put(names(1_300))
  t.is(p.command({ kind: 'clear', reason: undefined }).count, 1_300)

  for (const seq of [first, first + 700, first + 1_299]) t.is(p.find(seq)?.state, 'cancelled')
  t.is(p.rows('rdq_ready_range'), 1)
  for (let i = 0; i < 3; i++) p.exchange()

  t.deepEqual([p.rows('rdq_ready_range'), p.rows('rdq_ready'), p.rows('rdq_ended')], [0, 0, 1_300])
  for (const seq of [first, first + 700, first + 1_299]) t.is(p.find(seq)?.state, 'cancelled')
  t.deepEqual(p.exchange().counts, { ...p.exchange().counts, pending: 0, cancelled: 1_300 })
})

test('ready ranges: a job whose row a foreign program deleted disturbs no other job', t => {
  for (const clears of [false, true]) {
    const p = opened()
    const { first } = p.put(names(3))
    p.db.prepare('delete from rdq_job where seq = ?').run(first + 1)

    if (clears) p.command({ kind: 'clear', reason: undefined })
    const ran = clears ? [] : p.claimed()

    t.deepEqual(ran, clears ? [] : ['0', '2'])
    const { pending, underway, cancelled } = p.exchange().counts
    t.deepEqual([pending, underway, cancelled], clears ? [0, 0, 2] : [0, 2, 0])
  }
})

test('ready ranges: jobs behind many rows that a foreign program deleted are claimed, counted and swept like others', t => {
  const harm = (p: Process, from: number, count: number): void => {
    p.db.prepare('delete from rdq_job where seq >= ? and seq < ?').run(from, from + count)
  }
  const p = opened()
  harm(p, p.put(names(100)).first, 50)
  t.deepEqual(p.claimed(10), names(10, 50))
  t.is(p.exchange().counts.pending, 40)

  const rated = opened({ rate: [{ limit: 3, perMs: 100, unit: undefined, burst: undefined }] })
  harm(rated, rated.put(names(4)).first, 4)
  rated.exchange({ room: 5 })
  t.is(rated.exchange().counts.pending, 0)

  const cleared = opened()
  harm(cleared, cleared.put(names(3_000)).first + 100, 101)
  cleared.command({ kind: 'clear', reason: undefined })
  for (let i = 0; i < 8; i++) cleared.exchange()
  t.deepEqual(
    [cleared.rows('rdq_cleared_epoch'), cleared.rows('rdq_ready_range'), cleared.rows('rdq_ended')],
    [0, 0, 2_899],
  )
  t.is(cleared.exchange().counts.cancelled, 2_899)
})

/** What happens to both, by chance. */
function commandsOf(random: () => number): (p: Process, seqs: readonly number[], running: Ending[]) => unknown {
  const below = (n: number): number => Math.floor(random() * n)
  const which = below(14)
  const [size, place, kind] = [below(30), random(), below(5)]
  const pick = (seqs: readonly number[]): number => seqs[Math.floor(place * seqs.length)] ?? 0
  const kinds: readonly SettleKind[] = ['finished', 'failed', 'retry', 'notLaunched', 'snooze']
  switch (which) {
    case 0:
    case 1:
    case 2:
      return p => p.put(putsOf(size, place))
    case 3:
      return p =>
        p.put([
          { payload: 'odd', id: `odd-${place}`, ...(kind < 2 ? { extras: { key: 'k' } } : { priority: kind - 3 }) },
        ])
    case 4:
    case 5:
    case 6:
      return (p, _, running) => {
        const done = p.exchange({ room: size })
        running.push(...endingsOf(done))
        return done
      }
    case 7:
      return (p, _, running) =>
        p.exchange({ settled: running.splice(0, size).map(one => ({ ...one, kind: kinds[kind] as SettleKind })) })
    case 8:
      return (p, seqs) => p.command({ kind: 'cancel', target: pick(seqs), reason: undefined })
    case 9:
      return (p, seqs) => {
        const target = pick(seqs)
        if (p.find(target)?.state !== 'pending') return undefined
        return p.command({ kind: 'reprioritize', target, priority: kind - 2 })
      }
    case 10:
      return (p, seqs) => {
        const target = pick(seqs)
        return p.find(target)?.state === 'underway' ? undefined : p.command({ kind: 'remove', target })
      }
    case 11:
      return (p, seqs) => p.explain(pick(seqs))
    case 12:
      return (p, seqs) => {
        const after = place < 0.5 ? undefined : { priority: kind - 2, seq: pick(seqs) }
        return p.list({ state: 'pending', limit: size + 1, after })
      }
    default:
      return p =>
        kind === 0 && place < 0.2 ? p.command({ kind: 'clear', reason: undefined }) : p.list({ limit: size + 1 })
  }
}
function putsOf(size: number, place: number): Put[] {
  return names(size, Math.floor(place * 1_000)).map(payload => ({ payload, id: `${payload}-${place}-${size}` }))
}

const seeds = Number(process.env.READY_RANGE_SEEDS ?? 12)

for (const limited of [false, true]) {
  test(`ready ranges: every request is answered as for jobs with rows of their own, ${limited ? 'with' : 'without'} a rate`, t => {
    let unrolled = 0
    let claimedAtOnce = 0
    for (let seed = 1; seed <= seeds; seed++) {
      const random = randomOf(seed)
      const rate = limited ? [{ limit: 40, perMs: 100, unit: undefined, burst: undefined }] : undefined
      const [rowed, stretched] = [opened({ rate }), opened({ rate })]
      const each = [rowed, stretched]
      stretched.db.exec(`
        create temp table moved (seq);
        create temp trigger moves after insert on rdq_ready begin insert into moved values (new.seq); end`)
      const readyRows = (): number[] => [stretched.rows('moved'), stretched.rows('rdq_ready')]
      const running: Ending[][] = [[], []]
      const seqs: number[] = []
      for (let step = 0; step < 120; step++) {
        const command = commandsOf(random)
        const before = stretched.rows('rdq_ready_range')
        const rowsBefore = readyRows()
        const [a, b] = each.map((p, i) => {
          const answer = command(p, seqs, running[i] as Ending[])
          p.pass(3)
          // A row for each, as they were before there were stretches.
          if (p === rowed) unroll(p)
          return answer
        })
        t.deepEqual(b, a, `seed ${seed}, step ${step}`)
        if (before > 0 && stretched.rows('rdq_ready_range') === 0) unrolled++
        const { first, existed, claimed } = (a ?? {}) as Partial<PutReply & ExchangeReply>
        if (claimed && claimed.seqs.length > 0 && String(readyRows()) === String(rowsBefore)) claimedAtOnce++
        if (first !== undefined && existed !== undefined) seqs.push(first)
        for (const { seq } of rowed.list({ limit: 9 })) if (!seqs.includes(seq)) seqs.push(seq)
      }
      t.deepEqual(namesOf(stretched.list({ limit: 10_000 })), namesOf(rowed.list({ limit: 10_000 })))
      t.deepEqual(payloadsOf(stretched.exchange({ room: 1_000 })), payloadsOf(rowed.exchange({ room: 1_000 })))
    }
    t.true(unrolled > seeds / 2)
    t.true(limited || claimedAtOnce > 2.5 * seeds, `${claimedAtOnce} claims took their jobs from a range`)
  })
}
function unroll({ db }: Process): void {
  db.exec(`
    insert into rdq_ready select epoch, 0, j.seq, 0, 0, 0, 0
    from rdq_ready_range s join rdq_job j on j.seq >= s.seq and j.seq < s.seq + s.jobs;
    delete from rdq_ready_range`)
}
