/** An exchange that is refused for good is taken apart, on a backlog that refuses what the test says. */
import test from 'ava'
import type { Exchange } from '../../../lib/backlog.ts'
import { DispatchQueue, StoreError, Throttled } from '../../../lib/index.ts'
import type { Task } from '../../../lib/run/task.ts'
import { drain, VirtualClock } from '../../../testing/index.ts'
import { LateBacklog } from '../../support/late-backlog.ts'

const cause = new Error('not this')

function parts(
  handler: (n: number, task: Task) => unknown,
  refuses: (exchange: Exchange) => boolean,
  options: object = {},
) {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  let exchanges = 0
  backlog.refuses = exchange => {
    exchanges++
    return refuses(exchange) && new StoreError('this', { cause })
  }
  const queue = new DispatchQueue<number, unknown>(handler, { clock, backlog, width: 5, ...options })
  const errors: unknown[] = []
  queue.on('error', error => errors.push(error))
  queue.on('failed', () => {})
  const run = async (...jobs: number[]): Promise<string[]> => {
    const all = Promise.allSettled(jobs.map(n => queue.run(n)))
    await drain(queue as unknown as DispatchQueue, clock)
    return (await all).map(one => (one.status === 'fulfilled' ? `${one.value}` : (one.reason as StoreError).code))
  }
  return { clock, queue, backlog, errors, run, exchanges: () => exchanges }
}
const of = (n: number) => (one: { readonly record: { readonly payload: unknown } }) => one.record.payload === n

test('apart: an ending that is refused for good fails its job with the reason, and its neighbours end as they did', async t => {
  const bad = (one: Exchange['settled'][number]): boolean => of(3)(one) && one.kind === 'retry'
  const handler = (n: number, task: Task): string => {
    if (task.attempt === 1 && n >= 3) throw new Error('once')
    return `done ${n}`
  }
  const { queue, run, errors } = parts(handler, ({ settled }) => settled.some(bad), {
    retry: { attempts: 2, delay: 10 },
  })

  t.deepEqual(await run(1, 2, 3, 4, 5), ['done 1', 'done 2', 'STORE', 'done 4', 'done 5'])

  t.deepEqual(errors, [])
  const [failed] = await queue.jobs({ state: 'failed' })
  t.is(failed?.payload, 3)
  t.true(failed?.error instanceof StoreError)
  t.is((failed?.error as Error | undefined)?.cause, cause)
})

test('apart: the ending of a job that cannot even fail is dropped and reported, and its result rejects', async t => {
  const { clock, queue, errors, exchanges } = parts(
    n => n,
    ({ settled }) => settled.some(of(2)),
  )
  const all = Promise.allSettled([1, 2, 3].map(n => queue.run(n)))
  await clock.advance(10)

  t.deepEqual(
    (await all).map(one => (one.status === 'fulfilled' ? one.value : (one.reason as StoreError).code)),
    [1, 'STORE', 3],
  )
  t.is(errors.length, 1)
  t.true(errors[0] instanceof StoreError)
  const before = exchanges()
  await clock.advance(60_000)
  t.is(exchanges(), before, 'it is not reported again')
})

test('apart: a checkpoint that is refused for good rejects, and its job and others go on', async t => {
  const handler = async (n: number, task: Task): Promise<string> => {
    const stored = await task.checkpoint(n).then(
      () => 'stored',
      error => `${error.code} ${error.cause.message}`,
    )
    return `${n} ${stored}`
  }
  const { run, errors } = parts(handler, ({ checkpoints }) => checkpoints.some(of(2)))

  t.deepEqual(await run(1, 2, 3), ['1 stored', '2 STORE not this', '3 stored'])
  t.deepEqual(errors, [])
})

test('apart: any other refused item is dropped and reported once', async t => {
  const handler = (n: number, task: Task): number => {
    if (n === 2) task.spent({ tokens: 7 })
    return n
  }
  const rate = { limit: 100, per: '1s', of: 'tokens' }
  const { run, errors } = parts(handler, ({ spent }) => spent.some(({ cost }) => cost.tokens === 7), { rate })

  t.deepEqual(await run(1, 2, 3), ['1', '2', '3'])
  t.is(errors.length, 1)
  t.true(errors[0] instanceof StoreError)
})

test('apart: a hold that is refused fails its job alone', async t => {
  const handler = (n: number, task: Task): number => {
    if (n === 2 && task.attempt === 1) throw new Throttled(100, { key: 'bad' })
    return n
  }
  const { run } = parts(handler, ({ settled }) => settled.some(({ heldKey }) => heldKey === 'bad'))

  t.deepEqual(await run(1, 2, 3), ['1', 'STORE', '3'])
})

test('apart: if even an empty exchange is refused, no item is at fault, and all are sent again later', async t => {
  let broken = false
  const { clock, queue, errors } = parts(
    async n => {
      await new Promise<void>(resolve => clock.at(clock.now() + 10, resolve))
      return n
    },
    () => broken,
  )
  const all = Promise.all([1, 2, 3].map(n => queue.run(n)))
  await clock.advance(5)
  broken = true
  await clock.advance(3_000)
  t.true(errors.length >= 2 && errors.length < 10, `${errors.length}`)
  broken = false

  await drain(queue as unknown as DispatchQueue, clock)

  t.deepEqual(await all, [1, 2, 3])
})

test('apart: an item that is refused for a reason that passes is sent again, and nothing is lost', async t => {
  let requested = 0
  const { run, backlog, errors } = parts(
    n => n,
    () => false,
  )
  const busy = new Error('busy')
  const forGood = new StoreError('this', { cause })
  const isBad = ({ settled }: Exchange): boolean => settled.some(one => of(2)(one) && one.kind === 'finished')
  backlog.refuses = exchange => (++requested % 3 === 0 ? busy : isBad(exchange) && forGood)

  t.deepEqual(await run(1, 2, 3), ['1', 'STORE', '3'])
  t.true(errors.includes(busy))
  t.false(errors.includes(forGood))
})

test('apart: endings that come while items are tried are sent one by one, so that none is blamed for another', async t => {
  const clock = new VirtualClock()
  const backlog = new LateBacklog()
  let broken = false
  backlog.refuses = () => broken && new StoreError('this', { cause })
  const exchanges = (ms: number): Promise<void> => new Promise(resolve => void clock.at(clock.now() + ms, resolve))
  backlog.answersAfter = () => exchanges(3)
  const handler = async (n: number): Promise<number> => {
    await exchanges(10 + n)
    return n
  }
  const queue = new DispatchQueue(handler, { clock, backlog, width: 20 })
  queue.on('error', () => {})
  const jobs = Array.from({ length: 12 }, (_, n) => n)
  const all = Promise.all(jobs.map(n => queue.run(n)))
  await clock.advance(9)
  broken = true
  await clock.advance(3_000)
  broken = false

  await drain(queue as unknown as DispatchQueue, clock)

  t.deepEqual(await all, jobs)
})
