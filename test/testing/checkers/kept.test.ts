import { checkerTests } from '../../support/checker-tests.ts'

const I1 = checkerTests('I1')
I1.right('what was accepted is there in the end, or has ended, or was removed', history =>
  history.opened().put('a').put('b').put('c').start('a').end('a').change('remove', 'b').found({ c: 'pending' }),
)
I1.right('a put that nobody answered may be in or out', history =>
  history.opened().called('a').put('b').crash().in('b').opened().found({ b: 'pending' }),
)
I1.right('a body that came to its end in a process that died may have ended its job', history =>
  history.opened().put('a').start('a').release('a').crash().in('b').opened().found({}, { finished: 1 }),
)
I1.right('a run that died may have ended its job untold, if one that ended is not kept', history =>
  history.opened().put('a').start('a').crash().in('b').opened().found({}, { failed: 1 }),
)
I1.right('a process that died may have had a job that it never called, if one that ended is not kept', history =>
  history.opened().put('a').put('b').crash().in('b').opened().found({ b: 'pending' }, { failed: 1 }),
)
I1.right('a stop gives back what it does not leave', history =>
  history
    .opened({ paused: true })
    .put('a')
    .put('b')
    .stop({ left: 1, returned: ['b'] }),
)
I1.right('a put whose id was remembered is owed nothing', history =>
  history
    .opened()
    .called('a')
    .add({ kind: 'accepted', call: 1, job: 'a', existed: true })
    .put('b')
    .found({ b: 'pending' }),
)
I1.right('a job whose signal asked for its cancel, of which nobody hears, may have ended before a stop', history =>
  history.opened().put('a').put('b').add({ kind: 'cancel', call: 90, job: 'a' }).stop({ left: 1 }),
)
I1.wrong('a job that is nowhere is lost', /job a was accepted and is not there/, history =>
  history.opened().put('a').put('b').found({ b: 'pending' }),
)
I1.wrong(
  'of two that a process which died may have had, one that ended and is not kept excuses one',
  /job b /,
  history => history.opened().put('a').put('b').crash().in('b').opened().found({}, { failed: 1 }),
)
I1.wrong('a body that goes on does not excuse a job that is nowhere', /job a /, history =>
  history.opened().put('a').start('a').crash().in('b').opened().found({}),
)
I1.wrong('a stop that leaves fewer than there were has lost some', /2 jobs had not ended and 1 are left/, history =>
  history.opened({ paused: true }).put('a').put('b').stop({ left: 1 }),
)

const I2 = checkerTests('I2')
I2.right('each job that starts was put, by any process, or found', history =>
  history.opened().found({ old: 'pending' }).put('a').in('b').opened().start('a').end('a').start('old'),
)
I2.right('so many jobs may start without a name as were put without one', history =>
  history.opened().add({ kind: 'put', call: 90, priority: 0 }).start('made'),
)
I2.wrong('a job that nobody put comes from nowhere', /job b was never put/, history =>
  history.opened().put('a').start('a').start('b'),
)
I2.wrong('a job that nobody put cannot be recovered', /job b was never put/, history =>
  history.opened().put('a').emitted('recovered', 'b'),
)
I2.wrong('one more than was put without a name comes from nowhere', /job two was never put/, history =>
  history.opened({ width: 2 }).add({ kind: 'put', call: 90, priority: 0 }).start('one').start('two'),
)

const I15 = checkerTests('I15')
I15.right('the states add up to what was accepted, and a list agrees', history =>
  history
    .opened()
    .put('a')
    .put('b')
    .put('c')
    .change('remove', 'c')
    .start('a')
    .end('a')
    .found({ b: 'pending' }, { finished: 1 }),
)
I15.right('what is not answered counts either way', history =>
  history.opened().put('a').called('b').add({ kind: 'remove', call: 90, job: 'a' }).found({ b: 'pending' }),
)
I15.right('what an inventory finds first was there before', history =>
  history.opened().found({ old: 'pending' }).put('a').found({ old: 'pending', a: 'pending' }),
)
I15.right(
  'a job that was removed before its put was answered may have been put again for want of the answer',
  history =>
    history
      .opened()
      .called('a')
      .in('b')
      .opened()
      .change('remove', 'a')
      .in('a')
      .emitted('pending', 'a')
      .add({ kind: 'accepted', call: 1, job: 'a', existed: false })
      .found({ a: 'pending' }),
)
I15.wrong(
  'a job that was removed after its put was answered is gone',
  /1 jobs are counted, and there are 0 to 0/,
  history => history.opened().put('a').change('remove', 'a').found({ a: 'pending' }),
)
I15.wrong('a counter that is one too high', /2 jobs are counted, and there are 1 to 1/, history =>
  history
    .opened()
    .put('a')
    .add({
      ...{ kind: 'counts', closing: 0 },
      counts: { pending: 2, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 },
    }),
)
I15.wrong('a removal that is not taken off', /1 jobs are counted, and there are 0 to 0/, history =>
  history.opened().put('a').change('remove', 'a').found({ a: 'pending' }),
)
I15.wrong('a list that has fewer than are counted', /1 jobs are counted as pending and 0 are there/, history =>
  history.opened().put('a').found({}, { pending: 1 }),
)
I15.wrong('a body that no counter knows', /1 bodies run and 0 are counted/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({
      ...{ kind: 'counts', closing: 0 },
      counts: { pending: 1, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 },
    }),
)

const I19 = checkerTests('I19')
I19.right('a put of an id that is there puts nothing', history =>
  history.opened().put('a').called('a').add({ kind: 'accepted', call: 2, job: 'a', existed: true }),
)
I19.right('an id may be used again once its job was removed, or is forgotten', history =>
  history.opened({ idsMs: 100 }).put('a').change('remove', 'a').put('a').start('a').end('a').at(100).put('a'),
)
I19.wrong('two puts of one id, both accepted as new', /job a was accepted as new twice/, history =>
  history.opened().put('a').in('b').opened().put('a'),
)
I19.wrong('an id that is put again before it is forgotten', /job a was accepted as new twice/, history =>
  history.opened({ idsMs: 100 }).put('a').start('a').end('a').at(99).put('a'),
)

I19.right('an id that is free again, for a cancel without an answer took effect', history =>
  history.opened().put('a').add({ kind: 'cancel', call: 90, job: 'a' }).crash().in('b').opened().put('a'),
)
I19.wrong('an id that is put as new though its cancel was refused', /job a was accepted as new twice/, history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'cancel', call: 90, job: 'a' })
    .add({ kind: 'refused', of: 'cancel', call: 90, code: 'BACKLOG_BUSY' })
    .crash()
    .in('b')
    .opened()
    .put('a'),
)
I1.right('a cancel whose outcome is not known may leave nothing to a stop', history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'cancel', call: 90, job: 'a' })
    .add({ kind: 'refused', of: 'cancel', call: 90, code: 'OUTCOME_UNKNOWN' })
    .stop(),
)
I1.wrong('a cancel that was refused leaves the job', /1 jobs had not ended and 0 are left/, history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'cancel', call: 90, job: 'a' })
    .add({ kind: 'refused', of: 'cancel', call: 90, code: 'BACKLOG_BUSY' })
    .stop(),
)

I19.right('an id that is free again, of a job whose ending was announced before its put', history =>
  history
    .opened({ idsMs: 50 })
    .called('a', { call: 90 })
    .in('b')
    .opened({ idsMs: 50 })
    .announced('a', 'cancelled')
    .in('a')
    .add({ kind: 'accepted', call: 90, job: 'a', existed: false })
    .at(100)
    .put('a'),
)
