import { checkerTests } from '../../support/checker-tests.ts'

const I7 = checkerTests('I7')
I7.right('the first that was put starts first, and what is not due is passed over', history =>
  history
    .opened()
    .put('a', { delayMs: 50 })
    .put('b')
    .put('c')
    .at(1)
    .start('b')
    .end('b')
    .start('c')
    .end('c')
    .at(50)
    .start('a'),
)
I7.right('a job that comes back has its old place', history =>
  history
    .opened()
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .release('a', { code: 'Error' })
    .emitted('retry', 'a', { delayMs: 5 })
    .emitted('delayed', 'a')
    .start('b')
    .at(10)
    .end('b')
    .at(11)
    .start('a', 2)
    .end('a')
    .start('c'),
)
I7.right('what another process may have had is no offence', history =>
  history.opened().put('a').put('b').in('b').opened().at(5).start('b').in('a').at(6).start('a'),
)
I7.right(
  'the put that was accepted says where a job is, not one that its process did not live to see answered',
  history =>
    history
      .opened()
      .called('a')
      .crash()
      .in('b')
      .opened({ paused: true })
      .put('b')
      .put('a', { priority: 1 })
      .at(5)
      .add({ kind: 'resume', shared: false })
      .start('b'),
)
I7.right("what a dead process had room for may be nobody's for a while", history =>
  history.opened().put('a').put('b').at(5).crash().in('b').opened().at(6).start('b').end('b').start('a'),
)
I7.right('a job that was put while a change of its priority was on its way may be anywhere', history =>
  history
    .opened()
    .add({ kind: 'reprioritize', call: 90, job: 'a', priority: 2 })
    .put('a')
    .put('b')
    .add({ kind: 'refused', of: 'reprioritize', call: 90, code: 'OUTCOME_UNKNOWN' })
    .at(5)
    .start('b'),
)
I7.wrong(
  'a change that was answered before the job was put is none of it',
  /job b started while job a was due/,
  history =>
    history
      .opened()
      .add({ kind: 'reprioritize', call: 90, job: 'a', priority: 2 })
      .add({ kind: 'refused', of: 'reprioritize', call: 90, code: 'JOB_UNKNOWN' })
      .put('a')
      .put('b')
      .at(5)
      .start('b'),
)
I7.wrong('the second before the first', /job b started while job a was due and comes before it/, history =>
  history
    .opened({ paused: true })
    .put('a')
    .put('b')
    .at(5)
    .add({ kind: 'resume', shared: false })
    .start('b')
    .end('b')
    .start('a'),
)
I7.wrong('a job that comes back and goes to the end', /job c started while job a was due/, history =>
  history
    .opened()
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .release('a', { code: 'Error' })
    .emitted('retry', 'a', { delayMs: 5 })
    .emitted('delayed', 'a')
    .start('b')
    .at(10)
    .end('b')
    .start('c')
    .end('c')
    .start('a', 2),
)
I7.wrong('a job that the same process passes over', /job b started while job a was due/, history =>
  history.opened().in('b').opened().put('a').put('b').at(5).start('b').end('b').start('a'),
)
const once = { attempt: 1, fence: 1 }
I7.right('a job that was given out first, and whose launch had to be stored before its first line', history =>
  history
    .opened({ width: 2, paused: true })
    .put('a')
    .put('b')
    .at(5)
    .add({ kind: 'resume', shared: false })
    .emitted('underway', 'a')
    .emitted('underway', 'b')
    .add({ kind: 'launch', job: 'b', ...once })
    .add({ kind: 'launch', job: 'a', ...once }),
)
I7.wrong('a job that was given out second', /job b started while job a was due/, history =>
  history
    .opened({ width: 2, paused: true })
    .put('a')
    .put('b')
    .at(5)
    .add({ kind: 'resume', shared: false })
    .emitted('underway', 'b')
    .emitted('underway', 'a')
    .add({ kind: 'launch', job: 'b', ...once })
    .add({ kind: 'launch', job: 'a', ...once }),
)
I7.wrong(
  'a job that was given out first, and went back before its first line',
  /job b started while job a was due/,
  history =>
    history
      .opened({ width: 2, paused: true })
      .put('a')
      .put('b')
      .at(5)
      .add({ kind: 'resume', shared: false })
      .emitted('underway', 'a')
      .emitted('pending', 'a')
      .at(6)
      .start('b'),
)
I7.right('a job that a process was given when it died', history =>
  history
    .opened({ paused: true })
    .put('a')
    .put('b')
    .in('b')
    .opened({ paused: true })
    .at(5)
    .add({ kind: 'resume', shared: false })
    .emitted('underway', 'a')
    .crash()
    .in('a')
    .add({ kind: 'resume', shared: false })
    .at(6)
    .start('b'),
)
I7.right(
  'within the slack, the order of giving out is not known',
  history => history.opened().put('a').put('b').at(5).start('b').end('b').start('a'),
  { slackMs: 5 },
)

const I8 = checkerTests('I8')
const paused = { paused: true }
const resume = { kind: 'resume', shared: false } as const
I8.right('the most important first, as they are now', history =>
  history
    .opened(paused)
    .put('a')
    .put('b', { priority: 1 })
    .put('c', { priority: 2 })
    .change('reprioritize', 'c', -1)
    .at(5)
    .add(resume)
    .start('c')
    .end('c')
    .start('a')
    .end('a')
    .start('b'),
)
I8.right('a more important one that came while the other was given out', history =>
  history.opened().put('a').at(5).put('b', { priority: -1 }).start('a'),
)
I8.right('one whose change is not answered may be anywhere', history =>
  history
    .opened(paused)
    .put('a')
    .put('b', { priority: -1 })
    .add({ kind: 'cancel', call: 90, job: 'b' })
    .at(5)
    .add(resume)
    .start('a'),
)
I8.right('a put that waited for room until its id was forgotten makes another job, at a place of its own', history =>
  history
    .opened()
    .put('a', { priority: 1 })
    .called('a', { priority: 0 })
    .start('a')
    .end('a')
    .put('b', { priority: 0 })
    .emitted('pending', 'a')
    .at(10)
    .start('a'),
)
I8.right('a put of a job that is retried meanwhile: its event does not show the priority of the put', history =>
  history
    .opened({ width: 2 })
    .put('a')
    .start('a')
    .release('a', { code: 'no' })
    .announced('a', 'failed')
    .in('b')
    .opened({ works: false })
    .add({ kind: 'retry', call: 90, job: 'a' })
    .called('a', { priority: 1, call: 91 })
    .emitted('pending', 'a')
    .add({ kind: 'answered', of: 'retry', call: 90 })
    .add({ kind: 'refused', of: 'put', call: 91, code: 'ID_CONFLICT' })
    .put('c')
    .in('a')
    .at(5)
    .start('a')
    .start('c'),
)
I8.wrong('the less important first', /job a started while job b was due and comes before it/, history =>
  history.opened(paused).put('a').put('b', { priority: -1 }).at(5).add(resume).start('a'),
)
I8.right('a job that was rescheduled is overtaken until it is due', history =>
  history
    .opened(paused)
    .put('a', { priority: -1 })
    .put('b')
    .change('reschedule', 'a', 10)
    .add(resume)
    .at(5)
    .start('b')
    .end('b')
    .at(10)
    .start('a'),
)
I8.wrong(
  'a job that was promoted, and starts behind a less important one',
  /job b started while job a was due/,
  history =>
    history
      .opened(paused)
      .put('a', { priority: -1, delayMs: 100 })
      .put('b')
      .change('promote', 'a')
      .at(5)
      .add(resume)
      .start('b'),
)
I8.wrong('a priority that was changed and is not obeyed', /job a started while job b was due/, history =>
  history
    .opened(paused)
    .put('a')
    .put('b', { priority: 1 })
    .change('reprioritize', 'b', -1)
    .at(5)
    .add(resume)
    .start('a'),
)

I7.right('an id that was removed and put anew by two: nobody tells which came last', history =>
  history
    .opened({ width: 2 })
    .in('b')
    .opened()
    .called('a', { call: 90 })
    .called('b', { call: 90 })
    .in('a')
    .add({ kind: 'remove', call: 91, job: 'a' })
    .called('a', { call: 92 })
    .emitted('pending', 'a')
    .add({ kind: 'accepted', call: 92, job: 'a', existed: false })
    .add({ kind: 'answered', of: 'remove', call: 91, value: true })
    .in('b')
    .emitted('pending', 'a')
    .emitted('pending', 'b')
    .add({ kind: 'accepted', call: 90, job: 'a', existed: false })
    .add({ kind: 'accepted', call: 90, job: 'b', existed: false })
    .at(1)
    .in('a')
    .start('b')
    .start('a'),
)
I8.right('a delay over a loss of power and a jump of the wall clock', history =>
  history
    .opened({ works: false })
    .put('a', { delayMs: 200, priority: -1 })
    .put('b')
    .crash()
    .add({ kind: 'fault', what: 'power cut' })
    .at(3_000)
    .jump(-9_000)
    .in('b')
    .opened()
    .start('b')
    .end('b')
    .start('a'),
)
I8.wrong('a delay over a loss of power', /job b started while job a was due/, history =>
  history
    .opened({ works: false })
    .put('a', { delayMs: 200, priority: -1 })
    .put('b')
    .crash()
    .add({ kind: 'fault', what: 'power cut' })
    .at(3_000)
    .in('b')
    .opened()
    .start('b')
    .end('b')
    .start('a'),
)
I8.right('a hold of a key over a loss of power and a jump of the wall clock', history =>
  history
    .opened()
    .put('a', { key: 'k', priority: -1 })
    .put('b')
    .start('a')
    .release('a', { code: 'THROTTLED', afterMs: 40, heldKey: 'k' })
    .emitted('pending', 'a')
    .add({ kind: 'width', width: 0 })
    .crash()
    .add({ kind: 'fault', what: 'power cut' })
    .at(3_000)
    .jump(-9_000)
    .in('b')
    .opened()
    .start('b')
    .end('b')
    .start('a'),
)
I8.wrong('a hold of a key over a loss of power', /job b started while job a was due/, history =>
  history
    .opened()
    .put('a', { key: 'k', priority: -1 })
    .put('b')
    .start('a')
    .release('a', { code: 'THROTTLED', afterMs: 40, heldKey: 'k' })
    .emitted('pending', 'a')
    .add({ kind: 'width', width: 0 })
    .crash()
    .add({ kind: 'fault', what: 'power cut' })
    .at(3_000)
    .in('b')
    .opened()
    .start('b')
    .end('b')
    .start('a'),
)

I7.right('a priority that was changed before the put was answered', history =>
  history
    .opened()
    .put('a')
    .called('b', { call: 90 })
    .add({ kind: 'reprioritize', call: 91, job: 'b', priority: -1 })
    .add({ kind: 'answered', of: 'reprioritize', call: 91 })
    .emitted('pending', 'b')
    .add({ kind: 'accepted', call: 90, job: 'b', existed: false })
    .at(1)
    .start('b')
    .end('b')
    .start('a'),
)
I7.right('one that another process was given and gave back', history =>
  history
    .opened()
    .in('b')
    .opened()
    .put('a')
    .put('b')
    .at(1)
    .in('a')
    .start('b')
    .end('b')
    .start('a', 1, { fence: 2 })
    .in('b')
    .emitted('pending', 'a'),
)
I7.wrong('one that nobody else was given', /job b started while job a was due/, history =>
  history.opened().in('b').opened().put('a').put('b').at(1).in('a').start('b').end('b').start('a', 1, { fence: 1 }),
)

I8.right('a job with a crash counted against it is in a line of its own', history =>
  history
    .opened()
    .put('a')
    .put('b', { priority: -1 })
    .at(5)
    .start('b')
    .crash()
    .in('b')
    .opened()
    .emitted('recovered', 'b', { state: 'pending' })
    .at(10)
    .start('a')
    .end('a')
    .start('b', 1, { crashes: 1 }),
)
I7.wrong('within a key, also where keys share', /job b started while job a was due/, history =>
  history.sharing({}, { width: 1 }).put('a', { key: 'k' }).put('b', { key: 'k' }).at(1).start('b'),
)
I7.right('where keys share, another key may be next', history =>
  history.sharing({}, { width: 1 }).put('a', { key: 'k' }).put('b', { key: 'l' }).at(1).start('b'),
)
I8.right('where keys share, priority decides within a key', history =>
  history.sharing({}, { width: 1 }).put('a', { key: 'k', priority: -1 }).put('b', { key: 'l' }).at(1).start('b'),
)
I8.right("with order: 'priority' a key that is at its width is passed over", history =>
  history
    .sharing({ width: 1, order: 'priority' })
    .put('a', { key: 'k' })
    .put('b', { key: 'k', priority: -1 })
    .put('c', { key: 'l' })
    .start('b')
    .at(1)
    .start('c'),
)
I8.wrong(
  "with order: 'priority' the most important job of all keys is next",
  /job b started while job a was due/,
  history =>
    history
      .sharing({ width: 1, order: 'priority' })
      .put('a', { key: 'k', priority: -1 })
      .put('b', { key: 'l' })
      .at(1)
      .start('b'),
)
