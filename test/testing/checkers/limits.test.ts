import { ruleOf } from '../../../testing/history-builder.ts'
import { checkerTests } from '../../support/checker-tests.ts'

const I4 = checkerTests('I4')
I4.right('as many as the width, and a slot is free when its body has ended', history =>
  history.opened({ width: 2 }).put('a').put('b').put('c').start('a').start('b').release('a').start('c'),
)
I4.right('each process has a width of its own, and a dead one no bodies', history =>
  history
    .opened()
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .in('b')
    .opened()
    .start('b')
    .in('a')
    .crash()
    .opened()
    .start('c'),
)
I4.wrong('one more than the width', /job b started while 1 ran, at a width of 1/, history =>
  history.opened().put('a').put('b').start('a').start('b'),
)
I4.wrong('a cancelled job frees no slot while its body goes on', /job b started while 1 ran/, history =>
  history.opened().put('a').put('b').start('a').change('cancel', 'a').start('b'),
)
I4.wrong('above the new width after it was made narrower', /job c started while 1 ran, at a width of 1/, history =>
  history
    .opened({ width: 2 })
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .start('b')
    .add({ kind: 'width', width: 1 })
    .release('a')
    .start('c'),
)
I4.wrong('at a width of 0', /at a width of 0/, history => history.opened({ width: 0 }).put('a').start('a'))

const I5 = checkerTests('I5')
const wide = { width: 10 }
const twoPer100 = { ...wide, rules: [ruleOf(2, 100)] }
I5.right('a start exactly one window ago is outside', history =>
  history.opened(twoPer100).put('a').put('b').put('c').start('a').at(50).start('b').at(100).start('c'),
)
const jittered = (jitterMs: number) => ({ ...wide, rules: [ruleOf(1, 100, { jitterMs })] })
I5.wrong('within the window that a jitter lengthens', /within 120 ms that may have 1/, history =>
  history.opened(jittered(20)).put('a').put('b').start('a').at(119).start('b'),
)
I5.right('after the window that a jitter lengthens', history =>
  history.opened(jittered(20)).put('a').put('b').start('a').at(120).start('b'),
)
I5.right('nobody knows by how much a learned jitter lengthens a window', history =>
  history
    .opened({ ...wide, rules: [ruleOf(1, 100, { jitter: 'learn', jitterMs: 20 })] })
    .put('a')
    .put('b')
    .start('a')
    .at(100)
    .start('b'),
)
I5.right('a cost counts as corrected once that is known', history =>
  history
    .opened({ ...wide, rules: [ruleOf(10, 100, { unit: 'tokens' })] })
    .put('a', { cost: { tokens: 8 } })
    .put('b', { cost: { tokens: 8 } })
    .start('a')
    .add({ kind: 'spent', job: 'a', attempt: 1, cost: { tokens: 2 } })
    .at(10)
    .start('b'),
)
I5.right('what the rules before had forgotten, those after cannot know', history =>
  history
    .opened({ ...wide, rules: [ruleOf(1, 10)] })
    .put('a')
    .put('b')
    .start('a')
    .at(20)
    .add({ kind: 'rate', rules: [ruleOf(1, 100)] })
    .at(21)
    .start('b'),
)
I5.right('a job that was given out before a change may start by the rules of then', history =>
  history
    .opened({ ...wide, rules: [ruleOf(2, 100)] })
    .put('a')
    .put('b')
    .start('a')
    .at(10)
    .add({ kind: 'rate', rules: [ruleOf(1, 100)] })
    .at(14)
    .start('b'),
)
I5.right('a program that declares nothing new leaves in force what was set', history =>
  history
    .opened(twoPer100)
    .put('a')
    .put('b')
    .put('c')
    .add({ kind: 'rate', rules: [ruleOf(3, 100)] })
    .in('b')
    .opened(twoPer100)
    .start('a')
    .start('b')
    .start('c'),
)
I5.right('a burst, and then evenly', history =>
  history
    .opened({ ...wide, rules: [ruleOf(4, 100, { burst: 2 })] })
    .put('a')
    .put('b')
    .put('c')
    .put('d')
    .start('a')
    .start('b')
    .at(25)
    .start('c')
    .at(50)
    .start('d'),
)
I5.right('nothing starts before a hold is over', history =>
  history
    .opened(wide)
    .put('a')
    .put('b')
    .start('a')
    .release('a', { code: 'THROTTLED', afterMs: 50 })
    .emitted('pending', 'a')
    .at(50)
    .start('b'),
)
I5.wrong(
  'one more in a window that is not that of the clock',
  /job c started, and with it 3 starts lie within 100 ms that may have 2/,
  history =>
    history.opened(twoPer100).put('a').put('b').put('c').at(60).start('a').at(99).start('b').at(159).start('c'),
)
I5.wrong('one more by another process', /3 starts lie within 100 ms/, history =>
  history
    .opened(twoPer100)
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .start('b')
    .in('b')
    .opened(twoPer100)
    .at(99)
    .start('c'),
)
I5.wrong('one more after a restart', /3 starts lie within 100 ms/, history =>
  history
    .opened(twoPer100)
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .start('b')
    .crash()
    .opened(twoPer100)
    .at(99)
    .start('c'),
)
I5.wrong('the second of two rules', /2 starts lie within 1000 ms that may have 1/, history =>
  history
    .opened({ ...wide, rules: [ruleOf(2, 100), ruleOf(1, 1_000)] })
    .put('a')
    .put('b')
    .start('a')
    .at(500)
    .start('b'),
)
I5.wrong('more cost than a window may have', /12 tokens lie within 100 ms that may have 10/, history =>
  history
    .opened({ ...wide, rules: [ruleOf(10, 100, { unit: 'tokens' })] })
    .put('a', { cost: { tokens: 6 } })
    .put('b', { cost: { tokens: 6 } })
    .start('a')
    .at(50)
    .start('b'),
)
I5.right('a cost that turned out to be more, in a process that died before the run had ended', history =>
  history
    .opened({ ...wide, rules: [ruleOf(10, 100, { unit: 'tokens' })] })
    .put('a', { cost: { tokens: 1 } })
    .put('b', { cost: { tokens: 6 } })
    .start('a')
    .add({ kind: 'spent', job: 'a', attempt: 1, cost: { tokens: 9 } })
    .crash()
    .in('b')
    .opened({ ...wide, rules: [ruleOf(10, 100, { unit: 'tokens' })] })
    .at(50)
    .start('b'),
)
I5.wrong('a cost that turned out to be more, in a process that died after the run had ended', /15 tokens/, history =>
  history
    .opened({ ...wide, rules: [ruleOf(10, 100, { unit: 'tokens' })] })
    .put('a', { cost: { tokens: 1 } })
    .put('b', { cost: { tokens: 6 } })
    .start('a')
    .add({ kind: 'spent', job: 'a', attempt: 1, cost: { tokens: 9 } })
    .end('a')
    .crash()
    .in('b')
    .opened({ ...wide, rules: [ruleOf(10, 100, { unit: 'tokens' })] })
    .at(50)
    .start('b'),
)
I5.wrong('a cost that turned out to be more', /15 tokens lie within 100 ms/, history =>
  history
    .opened({ ...wide, rules: [ruleOf(10, 100, { unit: 'tokens' })] })
    .put('a', { cost: { tokens: 1 } })
    .put('b', { cost: { tokens: 6 } })
    .start('a')
    .add({ kind: 'spent', job: 'a', attempt: 1, cost: { tokens: 9 } })
    .at(50)
    .start('b'),
)
I5.wrong('by rules that were changed long enough ago', /2 starts lie within 100 ms that may have 1/, history =>
  history
    .opened({ ...wide, rules: [ruleOf(2, 100)] })
    .put('a')
    .put('b')
    .start('a')
    .at(10)
    .add({ kind: 'rate', rules: [ruleOf(1, 100)] })
    .at(16)
    .start('b'),
)
I5.wrong('by rules that are declared again after they were cleared', /3 starts lie within 100 ms/, history =>
  history
    .opened(twoPer100)
    .put('a')
    .put('b')
    .put('c')
    .add({ kind: 'rate', rules: [] })
    .crash()
    .opened(twoPer100)
    .start('a')
    .start('b')
    .at(6)
    .start('c'),
)
I5.right('of what two processes set, either may be in force', history =>
  history
    .opened(twoPer100)
    .put('a')
    .put('b')
    .put('c')
    .add({ kind: 'rate', rules: [ruleOf(3, 100)] })
    .in('b')
    .opened(twoPer100)
    .add({ kind: 'rate', rules: [ruleOf(2, 100)] })
    .at(50)
    .start('a')
    .start('b')
    .start('c'),
)
I5.wrong('sooner than an even flow after the burst', /job c started, before 25 ms/, history =>
  history
    .opened({ ...wide, rules: [ruleOf(4, 100, { burst: 2 })] })
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .start('b')
    .at(24)
    .start('c'),
)
I5.wrong('while Throttled holds the rate', /job b started before 50 ms, until when the rate is held/, history =>
  history
    .opened(wide)
    .put('a')
    .put('b')
    .start('a')
    .release('a', { code: 'THROTTLED', afterMs: 50 })
    .emitted('pending', 'a')
    .at(49)
    .start('b'),
)

const I6 = checkerTests('I6')
I6.right('a job starts when it is due and there is room', history =>
  history.opened().put('a').put('b', { delayMs: 50 }).start('a').at(100).end('a').start('b').at(200).end('b'),
)
I6.right('what is paused, held, full or blocked need not start', history =>
  history
    .opened({ rules: [ruleOf(1, 100)] })
    .put('a')
    .put('b')
    .start('a')
    .end('a')
    .at(100)
    .start('b')
    .end('b')
    .add({ kind: 'pause', call: 90, shared: false, tasks: false })
    .put('c')
    .at(500)
    .add({ kind: 'resume', shared: false })
    .add({ kind: 'width', width: 0 })
    .at(600)
    .add({ kind: 'width', width: 1 })
    .at(700)
    .add({ kind: 'block', ms: 100 })
    .start('c')
    .end('c'),
)
I6.right('a key that is held waits, and so does a job that asked for later', history =>
  history
    .opened({ width: 2 })
    .put('a', { key: 'k' })
    .put('b', { key: 'k' })
    .put('c')
    .start('a')
    .release('a', { code: 'THROTTLED', afterMs: 50, heldKey: 'k' })
    .emitted('pending', 'a')
    .start('c')
    .release('c', { code: 'RETRY_LATER', afterMs: 90 })
    .emitted('delayed', 'c')
    .at(50)
    .start('a')
    .start('b')
    .at(90)
    .release('a')
    .start('c'),
)
I6.right('a queue that only puts starts nothing', history =>
  history
    .opened({ works: false })
    .put('a')
    .at(100)
    .put('b')
    .in('b')
    .opened()
    .start('a')
    .end('a')
    .start('b')
    .end('b')
    .at(200)
    .put('c')
    .at(200),
)
I6.right('a job that a process which died may have called counts within the window', history =>
  history
    .opened({ rules: [ruleOf(1, 100)] })
    .crash()
    .in('b')
    .opened({ rules: [ruleOf(1, 100)] })
    .put('a')
    .at(100)
    .start('a'),
)
I6.wrong(
  'what a process that died may have called counts for one window',
  /job a could have started at 100 ms/,
  history =>
    history
      .opened({ rules: [ruleOf(1, 100)] })
      .crash()
      .in('b')
      .opened({ rules: [ruleOf(1, 100)] })
      .put('a')
      .at(200)
      .start('a'),
)
I6.wrong('a queue that never starts anything', /job a could have started at 0 ms and had not by 500 ms/, history =>
  history.opened().put('a').at(500).emitted('idle'),
)
I6.wrong('a wider width that is not used', /job b could have started at 10 ms/, history =>
  history.opened().put('a').put('b').start('a').at(10).add({ kind: 'width', width: 2 }).at(500).end('a'),
)
I6.wrong('a delay that is over', /job a could have started at 50 ms/, history =>
  history.opened().put('a', { delayMs: 50 }).at(60).start('a'),
)
I6.wrong('a runAt that is over', /job a could have started at 50 ms/, history =>
  history.opened().put('a', { runAtMs: 50 }).at(60).start('a'),
)
I6.wrong('a window that is over', /job b could have started at 100 ms/, history =>
  history
    .opened({ ...wide, rules: [ruleOf(1, 100)] })
    .put('a')
    .put('b')
    .start('a')
    .end('a')
    .at(102)
    .start('b'),
)
I6.wrong('a resume that wakes nobody', /job a could have started at 10 ms/, history =>
  history.opened({ paused: true }).put('a').at(10).add({ kind: 'resume', shared: false }).at(20).start('a'),
)
I6.right('as late as it may be', history => history.opened().put('a').at(20).start('a'), { lateMs: 20 })

I6.right('a job whose body began and came back before its reschedule was answered waits as that body asked', history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'reschedule', call: 900, job: 'a', delayMs: 0 })
    .start('a')
    .release('a', { code: 'RETRY_LATER', afterMs: 100 })
    .emitted('delayed', 'a')
    .add({ kind: 'answered', of: 'reschedule', call: 900, value: true })
    .at(90)
    .found({ a: 'delayed' }),
)
I6.right('a job that was rescheduled to an instant of a wall clock that jumps is judged no more', history =>
  history
    .opened()
    .put('b')
    .start('b')
    .end('b')
    .put('a')
    .add({ kind: 'reschedule', call: 900, job: 'a', runAtMs: 30 })
    .emitted('delayed', 'a')
    .add({ kind: 'answered', of: 'reschedule', call: 900, value: true })
    .add({ kind: 'jump', ms: -5_000 })
    .at(2_000)
    .found({ a: 'delayed' }),
)
I6.wrong('a time to which it was rescheduled that is over', /job a could have started at 50 ms/, history =>
  history.opened().put('a').change('reschedule', 'a', 50).at(500).found({ a: 'delayed' }),
)
I6.right('a key that is at its width, paused or held waits as long as it takes', history =>
  history
    .sharing({ width: 1 })
    .put('a', { key: 'k' })
    .put('b', { key: 'k' })
    .put('c', { key: 'l' })
    .start('a')
    .key('l', { paused: true })
    .at(500)
    .end('a')
    .start('b')
    .end('b')
    .key('l', { paused: false })
    .start('c'),
)
I6.wrong('a key that has room again starts at once', /job b could have started at 10 ms/, history =>
  history
    .sharing({ width: 1 })
    .put('a', { key: 'k' })
    .put('b', { key: 'k' })
    .at(1)
    .start('a')
    .at(10)
    .end('a')
    .at(500)
    .start('b'),
)

checkerTests('I5').wrong(
  'clearOverrides goes back to what was declared, also from no rules at all',
  /and with it 2 starts/,
  history =>
    history
      .opened({ width: 9, rules: [ruleOf(1, 100)] })
      .add({ kind: 'rate', rules: [] })
      .at(10)
      .add({ kind: 'clearOverrides', call: 99 })
      .at(50)
      .put('a')
      .start('a')
      .put('b')
      .start('b'),
)
