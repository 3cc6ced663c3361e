/** Launches that a backlog asks more of: to be reported before the body begins, or to have no other body beside it. */
import test from 'ava'
import type { Backlog, BacklogSession, Exchange, ExchangeResult } from '../../lib/backlog.ts'
import { type Caution, launchAlone, reportedFirst } from '../../lib/backlog.ts'
import { DispatchQueue, MemoryBacklog } from '../../lib/index.ts'
import { VirtualClock } from '../../testing/index.ts'

/** A backlog that is a turn of the loop away, and asks `caution` of every launch. */
function cautious(clock: VirtualClock, caution: Caution) {
  const log: string[] = []
  const parts = {
    log,
    bodies: 0,
    refuses: (_: Exchange): boolean => false,
    /** Answers the exchanges that report a launch. */
    answer: undefined as (() => void) | undefined,
    holds: false,
  }
  const memory = new MemoryBacklog()
  const attach = async (options: Parameters<Backlog['attach']>[0]): Promise<BacklogSession> => {
    const session = await memory.attach(options)
    const exchange = (exchange: Exchange): Promise<ExchangeResult> => {
      for (const { record, first } of exchange.launchReports) log.push(`report ${record.id}${first ? ' first' : ''}`)
      for (const one of exchange.settled) {
        if (one.kind === 'notLaunched') log.push(`back ${one.record.id}${one.notAlone ? ' crowded' : ''}`)
      }
      const reports = exchange.launchReports.length > 0
      return new Promise((resolve, reject) => {
        const take = (): void => {
          if (parts.refuses(exchange)) return reject(new Error('refused'))
          const answer = session.exchange(exchange) as ExchangeResult
          if (reports) log.push('stored')
          resolve({ ...answer, cautions: new Map(answer.claimed.map(record => [record, caution])) })
        }
        if (reports && parts.holds) parts.answer = take
        else clock.soon(take)
      })
    }
    return new Proxy(session, {
      get: (target, name) => {
        if (name === 'exchange') return exchange
        if (name === 'bodiesInProcess') return () => parts.bodies
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  const backlog: Backlog = { durable: false, strict: false, attach }
  const queue = new DispatchQueue<string, void>(async id => void log.push(`start ${id}`), { clock, backlog, width: 2 })
  for (const event of ['underway', 'pending', 'finished', 'cancelled'] as const) {
    queue.on(event, job => void log.push(`${event} ${job.id}`))
  }
  return Object.assign(parts, { queue })
}

test('a launch is reported between `underway` and the first line, and the body begins when the report is stored', async t => {
  const clock = new VirtualClock()
  const { queue, log } = cautious(clock, reportedFirst)

  await queue.put('a', { id: 'a' })
  await clock.settle()

  t.deepEqual(log, ['pending a', 'underway a', 'report a first', 'stored', 'start a', 'finished a'])
})

test('a pause while a launch report is being stored delays the job until the resume', async t => {
  const clock = new VirtualClock()
  const parts = cautious(clock, reportedFirst)
  const { queue, log } = parts
  parts.holds = true
  await queue.put('a', { id: 'a' })
  await clock.settle()

  const paused = queue.pause()
  parts.answer?.()
  await clock.settle()

  t.true(await paused)
  t.deepEqual(log.splice(0), ['pending a', 'underway a', 'report a first', 'stored', 'back a', 'pending a'])
  parts.holds = false
  queue.resume()
  await clock.settle()
  t.deepEqual(log, ['underway a', 'report a first', 'stored', 'start a', 'finished a'])
})

test('a cancel or a stop while a launch report is being stored keeps the body from beginning', async t => {
  for (const how of ['cancel', 'stop'] as const) {
    const clock = new VirtualClock()
    const parts = cautious(clock, reportedFirst)
    const { queue, log } = parts
    parts.holds = true
    const job = await queue.put('a', { id: 'a' })
    job.result.catch(() => {})
    await clock.settle()

    const over = how === 'cancel' ? job.cancel() : queue.stop()
    await clock.settle()
    parts.answer?.()
    await clock.settle()

    await over
    t.false(log.includes('start a'), how)
    t.is(queue.underway().length, 0)
  }
})

test('a job goes back and starts later if the width is narrowed, or its launch report refused, before its body begins', async t => {
  const clock = new VirtualClock()
  const parts = cautious(clock, reportedFirst)
  const { queue, log } = parts
  queue.on('error', () => {})
  let refused = 0
  parts.refuses = ({ launchReports }) => launchReports.length > 0 && refused++ === 0
  await queue.put('a', { id: 'a' })
  await clock.advance(2_000)

  t.true(log.indexOf('back a') < log.indexOf('start a'))
  t.deepEqual(
    log.filter(line => /^(?:back|start) a/.test(line)),
    ['back a', 'start a'],
  )
  parts.holds = true
  await queue.put('b', { id: 'b' })
  await clock.settle()
  queue.width = 0
  parts.answer?.()
  await clock.settle()
  t.false(log.includes('start b'))
})

test('a job that must run alone goes back while other bodies run in the process', async t => {
  const clock = new VirtualClock()
  const parts = cautious(clock, launchAlone)
  const { queue, log } = parts
  // Bodies of other queues, say, which the backlog does not know.
  parts.bodies = 1
  let requested = 0
  parts.refuses = ({ settled }) => {
    if (settled.some(({ notAlone }) => notAlone) && ++requested === 3) parts.bodies = 0
    return false
  }

  await queue.put('a', { id: 'a' })
  await clock.settle()

  t.is(log.filter(line => line === 'back a crowded').length, 3)
  t.deepEqual(log.slice(-4), ['report a first', 'stored', 'start a', 'finished a'])
})
