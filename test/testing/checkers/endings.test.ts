import { checkerTests } from '../../support/checker-tests.ts'

const I3 = checkerTests('I3')
I3.right('a job ends once', history => history.opened().put('a').start('a').end('a'))
I3.right('a retry by hand opens another life', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .release('a', { code: 'Error' })
    .announced('a', 'failed')
    .change('retry', 'a')
    .start('a')
    .end('a'),
)
I3.right('a run that finds out later that it had lost its job may have begun too late', history =>
  history
    .opened()
    .put('a')
    .in('b')
    .opened()
    .start('a', 1, { fence: 2 })
    .end('a')
    .in('a')
    .start('a', 1, { fence: 1 })
    .emitted('lost', 'a'),
)
I3.right('a retry whose outcome is not known may have opened one', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .end('a')
    .add({ kind: 'retry', call: 90, job: 'a' })
    .add({ kind: 'refused', of: 'retry', call: 90, code: 'OUTCOME_UNKNOWN' })
    .start('a')
    .end('a'),
)
I3.right('the ending by a crash is announced again when the process that announced it died', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .emitted('recovered', 'a', { state: 'failed' })
    .announced('a', 'failed')
    .crash()
    .in('c')
    .opened()
    .emitted('recovered', 'a', { state: 'failed' })
    .announced('a', 'failed'),
)
I3.wrong('the ending by a crash is announced by two processes that live', /job a ended again, as failed/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .emitted('recovered', 'a', { state: 'failed' })
    .announced('a', 'failed')
    .in('c')
    .opened()
    .emitted('recovered', 'a', { state: 'failed' })
    .announced('a', 'failed'),
)
I3.wrong('two endings, announced by two processes', /job a ended again, as failed/, history =>
  history.opened().put('a').start('a').end('a').in('b').opened().announced('a', 'failed'),
)
I3.wrong('a retry that was refused opens no other life', /job a ended again/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .end('a')
    .add({ kind: 'retry', call: 90, job: 'a' })
    .add({ kind: 'refused', of: 'retry', call: 90, code: 'JOB_STATE' })
    .announced('a', 'failed'),
)
I3.wrong('a start after the ending', /job a started after it had ended/, history =>
  history.opened().put('a').start('a').end('a').start('a'),
)
I3.wrong('two endings in the store', /job a was recorded as failed again/, history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'recorded', job: 'a', fence: 1, as: 'finished', changed: true })
    .add({ kind: 'recorded', job: 'a', fence: 1, as: 'failed', changed: true }),
)

const I11 = checkerTests('I11')
I11.right('a job waits, runs, comes back, runs and ends', history =>
  history
    .opened()
    .put('a', { delayMs: 5 })
    .at(5)
    .start('a')
    .emitted('progress', 'a')
    .emitted('checkpoint', 'a')
    .release('a', { code: 'Error' })
    .emitted('retry', 'a', { delayMs: 5 })
    .emitted('delayed', 'a')
    .at(10)
    .start('a', 2)
    .end('a'),
)
I11.right('a job that was given back unseen waits again', history =>
  history.opened().put('a').emitted('underway', 'a', { attempt: 1 }).emitted('pending', 'a').start('a').end('a'),
)
I11.right('a body that goes on after its job has ended may be stuck, and abandoned', history =>
  history.opened().put('a').start('a').change('cancel', 'a').emitted('stuck', 'a').emitted('abandoned', 'a'),
)
I11.right('a body that has recorded its ending itself, and goes on for too long, emits finished', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({ kind: 'recorded', job: 'a', fence: 1, as: 'finished', changed: true })
    .announced('a', 'finished')
    .release('a'),
)
I11.right('on a file a job may run before its put is announced', history =>
  history.opened().called('a').start('a').emitted('pending', 'a').emitted('progress', 'a').end('a'),
)
I11.right('a retry that is refused is not announced, and a put of the same moment is', history =>
  history
    .opened()
    .add({ kind: 'retry', call: 90, job: 'a' })
    .called('a')
    .emitted('pending', 'a')
    .add({ kind: 'refused', of: 'retry', call: 90, code: 'JOB_STATE' })
    .start('a')
    .release('a', { code: 'RETRY_LATER', afterMs: 0 })
    .emitted('pending', 'a')
    .start('a'),
)
I11.right('who recovers a job tells how it ended', history =>
  history.opened().put('a').start('a').crash().in('b').opened().emitted('recovered', 'a').announced('a', 'failed'),
)
I11.right('a job is lost, and runs here again', history =>
  history.opened().put('a').start('a').emitted('lost', 'a').release('a').start('a').end('a'),
)
I11.wrong('a job is lost that did not run here', /job a emitted lost and was not underway/, history =>
  history.opened().put('a').emitted('stalled').emitted('lost', 'a'),
)
I11.wrong('a job is lost that only awaits a verdict here', /job a emitted lost and was not underway/, history =>
  history.opened().emitted('recovered', 'a', { state: 'underway' }).emitted('lost', 'a'),
)
I11.wrong('a job is lost that has gone back', /job a emitted lost and was not underway/, history =>
  history.opened().put('a').start('a').release('a').emitted('pending', 'a').emitted('lost', 'a'),
)
I11.right('a put may be announced after its job has run, and before what came of that', history =>
  history
    .opened()
    .called('a')
    .start('a')
    .release('a', { code: 'Error' })
    .emitted('pending', 'a')
    .emitted('retry', 'a', { delayMs: 5 })
    .emitted('delayed', 'a')
    .at(5)
    .start('a', 2)
    .end('a'),
)
I11.right('a job that was taken from a run of this process may be given out here again before that run ends', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .emitted('stalled')
    .emitted('recovered', 'a', { state: 'underway' })
    .emitted('progress', 'a')
    .emitted('recovered', 'a', { state: 'pending' })
    .emitted('progress', 'a')
    .release('a')
    .start('a', 1, { fence: 2 })
    .end('a'),
)
I11.wrong(
  'a body that has ended has no progress, though its job was taken',
  /emitted progress and was not underway/,
  history =>
    history
      .opened()
      .put('a')
      .start('a')
      .emitted('recovered', 'a', { state: 'pending' })
      .release('a')
      .emitted('progress', 'a'),
)
I11.wrong('a put is announced once', /job a emitted retry and was not underway/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .release('a', { code: 'Error' })
    .emitted('pending', 'a')
    .emitted('retry', 'a', { delayMs: 5 })
    .emitted('delayed', 'a'),
)
I11.wrong(
  'an ending that is not followed by settled',
  /job a emitted underway after finished and before settled/,
  history =>
    history.opened().put('a').start('a').release('a').emitted('finished', 'a').emitted('underway', 'a', { attempt: 1 }),
)
I11.wrong('settled without an ending', /job a emitted settled and no ending before it/, history =>
  history.opened().put('a').emitted('settled', 'a'),
)
I11.wrong('progress after the ending', /job a emitted progress after it had ended/, history =>
  history.opened().put('a').start('a').end('a').emitted('progress', 'a'),
)
I11.wrong('progress before the start', /job a emitted progress and was not underway/, history =>
  history.opened().put('a').emitted('progress', 'a'),
)
I11.wrong('underway twice', /job a emitted underway twice/, history =>
  history.opened().put('a').start('a').emitted('underway', 'a', { attempt: 1 }),
)
I11.wrong('a retry that does not go back', /job a emitted underway after retry, and not that it waits/, history =>
  history.opened().put('a').start('a').emitted('retry', 'a').emitted('underway', 'a', { attempt: 2 }),
)
I11.wrong('a first line without its event', /job a started without its event underway/, history =>
  history.opened().put('a').add({ kind: 'launch', job: 'a', attempt: 1 }),
)
I11.wrong('finished before the body has ended', /job a emitted finished before its body had ended/, history =>
  history.opened().put('a').start('a').announced('a', 'finished'),
)
I11.wrong('an ending whose job says otherwise', /job a emitted failed while its state is finished/, history =>
  history.opened().put('a').start('a').release('a').emitted('failed', 'a', { state: 'finished' }),
)

const I16 = checkerTests('I16')
I16.right('a job that failed by the death of its process may be announced by another one', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .emitted('recovered', 'a', { state: 'failed' })
    .announced('a', 'failed')
    .add({
      kind: 'inventory',
      counts: { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 1, cancelled: 0 },
      jobs: [{ id: 'a', state: 'failed', attempt: 1, code: 'POISON' }],
    }),
)
I16.wrong(
  'a job failed by the death of its process, and no process announces it',
  /job a failed by the death .* no process emitted failed/,
  history =>
    history
      .opened()
      .put('a')
      .start('a')
      .crash()
      .in('b')
      .opened()
      .add({
        kind: 'inventory',
        counts: { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 1, cancelled: 0 },
        jobs: [{ id: 'a', state: 'failed', attempt: 1, code: 'POISON' }],
      }),
)
const requested = { kind: 'promised', call: 90, of: 'result', job: 'a' } as const
const settled = { kind: 'settled', call: 90, of: 'result', job: 'a' } as const
I16.right('a result settles after the ending, and as the ending', history =>
  history
    .opened()
    .put('a')
    .add(requested)
    .start('a')
    .end('a')
    .add({ ...settled, how: 'resolved' })
    .stop(),
)
I16.right('a job that does not run any more rejects, and after a stop none is open', history =>
  history
    .opened({ paused: true })
    .put('a')
    .add(requested)
    .add({ kind: 'stop', call: 91 })
    .add({ ...settled, how: 'rejected', code: 'QUEUE_STOPPED' })
    .add({ kind: 'answered', of: 'stop', call: 91, left: 0, returned: ['a'] }),
)
I16.right('a result may come from a process that could not tell any more', history =>
  history
    .opened()
    .put('a')
    .add(requested)
    .in('b')
    .opened()
    .start('a')
    .release('a')
    .crash()
    .in('a')
    .add({ ...settled, how: 'resolved' }),
)
I16.right('idle when all has ended', history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'idle', call: 90 })
    .start('a')
    .end('a')
    .put('b')
    .add({ kind: 'answered', of: 'idle', call: 90 }),
)
I16.right('a job that was removed before its put was answered holds up no idle', history =>
  history
    .opened()
    .called('a')
    .add({ kind: 'remove', call: 91, job: 'a' })
    .add({ kind: 'accepted', call: 1, job: 'a', existed: false })
    .add({ kind: 'idle', call: 92 })
    .add({ kind: 'answered', of: 'idle', call: 92 })
    .put('b')
    .add({ kind: 'idle', call: 93 })
    .start('b')
    .end('b')
    .add({ kind: 'answered', of: 'idle', call: 93 }),
)
I16.right('a waiting caller may be answered before the process of the clear announces it', history =>
  history
    .opened()
    .called('a')
    .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
    .emitted('pending', 'a')
    .start('a')
    .release('a', { code: 'RETRY_LATER', afterMs: 5 })
    .emitted('delayed', 'a')
    .in('b')
    .opened()
    .add({ kind: 'clear', call: 90 })
    .in('a')
    .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'CANCELLED' }),
)
I16.right(
  'a waiting caller is answered with an ending by a process that lost the job before it could announce it',
  history =>
    history
      .opened()
      .called('a')
      .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
      .emitted('pending', 'a')
      .in('b')
      .opened()
      .start('a')
      .release('a', { code: 'Error' })
      .emitted('lost', 'a')
      .in('a')
      .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'Error' }),
)
I16.right('a job that ended in another process, which died, may run here later', history =>
  history
    .opened()
    .called('a')
    .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
    .emitted('pending', 'a')
    .in('b')
    .opened()
    .start('a')
    .crash()
    .in('a')
    .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'POISON' })
    .announced('a', 'failed')
    .change('retry', 'a')
    .start('a')
    .end('a'),
)
I16.wrong('what ran here is announced here first', /rejected \(Error\)/, history =>
  history
    .opened()
    .called('a')
    .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
    .emitted('pending', 'a')
    .start('a')
    .in('b')
    .opened()
    .crash()
    .in('a')
    .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'Error' })
    .release('a', { code: 'Error' })
    .announced('a', 'failed'),
)
I16.wrong(
  'a waiting caller is not answered with an ending of a job that runs elsewhere',
  /rejected \(Error\)/,
  history =>
    history
      .opened()
      .called('a')
      .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
      .emitted('pending', 'a')
      .in('b')
      .opened()
      .start('a')
      .in('a')
      .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'Error' }),
)
I16.wrong(
  'a waiting caller is answered after the event of a clear by its own process',
  /rejected \(CANCELLED\)/,
  history =>
    history
      .opened()
      .called('a')
      .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
      .emitted('pending', 'a')
      .add({ kind: 'clear', call: 90 })
      .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'CANCELLED' }),
)
I16.wrong('a result before the ending is announced', /promise of job a resolved/, history =>
  history
    .opened()
    .put('a')
    .add(requested)
    .start('a')
    .release('a')
    .add({ ...settled, how: 'resolved' })
    .announced('a'),
)
I16.wrong('a result that is not the ending', /promise of job a rejected \(Error\) and the job is finished/, history =>
  history
    .opened()
    .put('a')
    .add(requested)
    .start('a')
    .end('a')
    .add({ ...settled, how: 'rejected', code: 'Error' }),
)
I16.wrong('a promise that settles twice', /promise of job a settled twice/, history =>
  history
    .opened()
    .put('a')
    .add(requested)
    .start('a')
    .end('a')
    .add({ ...settled, how: 'resolved' })
    .add({ ...settled, how: 'resolved' }),
)
I16.wrong('a promise that a stop leaves open', /promise of job a is open after the stop/, history =>
  history
    .opened({ paused: true })
    .put('a')
    .add(requested)
    .stop({ returned: ['a'] }),
)
I16.wrong('idle while a job waits', /idle, while 1 jobs had not ended, as job a/, history =>
  history.opened().put('a').add({ kind: 'idle', call: 90 }).add({ kind: 'answered', of: 'idle', call: 90 }),
)
I16.wrong('a store that holds another ending than was announced', /job a emitted finished and is failed/, history =>
  history.opened().put('a').start('a').end('a').found({ a: 'failed' }),
)

I16.right('one of many that ended before all were accepted holds up no idle', history =>
  history
    .opened()
    .called('a', { call: 90 })
    .emitted('pending', 'a')
    .start('a')
    .end('a')
    .add({ kind: 'accepted', call: 90, job: 'a', existed: false })
    .add({ kind: 'idle', call: 91 })
    .add({ kind: 'answered', of: 'idle', call: 91 }),
)
I16.wrong('a job that is put anew after its ending holds up idle', /idle, while 1 jobs had not ended/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .end('a')
    .put('a')
    .add({ kind: 'idle', call: 91 })
    .add({ kind: 'answered', of: 'idle', call: 91 }),
)
I16.right('the end of a body in another process may be announced after idle', history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'idle', call: 91 })
    .in('b')
    .opened()
    .start('a')
    .release('a')
    .in('a')
    .add({ kind: 'answered', of: 'idle', call: 91 }),
)
I16.wrong('a body that goes on in another process holds up idle', /idle, while 1 jobs had not ended/, history =>
  history
    .opened()
    .put('a')
    .add({ kind: 'idle', call: 91 })
    .in('b')
    .opened()
    .start('a')
    .in('a')
    .add({ kind: 'answered', of: 'idle', call: 91 }),
)
I11.right('a job that was recovered to wait, and begins again', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .emitted('stalled')
    .emitted('recovered', 'a', { state: 'pending' })
    .start('a')
    .end('a'),
)
I11.wrong('a job that emits underway twice, though somebody is asked about it', /emitted underway twice/, history =>
  history.opened().put('a').start('a').emitted('recovered', 'a', { state: 'underway' }).emitted('underway', 'a'),
)
I11.right('the ending that a recovery tells of, of a job that was retried meanwhile by another', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .change('retry', 'a')
    .in('c')
    .opened()
    .emitted('recovered', 'a', { state: 'failed' })
    .announced('a', 'failed')
    .start('a')
    .end('a'),
)
I11.wrong(
  'a job that begins after the ending that a recovery announced',
  /emitted underway after it had ended/,
  history =>
    history
      .opened()
      .put('a')
      .start('a')
      .crash()
      .in('c')
      .opened()
      .emitted('recovered', 'a', { state: 'failed' })
      .announced('a', 'failed')
      .emitted('underway', 'a'),
)

I11.right('an ending that is announced after the retry that followed it', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({ kind: 'cancel', call: 90, job: 'a' })
    .in('b')
    .opened()
    .change('retry', 'a')
    .in('a')
    .release('a')
    .announced('a', 'cancelled')
    .start('a')
    .end('a'),
)
I11.wrong('a second ending after one retry', /emitted underway after it had ended/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .in('b')
    .opened()
    .change('retry', 'a')
    .in('a')
    .release('a')
    .announced('a', 'cancelled')
    .start('a')
    .end('a')
    .emitted('underway', 'a'),
)
I3.right('a job that was there before the history, and its id put again', history =>
  history.opened().emitted('recovered', 'a').start('a').end('a').put('a').start('a').end('a'),
)
I11.right('a job that goes back uncalled before its put is answered', history =>
  history.opened().called('a').emitted('underway', 'a').emitted('pending', 'a').start('a').end('a'),
)
I11.wrong(
  'a job that is called, and emits underway again when its put is answered',
  /emitted underway twice/,
  history => history.opened().called('a').start('a').emitted('pending', 'a').emitted('underway', 'a'),
)
