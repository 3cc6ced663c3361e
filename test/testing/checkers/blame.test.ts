import { checkerTests } from '../../support/checker-tests.ts'

const I23 = checkerTests('I23')
I23.right('a suspect beside other jobs, one after the other, and the last run alone', history =>
  history
    .opened({ width: 3, crashLimit: 3 })
    .put('a')
    .put('b')
    .put('c')
    .start('a')
    .start('b')
    .crash()
    .in('b')
    .opened({ width: 3, crashLimit: 3 })
    .start('a', 1, { crashes: 1 })
    .start('c')
    .crash()
    .in('c')
    .opened({ width: 3, crashLimit: 3 })
    .start('b', 1, { crashes: 1 })
    .start('c')
    .end('b')
    .end('c')
    .start('a', 1, { crashes: 2 })
    .crash()
    .in('d')
    .opened({ width: 3, crashLimit: 3 })
    .emitted('failed', 'a', { code: 'POISON' }),
)
I23.right('with a limit of 1 what was underway beside it fails with it', history =>
  history
    .opened({ width: 2, crashLimit: 1 })
    .put('a')
    .put('b')
    .start('a')
    .start('b')
    .crash()
    .in('b')
    .opened({ crashLimit: 1 })
    .emitted('failed', 'b', { code: 'POISON' })
    .put('c')
    .start('c')
    .crash()
    .in('c')
    .opened({ crashLimit: 2 })
    .start('c', 1, { crashes: 1 }),
)
I23.wrong('a crash before a job was underway', /job a is blamed for 1 crashes of 0/, history =>
  history.opened().put('a').crash().in('b').opened().start('a', 1, { crashes: 1 }),
)
I23.wrong('two suspects at a time', /job b started beside a, and both are suspects/, history =>
  history
    .opened({ width: 2 })
    .put('a')
    .put('b')
    .start('a')
    .start('b')
    .crash()
    .in('b')
    .opened({ width: 2 })
    .start('a', 1, { crashes: 1 })
    .start('b', 1, { crashes: 1 }),
)
I23.wrong('anything beside one that is to run alone', /job b and a ran at a time, and one was to run alone/, history =>
  history
    .opened({ width: 2, crashLimit: 2 })
    .put('a')
    .put('b')
    .start('a')
    .crash()
    .in('b')
    .opened({ width: 2, crashLimit: 2 })
    .start('a', 1, { crashes: 1 })
    .start('b'),
)
I23.wrong('one that is to run alone beside a body that goes on', /job b and a ran at a time/, history =>
  history
    .opened({ width: 2, crashLimit: 2 })
    .put('a')
    .put('b')
    .start('b')
    .crash()
    .in('b')
    .opened({ width: 2, crashLimit: 2 })
    .start('a')
    .announced('a', 'cancelled')
    .start('b', 1, { crashes: 1 }),
)
I23.wrong(
  'one that is condemned, and was not the only one',
  /job a is condemned, and b was underway beside it/,
  history =>
    history
      .opened({ width: 2, crashLimit: 2 })
      .put('a')
      .put('b')
      .start('a')
      .start('b')
      .crash()
      .in('b')
      .opened({ crashLimit: 2 })
      .emitted('failed', 'a', { code: 'POISON' }),
)

I23.right('a retry by hand that is refused leaves what was counted', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .add({ kind: 'retry', call: 900, job: 'a' })
    .add({ kind: 'refused', call: 900, of: 'retry', code: 'JOB_STATE' })
    .start('a', 1, { crashes: 1 }),
)
I23.wrong('a crash from before a retry by hand', /job a is blamed for 1 crashes of 0/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .start('a', 1, { crashes: 1 })
    .release('a', { code: 'no' })
    .announced('a', 'failed')
    .change('retry', 'a')
    .start('a', 1, { crashes: 1 }),
)
I23.right('the death of the thread that holds the lock of a process', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({ kind: 'fault', what: 'thread dies at commit' })
    .in('b')
    .opened()
    .start('a', 1, { crashes: 1 }),
)
I23.right('a loop that stood still notices only afterwards that its job was taken over', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .in('b')
    .opened()
    .start('a', 1, { crashes: 1 })
    .in('a')
    .add({ kind: 'emitted', event: 'stalled' }),
)
I23.wrong(
  'a job that a living process has, and whose loop never stood still',
  /job a is blamed for 1 crashes of 0/,
  history => history.opened().put('a').start('a').in('b').opened().start('a', 1, { crashes: 1 }),
)
