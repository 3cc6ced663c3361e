/** Lock files that are cleaned away while their owners live, with real processes: no job runs twice at the same time for it. */
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import test from 'ava'
import { type Crew, crew, disband, filled, leave } from '../support/crew.ts'
import { passed, until } from '../support/halt.ts'

test.after.always('no process stays, and no file', disband)

const lockFiles = (c: Crew): string[] =>
  readdirSync(dirname(c.path))
    .filter(name => name.startsWith(`${basename(c.path)}-rdq-`))
    .map(name => `${dirname(c.path)}/${name}`)

function cleanUp(c: Crew): void {
  for (const file of lockFiles(c)) rmSync(file, { force: true })
}

/** The jobs that began while an earlier run of them was still going on, in whatever process. */
function twiceAtOnce(c: Crew): string[] {
  const running = new Set<string>()
  const twice: string[] = []
  for (const { what, job } of c.log()) {
    if (what === 'start') {
      if (running.has(job)) twice.push(job)
      running.add(job)
    } else if (what === 'over') running.delete(job)
  }
  return twice
}

test('80 jobs in two processes, whose lock files are removed again and again: none runs twice', async t => {
  const count = 80
  const c = await filled(Array.from({ length: count }, (_, i) => i))
  const mates = ['a', 'b'].map(who => c.hire({ who, body: 'long', width: 3, crashLimit: 100 }))
  await Promise.all(mates.map(mate => mate.told('start')))
  while (new Set(c.jobs('finished')).size < count) {
    cleanUp(c)
    await passed(100)
  }
  await leave(...mates)

  t.deepEqual(twiceAtOnce(c), [])
  t.is(c.jobs('start').length, count, 'none ran again')
  t.deepEqual(lockFiles(c), [])
  t.deepEqual(c.autopsy(), [])
})

test('a process that comes after the file was removed waits until the owner has made it anew', async t => {
  const c = await filled([0])
  const a = c.hire({ who: 'a', body: 'hang', crashLimit: 100 })
  await a.told('start')
  cleanUp(c)
  const b = c.hire({ who: 'b', body: 'end', crashLimit: 100 })
  await b.told('ready')
  await until(() => lockFiles(c).length === 2, 'the file is there again')
  await passed(500)

  t.deepEqual(c.jobs('start'), ['job-0'])
  a.kill()
  await a.exited
  await b.told('finished')
  await leave(b)
  t.deepEqual(lockFiles(c), [])
  t.deepEqual(c.autopsy(), [])
})

test('a stopped process whose file was removed keeps its jobs before all that saw it live, and when it goes on makes it anew', async t => {
  const c = await filled([0])
  const a = c.hire({ who: 'a', body: 'hang', crashLimit: 100 })
  await a.told('start')
  const b = c.hire({ who: 'b', body: 'end', crashLimit: 100 })
  await b.told('ready')
  await b.ask('put', 1)
  await b.told('finished')
  await a.halt()
  cleanUp(c)
  // Longer than a worker without a file is taken to live.
  await passed(12_000)

  t.deepEqual(
    c.jobs('start').filter(job => job === 'job-0'),
    ['job-0'],
  )
  a.kill('SIGCONT')
  await until(() => lockFiles(c).length === 2, 'the file is there again')
  await leave(a, b)
  t.deepEqual(twiceAtOnce(c), [])
  t.deepEqual(c.autopsy(), [])
})

test('a worker that died without a file is dead after a while, and its job runs', async t => {
  const c = await filled([0])
  const a = c.hire({ who: 'a', body: 'hang', crashLimit: 100 })
  await a.told('start')
  a.kill()
  await a.exited
  cleanUp(c)
  const b = c.hire({ who: 'b', body: 'end', crashLimit: 100 })
  await b.told('finished')
  await leave(b)
  t.deepEqual(c.jobs('start'), ['job-0', 'job-0'])
  t.deepEqual(c.autopsy(), [])
})

test('a worker that was taken for dead while it stood still signs in again, and dies as any other', async t => {
  const c = await filled([0])
  const a = c.hire({ who: 'a', body: 'hang', width: 2, crashLimit: 100 })
  await a.told('start')
  await a.halt()
  cleanUp(c)
  // One that never saw it live.
  const b = c.hire({ who: 'b', body: 'hang', crashLimit: 100 })
  await b.told('start')
  a.kill('SIGCONT')
  await until(() => lockFiles(c).length === 2, 'the file is there again')
  await b.ask('put', 1, { id: 'second' })
  await a.told('start', 2)
  a.kill()
  await a.exited
  await b.ask('cancel', 'job-0')
  await b.told('start', 2)

  t.deepEqual(c.jobs('start', 'b'), ['job-0', 'second'])
  await leave(b)
  t.deepEqual(c.autopsy(), [])
})

test('a copy of a file that is in use is another file: what was underway in the original runs at once in it', async t => {
  const from = await filled([0])
  const a = from.hire({ who: 'a', body: 'hang', crashLimit: 100 })
  await a.told('start')
  const c = crew(from, 'without locks')
  const b = c.hire({ who: 'b', body: 'end', crashLimit: 100 })
  await b.told('finished')
  await leave(a, b)
  t.deepEqual(c.autopsy(), [])
})
