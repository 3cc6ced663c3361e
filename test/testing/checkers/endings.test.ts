import { checkerTests } from '../../support/checker-tests.ts'

const I3 = checkerTests('I3')
I3.right('a job ends once', history => history.opened().put('a').start('a').end('a'))
I3.right('a retry by hand opens another life', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .release('a', { code: 'Error' })
    .told('a', 'failed')
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
    .heard('lost', 'a'),
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
I3.right('the ending by a crash is told again when the process that told it died', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .heard('recovered', 'a', { state: 'failed' })
    .told('a', 'failed')
    .crash()
    .in('c')
    .opened()
    .heard('recovered', 'a', { state: 'failed' })
    .told('a', 'failed'),
)
I3.wrong('the ending by a crash is told by two processes that live', /job a ended again, as failed/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .heard('recovered', 'a', { state: 'failed' })
    .told('a', 'failed')
    .in('c')
    .opened()
    .heard('recovered', 'a', { state: 'failed' })
    .told('a', 'failed'),
)
I3.wrong('two endings, told by two processes', /job a ended again, as failed/, history =>
  history.opened().put('a').start('a').end('a').in('b').opened().told('a', 'failed'),
)
I3.wrong('a retry that was refused opens no other life', /job a ended again/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .end('a')
    .add({ kind: 'retry', call: 90, job: 'a' })
    .add({ kind: 'refused', of: 'retry', call: 90, code: 'JOB_STATE' })
    .told('a', 'failed'),
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
    .heard('progress', 'a')
    .heard('checkpoint', 'a')
    .release('a', { code: 'Error' })
    .heard('retry', 'a', { delayMs: 5 })
    .heard('delayed', 'a')
    .at(10)
    .start('a', 2)
    .end('a'),
)
I11.right('a job that was given back unseen waits again', history =>
  history.opened().put('a').heard('underway', 'a', { attempt: 1 }).heard('pending', 'a').start('a').end('a'),
)
I11.right('a body that goes on after its job has ended may be stuck, and abandoned', history =>
  history.opened().put('a').start('a').change('cancel', 'a').heard('stuck', 'a').heard('abandoned', 'a'),
)
I11.right('a body that has recorded its ending itself, and goes on for too long, is told to have finished', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({ kind: 'recorded', job: 'a', fence: 1, as: 'finished', changed: true })
    .told('a', 'finished')
    .release('a'),
)
I11.right('on a file a job may run before its put is told', history =>
  history.opened().asked('a').start('a').heard('pending', 'a').heard('progress', 'a').end('a'),
)
I11.right('a retry that is refused is told by nothing, and a put of the same moment is', history =>
  history
    .opened()
    .add({ kind: 'retry', call: 90, job: 'a' })
    .asked('a')
    .heard('pending', 'a')
    .add({ kind: 'refused', of: 'retry', call: 90, code: 'JOB_STATE' })
    .start('a')
    .release('a', { code: 'RETRY_LATER', afterMs: 0 })
    .heard('pending', 'a')
    .start('a'),
)
I11.right('who recovers a job tells how it ended', history =>
  history.opened().put('a').start('a').crash().in('b').opened().heard('recovered', 'a').told('a', 'failed'),
)
I11.right('a job is lost, and runs here again', history =>
  history.opened().put('a').start('a').heard('lost', 'a').release('a').start('a').end('a'),
)
I11.right('a put may be told after its job has run, and before what came of that', history =>
  history
    .opened()
    .asked('a')
    .start('a')
    .release('a', { code: 'Error' })
    .heard('pending', 'a')
    .heard('retry', 'a', { delayMs: 5 })
    .heard('delayed', 'a')
    .at(5)
    .start('a', 2)
    .end('a'),
)
I11.right('a job that was taken from a run of this process may be given out here again before that run ends', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .heard('stalled')
    .heard('recovered', 'a', { state: 'underway' })
    .heard('progress', 'a')
    .heard('recovered', 'a', { state: 'pending' })
    .heard('progress', 'a')
    .release('a')
    .start('a', 1, { fence: 2 })
    .end('a'),
)
I11.wrong(
  'a body that has ended has no progress, though its job was taken',
  /told progress and was not underway/,
  history =>
    history
      .opened()
      .put('a')
      .start('a')
      .heard('recovered', 'a', { state: 'pending' })
      .release('a')
      .heard('progress', 'a'),
)
I11.wrong('a put is told once', /job a was told retry and was not underway/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .release('a', { code: 'Error' })
    .heard('pending', 'a')
    .heard('retry', 'a', { delayMs: 5 })
    .heard('delayed', 'a'),
)
I11.wrong(
  'an ending that is not followed by settled',
  /job a was told underway after finished and before settled/,
  history =>
    history.opened().put('a').start('a').release('a').heard('finished', 'a').heard('underway', 'a', { attempt: 1 }),
)
I11.wrong('settled without an ending', /job a was told settled and no ending before it/, history =>
  history.opened().put('a').heard('settled', 'a'),
)
I11.wrong('progress after the ending', /job a was told progress after it had ended/, history =>
  history.opened().put('a').start('a').end('a').heard('progress', 'a'),
)
I11.wrong('progress before the start', /job a was told progress and was not underway/, history =>
  history.opened().put('a').heard('progress', 'a'),
)
I11.wrong('underway twice', /job a was told underway twice/, history =>
  history.opened().put('a').start('a').heard('underway', 'a', { attempt: 1 }),
)
I11.wrong('a retry that does not go back', /job a was told underway after retry, and not that it waits/, history =>
  history.opened().put('a').start('a').heard('retry', 'a').heard('underway', 'a', { attempt: 2 }),
)
I11.wrong('a first line that nobody was told of', /job a started and was not told to be underway/, history =>
  history.opened().put('a').add({ kind: 'launch', job: 'a', attempt: 1 }),
)
I11.wrong('finished before the body has ended', /job a was told finished before its body had ended/, history =>
  history.opened().put('a').start('a').told('a', 'finished'),
)
I11.wrong('an ending whose job says otherwise', /job a was told failed while its state is finished/, history =>
  history.opened().put('a').start('a').release('a').heard('failed', 'a', { state: 'finished' }),
)

const I16 = checkerTests('I16')
I16.right('a job that failed by the death of its process was told by another one', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('b')
    .opened()
    .heard('recovered', 'a', { state: 'failed' })
    .told('a', 'failed')
    .add({
      kind: 'inventory',
      counts: { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 1, cancelled: 0 },
      jobs: [{ id: 'a', state: 'failed', attempt: 1, code: 'POISON' }],
    }),
)
I16.wrong(
  'a job failed by the death of its process, and nobody was told',
  /job a failed by the death .* nobody was told/,
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
const asked = { kind: 'promised', call: 90, of: 'result', job: 'a' } as const
const settled = { kind: 'settled', call: 90, of: 'result', job: 'a' } as const
I16.right('a result settles after the ending, and as the ending', history =>
  history
    .opened()
    .put('a')
    .add(asked)
    .start('a')
    .end('a')
    .add({ ...settled, how: 'resolved' })
    .stop(),
)
I16.right('a job that does not run any more rejects, and after a stop none is open', history =>
  history
    .opened({ paused: true })
    .put('a')
    .add(asked)
    .add({ kind: 'stop', call: 91 })
    .add({ ...settled, how: 'rejected', code: 'QUEUE_STOPPED' })
    .add({ kind: 'answered', of: 'stop', call: 91, left: 0, returned: ['a'] }),
)
I16.right('a result may come from a process that could not tell any more', history =>
  history
    .opened()
    .put('a')
    .add(asked)
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
    .asked('a')
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
I16.right('who waits may be told of a clear by another process before that has told it', history =>
  history
    .opened()
    .asked('a')
    .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
    .heard('pending', 'a')
    .start('a')
    .release('a', { code: 'RETRY_LATER', afterMs: 5 })
    .heard('delayed', 'a')
    .in('b')
    .opened()
    .add({ kind: 'clear', call: 90 })
    .in('a')
    .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'CANCELLED' }),
)
I16.right(
  'who waits is told of an ending that was stored by a process which lost the job before it could tell',
  history =>
    history
      .opened()
      .asked('a')
      .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
      .heard('pending', 'a')
      .in('b')
      .opened()
      .start('a')
      .release('a', { code: 'Error' })
      .heard('lost', 'a')
      .in('a')
      .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'Error' }),
)
I16.right('a job that ended in another process, which died, may run here later', history =>
  history
    .opened()
    .asked('a')
    .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
    .heard('pending', 'a')
    .in('b')
    .opened()
    .start('a')
    .crash()
    .in('a')
    .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'POISON' })
    .told('a', 'failed')
    .change('retry', 'a')
    .start('a')
    .end('a'),
)
I16.wrong('what ran here is told here before', /rejected \(Error\)/, history =>
  history
    .opened()
    .asked('a')
    .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
    .heard('pending', 'a')
    .start('a')
    .in('b')
    .opened()
    .crash()
    .in('a')
    .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'Error' })
    .release('a', { code: 'Error' })
    .told('a', 'failed'),
)
I16.wrong('who waits is told of no ending of a job that runs elsewhere', /rejected \(Error\)/, history =>
  history
    .opened()
    .asked('a')
    .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
    .heard('pending', 'a')
    .in('b')
    .opened()
    .start('a')
    .in('a')
    .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'Error' }),
)
I16.wrong('who waits is told of a clear by its own process after the event', /rejected \(CANCELLED\)/, history =>
  history
    .opened()
    .asked('a')
    .add({ kind: 'promised', of: 'run', call: 1, job: 'a' })
    .heard('pending', 'a')
    .add({ kind: 'clear', call: 90 })
    .add({ kind: 'settled', of: 'run', call: 1, job: 'a', how: 'rejected', code: 'CANCELLED' }),
)
I16.wrong('a result before the ending is told', /promise of job a resolved/, history =>
  history
    .opened()
    .put('a')
    .add(asked)
    .start('a')
    .release('a')
    .add({ ...settled, how: 'resolved' })
    .told('a'),
)
I16.wrong('a result that is not the ending', /promise of job a rejected \(Error\) and the job is finished/, history =>
  history
    .opened()
    .put('a')
    .add(asked)
    .start('a')
    .end('a')
    .add({ ...settled, how: 'rejected', code: 'Error' }),
)
I16.wrong('a promise that settles twice', /promise of job a settled twice/, history =>
  history
    .opened()
    .put('a')
    .add(asked)
    .start('a')
    .end('a')
    .add({ ...settled, how: 'resolved' })
    .add({ ...settled, how: 'resolved' }),
)
I16.wrong('a promise that a stop leaves open', /promise of job a is open after the stop/, history =>
  history
    .opened({ paused: true })
    .put('a')
    .add(asked)
    .stop({ returned: ['a'] }),
)
I16.wrong('idle while a job waits', /idle, while 1 jobs had not ended, as job a/, history =>
  history.opened().put('a').add({ kind: 'idle', call: 90 }).add({ kind: 'answered', of: 'idle', call: 90 }),
)
I16.wrong('a store that holds another ending than was told', /job a was told finished and is failed/, history =>
  history.opened().put('a').start('a').end('a').found({ a: 'failed' }),
)

I16.right('one of many that ended before all were told to be accepted holds up no idle', history =>
  history
    .opened()
    .asked('a', { call: 90 })
    .heard('pending', 'a')
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
I16.right('the end of a body in another process may be told after idle', history =>
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
    .heard('stalled')
    .heard('recovered', 'a', { state: 'pending' })
    .start('a')
    .end('a'),
)
I11.wrong('a job that is told underway twice, though somebody is asked about it', /told underway twice/, history =>
  history.opened().put('a').start('a').heard('recovered', 'a', { state: 'underway' }).heard('underway', 'a'),
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
    .heard('recovered', 'a', { state: 'failed' })
    .told('a', 'failed')
    .start('a')
    .end('a'),
)
I11.wrong('a job that begins after the ending that a recovery told of', /told underway after it had ended/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .crash()
    .in('c')
    .opened()
    .heard('recovered', 'a', { state: 'failed' })
    .told('a', 'failed')
    .heard('underway', 'a'),
)

I11.right('an ending that is told after the retry that followed it', history =>
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
    .told('a', 'cancelled')
    .start('a')
    .end('a'),
)
I11.wrong('a second ending after one retry', /told underway after it had ended/, history =>
  history
    .opened()
    .put('a')
    .start('a')
    .in('b')
    .opened()
    .change('retry', 'a')
    .in('a')
    .release('a')
    .told('a', 'cancelled')
    .start('a')
    .end('a')
    .heard('underway', 'a'),
)
I3.right('a job that was there before the history, and its id put again', history =>
  history.opened().heard('recovered', 'a').start('a').end('a').put('a').start('a').end('a'),
)
I11.right('a job that goes back uncalled before its put is answered', history =>
  history.opened().asked('a').heard('underway', 'a').heard('pending', 'a').start('a').end('a'),
)
I11.wrong(
  'a job that is called, and told to be underway again when its put is answered',
  /told underway twice/,
  history => history.opened().asked('a').start('a').heard('pending', 'a').heard('underway', 'a'),
)
