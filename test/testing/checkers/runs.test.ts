import { checkerTests } from '../../support/checker-tests.ts'

const I9 = checkerTests('I9')
I9.right('1, 2, 3, and anew after a retry by hand', history =>
  history
    .opened({ attempts: 2 })
    .put('a')
    .start('a', 1)
    .release('a', { code: 'Error' })
    .emitted('retry', 'a')
    .emitted('pending', 'a')
    .start('a', 2)
    .release('a', { code: 'Error' })
    .announced('a', 'failed')
    .change('retry', 'a')
    .start('a', 1),
)
I9.right('RetryLater, Throttled and a crash use none', history =>
  history
    .opened()
    .put('a')
    .start('a', 1)
    .release('a', { code: 'RETRY_LATER', afterMs: 0 })
    .emitted('pending', 'a')
    .start('a', 1)
    .release('a', { code: 'THROTTLED', afterMs: 0 })
    .emitted('pending', 'a')
    .start('a', 1)
    .crash()
    .in('b')
    .opened()
    .emitted('recovered', 'a')
    .start('a', 1),
)
I9.right('what a body threw may or may not be stored when its process dies', history =>
  history
    .opened()
    .put('a')
    .put('b')
    .start('a', 1)
    .release('a', { code: 'Error' })
    .start('b', 1)
    .release('b', { code: 'Error' })
    .crash()
    .in('b')
    .opened({ width: 2 })
    .start('a', 1)
    .start('b', 2),
)
I9.right('a body that returned may have done so too late', history =>
  history.opened().put('a').start('a', 1).release('a').crash().in('b').opened().start('a', 2),
)
I9.wrong('a gap', /job a started at attempt 3, not 2/, history =>
  history
    .opened()
    .put('a')
    .start('a', 1)
    .release('a', { code: 'Error' })
    .emitted('retry', 'a')
    .emitted('pending', 'a')
    .start('a', 3),
)
I9.wrong('a first attempt that is not 1', /job a started at attempt 2, not 1/, history =>
  history.opened().put('a').start('a', 2),
)
I9.wrong('an attempt that is not counted', /job a started at attempt 1, not 2/, history =>
  history
    .opened()
    .put('a')
    .start('a', 1)
    .release('a', { code: 'Error' })
    .emitted('retry', 'a')
    .emitted('pending', 'a')
    .start('a', 1),
)
I9.wrong('RetryLater that uses one', /job a started at attempt 2, not 1/, history =>
  history
    .opened()
    .put('a')
    .start('a', 1)
    .release('a', { code: 'RETRY_LATER', afterMs: 0 })
    .emitted('pending', 'a')
    .start('a', 2),
)
I9.wrong('a crash that uses one', /job a started at attempt 2, not 1/, history =>
  history.opened().put('a').start('a', 1).crash().in('b').opened().start('a', 2),
)
I9.wrong('more than it may have', /job a started at attempt 2 of 1/, history =>
  history
    .opened({ attempts: 1 })
    .put('a')
    .start('a', 1)
    .release('a', { code: 'Error' })
    .emitted('retry', 'a')
    .emitted('pending', 'a')
    .start('a', 2),
)
I9.wrong('more than its put allows', /job a started at attempt 2 of 1/, history =>
  history
    .opened({ attempts: 5 })
    .put('a', { attempts: 1 })
    .start('a', 1)
    .release('a', { code: 'Error' })
    .emitted('retry', 'a')
    .emitted('pending', 'a')
    .start('a', 2),
)

const I14 = checkerTests('I14')
I14.right('at its time', history =>
  history
    .opened()
    .put('a', { delayMs: 50 })
    .put('b', { runAtMs: 70 })
    .at(50)
    .start('a')
    .release('a', { code: 'Error' })
    .emitted('retry', 'a', { delayMs: 20 })
    .emitted('delayed', 'a')
    .at(70)
    .start('a', 2)
    .end('a')
    .start('b'),
)
I14.right('a runAt by the wall clock, wherever that jumps', history =>
  history.opened().put('a', { runAtMs: 1_000 }).jump(1_000).jump(-1_000).start('a'),
)
I14.right('a retry by hand waits for nothing', history =>
  history
    .opened()
    .put('a', { delayMs: 50 })
    .put('b', { delayMs: 5 })
    .change('cancel', 'a')
    .change('retry', 'a')
    .start('a')
    .end('a')
    .at(5)
    .start('b'),
)
I14.right('a job that was promoted, or rescheduled to an earlier time, waits for its delay no more', history =>
  history
    .opened()
    .put('a', { delayMs: 50 })
    .put('b', { delayMs: 50 })
    .change('promote', 'a')
    .change('reschedule', 'b', 20)
    .start('a')
    .end('a')
    .at(20)
    .start('b'),
)
I14.wrong('sooner than it was rescheduled to', /job a started before 70 ms, to which it was rescheduled/, history =>
  history.opened().put('a').change('reschedule', 'a', 70).at(69).start('a'),
)
I14.wrong('before its delay is over', /job a started before 50 ms, its delay/, history =>
  history.opened().put('a', { delayMs: 50 }).at(49).start('a'),
)
I14.wrong('before its runAt', /job a started before its runAt of 50/, history =>
  history.opened().put('a', { runAtMs: 50 }).at(49).start('a'),
)
I14.wrong('a wall clock that jumps makes no delay shorter', /job a started before 50 ms/, history =>
  history.opened().put('a', { delayMs: 50 }).jump(1_000).at(10).start('a'),
)
I14.wrong('before its backoff is over', /job a started before 30 ms, the wait before its next attempt/, history =>
  history
    .opened()
    .put('a')
    .at(10)
    .start('a')
    .release('a', { code: 'Error' })
    .emitted('retry', 'a', { delayMs: 20 })
    .emitted('delayed', 'a')
    .at(29)
    .start('a', 2),
)
I14.wrong('sooner than RetryLater requires', /job a started before 20 ms, as RetryLater requires/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .release('a', { code: 'RETRY_LATER', afterMs: 20 })
    .emitted('delayed', 'a')
    .at(19)
    .start('a'),
)

const retry = { attempts: 3, delayMs: 10, factor: 2, maxMs: 15, jitter: false }
I14.right('the wait grows from attempt to attempt, up to the most', history =>
  history
    .opened({ retry })
    .put('a')
    .start('a')
    .emitted('retry', 'a', { delayMs: 10 })
    .emitted('delayed', 'a')
    .at(10)
    .start('a', 2)
    .emitted('retry', 'a', { delayMs: 15 }),
)
I14.right('with jitter it is from a half of it up, and a put may bring its own', history =>
  history
    .opened({ retry })
    .put('a', { retry: { ...retry, delayMs: 8, jitter: true } })
    .start('a')
    .emitted('retry', 'a', { delayMs: 5 }),
)
I14.wrong('a wait that is shorter than was asked', /job a waits 10 ms, not 15 to 15/, history =>
  history
    .opened({ retry })
    .put('a')
    .start('a')
    .emitted('retry', 'a', { delayMs: 10 })
    .emitted('delayed', 'a')
    .at(10)
    .start('a', 2)
    .emitted('retry', 'a', { delayMs: 10 }),
)

const I17 = checkerTests('I17')
I17.right(
  'as many deaths as there may be, one of a run that was perhaps not called, and then a retry by hand',
  history =>
    history
      .opened({ crashLimit: 2 })
      .put('a')
      .start('a')
      .crash()
      .in('b')
      .opened()
      .start('a')
      .crash()
      .in('c')
      .opened()
      .start('a')
      .crash()
      .in('d')
      .opened()
      .emitted('recovered', 'a')
      .announced('a', 'failed')
      .change('retry', 'a')
      .start('a'),
)
I17.right('a run whose body had ended is none that died', history =>
  history.opened({ crashLimit: 1 }).put('a').start('a').release('a').crash().in('b').opened().start('a'),
)
I17.right('a retry that is answered after the death may have been made after it', history =>
  history
    .opened({ crashLimit: 1 })
    .put('a')
    .in('b')
    .opened({ crashLimit: 1 })
    .start('a')
    .in('a')
    .add({ kind: 'retry', call: 90, job: 'a' })
    .in('b')
    .crash()
    .in('a')
    .add({ kind: 'answered', of: 'retry', call: 90 })
    .start('a'),
)
I17.wrong('a retry that was refused is none', /job a started again after 2 deaths of 2/, history =>
  history
    .opened({ crashLimit: 1 })
    .put('a')
    .add({ kind: 'retry', call: 90, job: 'a' })
    .in('b')
    .opened({ crashLimit: 1 })
    .start('a')
    .crash()
    .in('c')
    .opened({ crashLimit: 1 })
    .start('a')
    .crash()
    .in('a')
    .add({ kind: 'refused', of: 'retry', call: 90, code: 'JOB_STATE' })
    .start('a'),
)
I17.wrong('one more', /job a started again after 3 deaths of 3/, history =>
  history
    .opened({ crashLimit: 2 })
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .start('a')
    .crash()
    .in('c')
    .opened()
    .start('a')
    .crash()
    .in('d')
    .opened()
    .start('a'),
)

const I18 = checkerTests('I18')
const of = { job: 'a', attempt: 1 } as const
I18.right('from what was stored last, or was asked for since', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({ kind: 'checkpoint', ...of, value: '1' })
    .add({ kind: 'stored', ...of, value: '1' })
    .add({ kind: 'checkpoint', ...of, value: '2' })
    .crash()
    .in('b')
    .opened()
    .start('a', 1, { restored: '2' })
    .crash()
    .in('c')
    .opened()
    .start('a', 1, { restored: '1' }),
)
I18.wrong('from the beginning', /job a began with undefined and not with 1/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({ kind: 'checkpoint', ...of, value: '1' })
    .add({ kind: 'stored', ...of, value: '1' })
    .crash()
    .in('b')
    .opened()
    .start('a'),
)
I18.wrong('from the one before', /job a began with 1 and not with 2/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({ kind: 'checkpoint', ...of, value: '1' })
    .add({ kind: 'stored', ...of, value: '1' })
    .add({ kind: 'checkpoint', ...of, value: '2' })
    .add({ kind: 'stored', ...of, value: '2' })
    .crash()
    .in('b')
    .opened()
    .start('a', 1, { restored: '1' }),
)
I18.wrong('from one that nobody asked for', /job a began with 9/, history =>
  history.opened().put('a').start('a', 1, { restored: '9' }),
)

I9.right('a retry by hand that is on its way begins anew whenever it takes effect', history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'retry', call: 90, job: 'a' })
    .start('a', 1)
    .release('a', { code: 'Error' })
    .announced('a', 'cancelled')
    .add({ kind: 'answered', of: 'retry', call: 90 })
    .start('a', 1),
)
I9.wrong('a retry that was answered before does not begin anew', /job a started at attempt 1, not 2/, history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'retry', call: 90, job: 'a' })
    .add({ kind: 'answered', of: 'retry', call: 90 })
    .start('a', 1)
    .release('a', { code: 'Error' })
    .emitted('retry', 'a')
    .start('a', 1),
)
I14.right('its runAt was there before the wall clock jumped back', history =>
  history.opened().put('a', { runAtMs: 5 }).at(5).jump(-100).start('a'),
)
I14.wrong('the wall clock jumped back before its runAt', /job a started before its runAt of 5/, history =>
  history.opened().put('a', { runAtMs: 5 }).at(4).jump(-100).start('a'),
)
I14.right(
  'a promote that was asked before a run and takes effect after it ends the wait for which that run asked',
  history =>
    history
      .opened()
      .put('b', { delayMs: 5 })
      .at(5)
      .start('b')
      .end('b')
      .put('a')
      .add({ kind: 'promote', call: 900, job: 'a' })
      .start('a')
      .release('a', { code: 'RETRY_LATER', afterMs: 15 })
      .emitted('delayed', 'a')
      .emitted('pending', 'a')
      .start('a')
      .add({ kind: 'answered', of: 'promote', call: 900, value: true }),
)
I14.wrong('a promote that was answered before a run excuses no later one', /job a started before 15 ms/, history =>
  history
    .opened()
    .put('a', { delayMs: 50 })
    .change('promote', 'a')
    .start('a')
    .release('a', { code: 'RETRY_LATER', afterMs: 15 })
    .emitted('delayed', 'a')
    .start('a'),
)
