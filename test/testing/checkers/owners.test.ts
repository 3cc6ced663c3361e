import { checkerTests } from '../../support/checker-tests.ts'

const I12 = checkerTests('I12')
I12.right('each claim has a fence above the last', history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'claimed', job: 'a', attempt: 1, fence: 1 })
    .start('a', 1, { fence: 1 })
    .add({ kind: 'recorded', job: 'a', fence: 1, as: 'again', changed: true })
    .release('a', { code: 'Error' })
    .emitted('retry', 'a')
    .emitted('pending', 'a')
    .add({ kind: 'claimed', job: 'a', attempt: 2, fence: 2 })
    .start('a', 2, { fence: 2 }),
)
I12.right('an old fence that changes nothing', history =>
  history
    .opened()
    .put('a')
    .start('a', 1, { fence: 1 })
    .in('b')
    .opened()
    .start('a', 1, { fence: 2 })
    .end('a')
    .in('a')
    .add({ kind: 'recorded', job: 'a', fence: 1, as: 'finished', changed: false })
    .release('a')
    .emitted('lost', 'a'),
)
I12.right('what was stored before the next claim may be announced after it', history =>
  history
    .opened()
    .put('a')
    .start('a', 1, { fence: 1 })
    .release('a', { code: 'Error' })
    .in('b')
    .opened()
    .start('a', 2, { fence: 2 })
    .in('a')
    .emitted('retry', 'a')
    .emitted('pending', 'a'),
)
I12.right('a put that waited for room until the id was forgotten makes another job, whose fences begin anew', history =>
  history
    .opened()
    .put('a')
    .called('a')
    .start('a', 1, { fence: 1 })
    .end('a')
    .at(100)
    .emitted('pending', 'a')
    .start('a', 1, { fence: 1 }),
)
I12.wrong('a claim whose fence is no higher', /job a was claimed with fence 1 after 1/, history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'claimed', job: 'a', attempt: 1, fence: 1 })
    .add({ kind: 'claimed', job: 'a', attempt: 1, fence: 1 }),
)
I12.wrong('a put that was answered makes no other job later', /job a started twice with fence 1/, history =>
  history
    .opened()
    .put('a')
    .start('a', 1, { fence: 1 })
    .end('a')
    .in('b')
    .opened()
    .at(100)
    .emitted('pending', 'a')
    .start('a', 1, { fence: 1 }),
)
I12.wrong('two runs by one fence', /job a started twice with fence 1/, history =>
  history.opened().put('a').start('a', 1, { fence: 1 }).in('b').opened().start('a', 1, { fence: 1 }),
)
I12.wrong(
  'a run that had lost its job and emits finished',
  /job a emitted finished through a run that had lost it/,
  history =>
    history
      .opened()
      .put('a')
      .start('a', 1, { fence: 1 })
      .in('b')
      .opened()
      .start('a', 1, { fence: 2 })
      .in('a')
      .release('a')
      .emitted('finished', 'a'),
)
I12.wrong('an old fence that is recorded', /job a was recorded as finished with fence 1, not 2/, history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'claimed', job: 'a', attempt: 1, fence: 1 })
    .add({ kind: 'claimed', job: 'a', attempt: 1, fence: 2 })
    .add({ kind: 'recorded', job: 'a', fence: 1, as: 'finished', changed: true }),
)
I12.wrong('lost, emitted twice', /job a emitted lost 2 times/, history =>
  history.opened().put('a').start('a').emitted('lost', 'a').emitted('lost', 'a'),
)

const I13 = checkerTests('I13')
I13.right('a job goes from a dead process to another', history =>
  history.opened().put('a').start('a').crash().in('b').opened().start('a'),
)
I13.right('a process that was held up for too long finds out', history =>
  history.opened().put('a').start('a').in('b').opened().start('a').end('a').in('a').release('a').emitted('lost', 'a'),
)
I13.right('a job that has gone back may run elsewhere', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .release('a', { code: 'Error' })
    .emitted('retry', 'a')
    .emitted('pending', 'a')
    .in('b')
    .opened()
    .start('a', 2),
)
I13.wrong('two processes at once', /job a started in b while it ran in a/, history =>
  history.opened().put('a').start('a').in('b').opened().start('a'),
)
I13.wrong('beside its own body', /job a started in a while it ran in a/, history =>
  history.opened({ width: 2 }).put('a').start('a').change('cancel', 'a').change('retry', 'a').start('a'),
)

I13.right('another job of an id that was forgotten, beside a body that goes on', history =>
  history.opened({ width: 2 }).put('a').start('a').change('cancel', 'a').put('a').start('a'),
)
I13.right('the retry of another job of a forgotten id, beside a body of the first that goes on', history =>
  history
    .opened({ idsMs: 1 })
    .put('a')
    .start('a', 1, { fence: 1 })
    .announced('a', 'failed')
    .at(10)
    .put('a')
    .start('a', 1, { fence: 1 })
    .release('a', { code: 'RETRY_LATER' })
    .emitted('delayed', 'a')
    .start('a', 1, { fence: 2 }),
)
I13.wrong('a retry beside the body before it', /job a started in a while it ran in a/, history =>
  history.opened({ width: 2 }).put('a').start('a').change('cancel', 'a').change('retry', 'a').start('a'),
)
I13.wrong('a put that found the job that is there, beside its body', /job a started in a while it ran in a/, history =>
  history
    .opened({ width: 2 })
    .put('a')
    .start('a')
    .change('cancel', 'a')
    .called('a', { call: 90 })
    .add({ kind: 'accepted', call: 90, job: 'a', existed: true })
    .start('a'),
)
