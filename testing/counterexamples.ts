/**
 * Histories in which other queues fail, each as small as possible, with the place where the failure was reported or
 * measured.
 *
 * The checkers must find each of them. Names and numbers are those of the source; the behaviour is written as it would
 * look in a history. Some of these queues have been fixed since.
 */
import type { Invariant } from './checkers/index.ts'
import type { Entry, PutCalled } from './entry.ts'
import { HistoryBuilder, ruleOf } from './history-builder.ts'

export interface Counterexample {
  /** The violation in it. */
  readonly name: string
  /** The origin: a repository and issue, or a document. */
  readonly source: string
  /** The invariant that it breaks. */
  readonly breaks: Invariant
  readonly entries: readonly Entry[]
}

function example(breaks: Invariant, name: string, source: string, { entries }: HistoryBuilder): Counterexample {
  return { breaks, name, source, entries }
}

const history = (): HistoryBuilder => new HistoryBuilder()

/** Adds `count` jobs that are put, start and end at once. */
function burst(on: HistoryBuilder, prefix: string, count: number): HistoryBuilder {
  for (let i = 1; i <= count; i++) on.start(`${prefix}${i}`).end(`${prefix}${i}`)
  return on
}
function puts(on: HistoryBuilder, prefix: string, count: number, facts: Partial<PutCalled> = {}): HistoryBuilder {
  for (let i = 1; i <= count; i++) on.put(`${prefix}${i}`, facts)
  return on
}

const fixedWindow = puts(
  puts(
    history()
      .opened({ width: 20, rules: [ruleOf(5, 200)] })
      .at(190),
    'a',
    5,
  ),
  'b',
  4,
)
burst(burst(fixedWindow, 'a', 5).at(201), 'b', 4)

const bucket = puts(history().opened({ width: 20, rules: [ruleOf(10, 1_000)] }), 'a', 19)
burst(bucket, 'a', 10)
for (let i = 1; i <= 9; i++)
  bucket
    .at(i * 100)
    .start(`a${10 + i}`)
    .end(`a${10 + i}`)

const counterAhead = history().opened({ works: false }).put('a').put('b').change('reprioritize', 'a', -1)

export const counterexamples: readonly Counterexample[] = [
  example(
    'I1',
    'A put is acknowledged before it is on the disk, and the power goes',
    'nats-io/nats-server#7564; Jepsen, "NATS 2.12.1"',
    history().opened().put('a').crash().in('b').opened().found({}),
  ),
  example(
    'I1',
    'A job is deleted from the store when it starts, and its process dies',
    'diamondio/better-queue#7, #24',
    history().opened().put('a').start('a').crash().in('b').opened().found({}),
  ),
  example(
    'I1',
    'A job is given another priority in a full queue, and is neither there nor given back',
    'txRDQ 0.2.14: QueueOverflow after the job was invalidated',
    history()
      .opened({ paused: true })
      .put('a')
      .put('b')
      .change('reprioritize', 'a', 1)
      .stop({ returned: ['b'] }),
  ),
  example(
    'I3',
    'A job is both finished and failed: its worker was pruned while it ran',
    'rails/solid_queue#589',
    history()
      .opened({ width: 2 })
      .put('a')
      .start('a')
      .in('b')
      .opened()
      .emitted('recovered', 'a')
      .announced('a', 'failed')
      .in('a')
      .end('a'),
  ),
  example(
    'I4',
    'A timeout frees the slot while the body goes on, four times over',
    'diamondio/better-queue#75; p-queue 9.3.5 and Bottleneck 2.19.5, measured',
    [1, 2, 3, 4].reduce(
      (on, i) => on.start(`a${i}`).announced(`a${i}`, 'failed'),
      puts(history().opened({ width: 1 }), 'a', 4),
    ),
  ),
  example(
    'I4',
    'A store hands out two jobs at a concurrency of one',
    'diamondio/better-queue#46',
    history().opened({ width: 1 }).put('a').put('b').start('a').start('b'),
  ),
  example(
    'I5',
    'Nine starts in a window of five: fixed windows allow twice the limit around a border',
    'sindresorhus/p-queue#126, #236',
    fixedWindow,
  ),
  example(
    'I5',
    'Nineteen starts in a window of ten: a bucket that is full and refills',
    'mjpieters/aiolimiter#298; jhurliman/node-rate-limiter#25',
    bucket,
  ),
  example(
    'I6',
    'A fixed window holds jobs that belong to a fresh one',
    'sindresorhus/p-queue#251',
    history()
      .opened({ rules: [ruleOf(1, 100)] })
      .put('a')
      .start('a')
      .end('a')
      .at(500)
      .put('b')
      .at(600)
      .start('b')
      .end('b'),
  ),
  example(
    'I6',
    'The wall clock is set back, and a rule of 200 ms blocks for seconds',
    'p-queue 9.3.5, p-throttle 8.1.1, Bottleneck 2.19.5, measured',
    history()
      .opened({ rules: [ruleOf(1, 200)] })
      .put('a')
      .put('b')
      .start('a')
      .end('a')
      .jump(-3_000)
      .at(1_500)
      .start('b')
      .end('b'),
  ),
  example(
    'I6',
    'Raising the concurrency changes nothing until something ends',
    'caolan/async#747',
    history()
      .opened({ width: 1 })
      .put('a')
      .put('b')
      .start('a')
      .at(10)
      .add({ kind: 'width', width: 2 })
      .at(500)
      .end('a')
      .start('b')
      .end('b'),
  ),
  example(
    'I8',
    'Priorities are ignored unless a concurrency is set',
    'SGrondin/bottleneck#83',
    history()
      .opened({ paused: true })
      .put('a')
      .put('b', { priority: -1 })
      .at(5)
      .add({ kind: 'resume', shared: false })
      .start('a')
      .end('a')
      .start('b')
      .end('b'),
  ),
  example(
    'I10',
    'stop() resolves at once, while a job runs',
    'plainjob 0.0.14, measured',
    history().opened().put('a').start('a').stop({ left: 1 }).at(400).end('a'),
  ),
  example(
    'I10',
    'What was terminated goes on to start what waits',
    'josdejong/workerpool#96',
    history()
      .opened()
      .put('a')
      .put('b')
      .start('a')
      .stop({ left: 1, abandoned: ['a'] })
      .release('a')
      .start('b'),
  ),
  example(
    'I12',
    'A rescuer gives a job to another, and the first one completes it all the same',
    'riverqueue/river#1302',
    history()
      .opened()
      .put('a')
      .add({ kind: 'claimed', job: 'a', attempt: 1, fence: 1 })
      .in('b')
      .opened()
      .add({ kind: 'claimed', job: 'a', attempt: 1, fence: 2 })
      .in('a')
      .add({ kind: 'recorded', job: 'a', fence: 1, as: 'finished', changed: true }),
  ),
  example(
    'I13',
    'A rescue by time runs a job of fifty minutes three times',
    'hexpm/hexpm#1825; OptimalBits/bull#412',
    history()
      .opened()
      .put('a')
      .start('a')
      .in('b')
      .opened()
      .at(1_200_000)
      .emitted('recovered', 'a')
      .start('a')
      .in('c')
      .opened()
      .at(2_400_000)
      .emitted('recovered', 'a')
      .start('a'),
  ),
  example(
    'I14',
    'A delay beyond 2^31 ms fires at once',
    'agenda/agenda#1391; animir/node-rate-limiter-flexible#71',
    history()
      .opened()
      .put('a', { delayMs: 2 ** 31 })
      .at(1)
      .start('a')
      .end('a'),
  ),
  example(
    'I15',
    'Another priority leaves the old entry behind, and the length is too high',
    'txRDQ 0.2.14',
    counterAhead.found({ a: 'pending', b: 'pending' }, { pending: 3 }),
  ),
  example(
    'I16',
    'Jobs that a stop gives back leave their promises pending',
    'sindresorhus/p-queue#239; txRDQ 0.2.14',
    history()
      .opened({ paused: true })
      .put('a')
      .add({ kind: 'promised', call: 90, of: 'result', job: 'a' })
      .stop({ returned: ['a'] }),
  ),
  example(
    'I16',
    'drain is emitted while work is left',
    'caolan/async#1729; piscinajs/piscina#796',
    history()
      .opened()
      .put('a')
      .add({ kind: 'idle', call: 90 })
      .start('a')
      .add({ kind: 'answered', of: 'idle', call: 90 })
      .end('a'),
  ),
  example(
    'I17',
    'Attempts are counted at the end, so a job that kills its process is taken up again and again',
    'sidekiq/sidekiq#3400, #4633',
    ['a', 'b', 'c', 'd', 'e'].reduce(
      (on, process) =>
        on
          .in(process)
          .opened({ crashLimit: 3 })
          .start('a', 1, { fence: process.charCodeAt(0) })
          .crash(),
      history().opened({ crashLimit: 3 }).put('a'),
    ),
  ),
  example(
    'I23',
    'A job that kills its process condemns what was underway beside it',
    'rdq before format 4',
    ['b', 'c']
      .reduce(
        (on, process, crashes) =>
          on
            .in(process)
            .opened({ width: 2, crashLimit: 2 })
            .start('innocent', 1, { fence: crashes + 1 })
            .start('poison', 1, { fence: crashes + 1 })
            .crash(),
        history().opened({ crashLimit: 2 }).put('innocent').put('poison'),
      )
      .in('d')
      .opened({ crashLimit: 2 })
      .emitted('failed', 'innocent', { state: 'failed', code: 'POISON' })
      .emitted('settled', 'innocent'),
  ),
  example(
    'I24',
    'A limit for each tenant holds in each worker by itself: two workers run twice as many',
    'timgit/pg-boss#152, #446, #659',
    ['a', 'b'].reduce(
      (on, process, i) =>
        on
          .in(process)
          .sharing({ width: 1 })
          .start(`${i + 1}`),
      puts(history().sharing({ width: 1 }, { works: false }), '', 2, { key: 'acme' }),
    ),
  ),
  example(
    'I28',
    'Three workers of a width of one each call a service that allows two connections',
    'timgit/pg-boss#429, #688: limits of each worker by itself',
    ['a', 'b', 'c'].reduce(
      (on, process, i) =>
        on
          .in(process)
          .opened({ globalWidth: 2 })
          .at(i + 1)
          .start(`${i + 1}`),
      puts(history().opened({ globalWidth: 2, works: false }), '', 3),
    ),
  ),
  example(
    'I25',
    'A restart forgets when a tenant started what, and its window begins anew',
    'Bottleneck 2.19.5: without Redis, a Group keeps its reservoirs in memory',
    history()
      .sharing({ rate: { limit: 1, per: 60_000 } })
      .put('a', { key: 'acme' })
      .put('b', { key: 'acme' })
      .start('a')
      .end('a')
      .at(1_000)
      .crash()
      .in('b')
      .sharing({ rate: { limit: 1, per: 60_000 } })
      .at(2_000)
      .start('b'),
  ),
  example(
    'I26',
    'A server refuses one tenant for a while, and other workers go on calling it',
    'taskforcesh/bullmq#1510: since version 3 the open edition has no limit of a group',
    history()
      .sharing({ width: 2 })
      .put('a', { key: 'acme' })
      .put('b', { key: 'acme' })
      .start('a')
      .release('a', { code: 'THROTTLED', afterMs: 5_000, heldKey: 'acme' })
      .emitted('pending', 'a')
      .in('b')
      .sharing({ width: 2 })
      .at(1_000)
      .start('b'),
  ),
  example(
    'I27',
    'A tenant that puts one job at a time is always next, because its last turn was forgotten',
    'docs/design/limits.md: start-time fair queueing without the tags of idle keys',
    ['1', '2', '3', '4'].reduce(
      (on, i) => on.put(`a${i}`, { key: 'acme' }).at(Number(i)).start(`a${i}`).end(`a${i}`),
      puts(history().sharing({}, { width: 1 }), 'g', 4, { key: 'globex' }),
    ),
  ),
]
