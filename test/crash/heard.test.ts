/** Who hears of what a crash did to a job: the worker that goes on with the name, and whoever put the job and waits. */
import test, { type ExecutionContext } from 'ava'
import { type Crew, crew, disband, filled, leave, type Mate } from '../support/crew.ts'

test.after.always('no process stays, and no file', disband)

/** A worker that dies while it runs so many jobs, and a process without a handler, which is the only one to notice. */
async function noticedByWeb(jobs: number): Promise<{ c: Crew; web: Mate }> {
  const c = await filled(Array.from({ length: jobs }, (_, i) => i))
  const dying = c.hire({ who: 'dying', body: 'deaf', width: jobs, afterCrash: 'fail' })
  await dying.told('start', jobs)
  const web = c.hire({ who: 'web' })
  await web.told('ready')
  dying.kill()
  await dying.exited
  return { c, web }
}
const counted = async (web: Mate, state: string, count: number): Promise<void> => {
  while (((await web.ask('counts')) as Record<string, number>)[state] !== count) await web.ask('jobs')
}
const heardBy = (c: Crew, t: ExecutionContext, who: string, jobs: number): void => {
  const ids = Array.from({ length: jobs }, (_, i) => `job-${i}`)
  t.deepEqual(c.jobs('recovered', who), ids)
  t.deepEqual(c.jobs('failed', who), ids)
}

test('a worker that starts after a process without a handler noticed the death hears of the endings, once', async t => {
  const { c, web } = await noticedByWeb(3)
  await counted(web, 'failed', 3)

  const next = c.hire({ who: 'next', body: 'end', afterCrash: 'fail' })
  await next.told('failed', 3)
  await leave(next)
  const after = c.hire({ who: 'after', body: 'end', afterCrash: 'fail' })
  await after.told('ready')
  await after.ask('idle')

  heardBy(c, t, 'next', 3)
  heardBy(c, t, 'web', 0)
  heardBy(c, t, 'after', 0)
  await leave(after, web)
  t.deepEqual(c.autopsy(), [])
})

test('a worker that lives hears of the endings, whoever noticed the death', async t => {
  const c = await filled([0, 1])
  const dying = c.hire({ who: 'dying', body: 'deaf', width: 2, afterCrash: 'fail' })
  await dying.told('start', 2)
  const webs = ['a', 'b', 'c'].map(who => c.hire({ who }))
  for (const web of webs) await web.told('ready')
  const living = c.hire({ who: 'living', body: 'end', afterCrash: 'fail' })
  await living.told('ready')

  dying.kill()
  await living.told('failed', 2)

  heardBy(c, t, 'living', 2)
  await leave(living, ...webs)
  t.deepEqual(c.autopsy(), [])
})

test('who put a job and waits for its result learns that it failed, though no worker is left', async t => {
  const c = crew()
  const web = c.hire({ who: 'web' })
  await web.told('ready')
  const dying = c.hire({ who: 'dying', body: 'deaf', afterCrash: 'fail' })
  await dying.told('ready')
  const run = web.ask('run', 1)
  run.catch(() => {})
  await dying.told('start')

  dying.kill()

  t.is(await run.catch(({ code }) => code), 'POISON')
  await leave(web)
  t.deepEqual(c.autopsy(), [])
})

test('a worker that dies as soon as it has heard the first of them leaves no ending unheard', async t => {
  const { c, web } = await noticedByWeb(3)
  await counted(web, 'failed', 3)
  const short = c.hire({ who: 'short', body: 'end', afterCrash: 'fail', fate: { at: 'recovered' } })
  await short.exited

  const next = c.hire({ who: 'next', body: 'end', afterCrash: 'fail' })
  await next.told('failed', 3)

  heardBy(c, t, 'next', 3)
  await leave(next, web)
  t.deepEqual(c.autopsy(), [])
})
