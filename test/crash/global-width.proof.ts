/**
 * Four processes with one global width, some of which are killed. A log of all first and last lines of bodies is judged
 * by brute force: at no instant do more run than the global width allows, no slot is lost with a process, and none
 * starves.
 */
import test from 'ava'
import { turnMs } from '../../lib/limits/global-width.ts'
import { passed } from '../support/suspend.ts'
import {
  endAll,
  eventually,
  filledFile,
  type Line,
  sharedMs,
  stopAll,
  type WorkerProcess,
} from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

/** One more or one less body, at an instant. */
interface Step {
  readonly atMs: number
  readonly by: 1 | -1
}

/** When bodies began and ended. Those of a killed process end with it. */
function stepsOf(lines: readonly Line[]): Step[] {
  const running = new Map<string, Set<string>>()
  const bodiesOf = (who: string): Set<string> => {
    const bodies = running.get(who) ?? new Set()
    running.set(who, bodies)
    return bodies
  }
  const steps: Step[] = []
  for (const { atMs, who, what, job, more } of [...lines].sort((a, b) => a.atMs - b.atMs)) {
    const body = `${job} ${more}`
    if (what === 'start') {
      bodiesOf(who).add(body)
      steps.push({ atMs, by: 1 })
    }
    if (what === 'over' && bodiesOf(who).delete(body)) steps.push({ atMs, by: -1 })
    if (what === 'killed') {
      for (const _ of bodiesOf(who)) steps.push({ atMs, by: -1 })
      bodiesOf(who).clear()
    }
  }
  return steps
}
/** The most bodies at once, from an instant on. */
function mostOf(steps: readonly Step[], fromMs = -Infinity): number {
  let [running, most] = [0, 0]
  for (const { atMs, by } of steps) {
    running += by
    if (atMs >= fromMs) most = Math.max(most, running)
  }
  return most
}
/** The most bodies of other processes that began while no body of this one ran. */
function longestWithout(lines: readonly Line[], who: string): number {
  let [running, without, longest] = [0, 0, 0]
  for (const line of [...lines].sort((a, b) => a.atMs - b.atMs)) {
    if (line.who === who) {
      if (line.what === 'start' && running++ === 0) [longest, without] = [Math.max(longest, without), 0]
      if (line.what === 'over') running--
    } else if (line.what === 'start' && running === 0) without++
  }
  return Math.max(longest, without)
}

test('four processes, some of them killed, never run more bodies than the global width, and no slot is lost', async t => {
  const globalWidth = 3
  const range = Array.from({ length: 40 }, (_, i) => i)
  const c = await filledFile(range)
  const web = c.start({ who: 'web' })
  await web.reported('ready')
  await web.send('pause', { shared: true })
  const start = (who: string): WorkerProcess => c.start({ who, body: 'long', width: 3, globalWidth, crashLimit: 99 })
  const workers = ['a', 'b', 'c', 'd'].map(start)
  await Promise.all(workers.map(worker => worker.reported('ready')))
  await web.send('resume', { shared: true })
  const runs = (who: string): boolean =>
    stepsOf(c.log().filter(line => line.who === who)).reduce((running, { by }) => running + by, 0) > 0
  /** Jobs that were cancelled while their bodies ran: these go on for a while. */
  const cancelled = (): string[] => {
    const lines = c.log()
    const cancels = lines.filter(({ what }) => what === 'cancelled')
    return cancels
      .filter(({ job, atMs }) => lines.some(line => line.what === 'over' && line.job === job && line.atMs > atMs))
      .map(({ job }) => job)
  }
  const cancelSome = (worker: WorkerProcess): Promise<unknown> =>
    eventually(
      () => worker.send('cancelUnderway') as Promise<number>,
      count => count > 0,
    )
  let cut = 0
  const kill = async (worker: WorkerProcess): Promise<void> => {
    await eventually(
      async () => runs(worker.who),
      running => running,
    )
    if (runs(worker.who)) cut++
    c.note('killed', worker.who)
    worker.kill()
    await worker.exited
  }

  for (const [i, worker] of workers.slice(0, 3).entries()) {
    await passed(800)
    await web.send('putMany', range.slice(20))
    await cancelSome(worker)
    // The bodies of the first ones go on until they end by themselves. On a slow machine a body may end before its
    // cancel is noted, and then others are cancelled.
    if (i === 0)
      await eventually(
        async () => {
          if (cancelled().length === 0) await worker.send('cancelUnderway')
          return cancelled().length
        },
        count => count > 0,
      )
    await web.send('putMany', range.slice(30))
    await kill(worker)
    workers[i] = start(`${worker.who}2`)
    await workers[i]?.reported('ready')
  }
  const afterKills = sharedMs()
  await web.send('putMany', range)
  await Promise.all(workers.map(worker => worker.send('idle')))

  const lines = c.log()
  const steps = stepsOf(lines)
  t.is(mostOf(steps), globalWidth)
  t.true(cut > 0, 'no body was killed')
  t.true(cancelled().length > 0, 'no body went on after its job was cancelled')
  t.is(mostOf(steps, afterKills), globalWidth, 'all slots are used again')
  // A process waits for a turn, and for those before it: for the end of a job each, and until it has noticed that. In
  // that time the others start so many at most, each for 200 ms. A slow machine starts fewer.
  const mostWithout = (globalWidth * (turnMs + 4 * 1_000)) / 200
  const without = longestWithout(lines, 'd')
  t.log(`${c.jobs('start').length} bodies, ${cut} kills with some; ${without} bodies of others began while d had none`)
  t.true(without <= mostWithout, `${without} bodies of others began while d had none`)
  await stopAll(web, ...workers)
  t.deepEqual(c.checkFile(), [])
})

test('a global width that one process sets holds in the others, and over restarts', async t => {
  const c = await filledFile(Array.from({ length: 4 }, (_, i) => i))
  const web = c.start({ who: 'web' })
  const worker = c.start({ who: 'a', body: 'hang', width: 9, globalWidth: 1 })
  await Promise.all([web.reported('ready'), worker.reported('start')])

  await web.send('setGlobalWidth', 3)
  await worker.reported('start', 3)
  t.is(await worker.send('globalWidth'), 3)
  worker.kill()
  await worker.exited

  const next = c.start({ who: 'b', body: 'hang', width: 9, globalWidth: 1 })
  await next.reported('ready')
  t.is(await next.send('globalWidth'), 3)
  t.like(await web.send('overrides'), { globalWidth: 3 })
  await web.send('clearOverrides', 'globalWidth')
  await eventually(
    () => next.send('globalWidth'),
    width => width === 1,
  )
  t.is(await next.send('globalWidth'), 1)
  await stopAll(web, next)
  t.deepEqual(c.checkFile(), [])
})
