import { checkerTests } from '../../support/checker-tests.ts'

const I10 = checkerTests('I10')
const pause = { kind: 'pause', call: 90, shared: false, tasks: false } as const
const paused = { kind: 'answered', of: 'pause', call: 90, value: true } as const
const resume = { kind: 'resume', shared: false } as const
I10.right('bodies go on, and after a resume others start', history =>
  history.opened().put('a').put('b').start('a').add(pause).end('a').add(paused).add(resume).start('b').end('b').stop(),
)
I10.right('another process has a pause of its own', history =>
  history.opened().add(pause).put('a').in('b').opened().start('a'),
)
I10.right('a shared pause ends by a shared resume of anybody', history =>
  history
    .opened()
    .put('a')
    .add({ ...pause, shared: true })
    .add(paused)
    .in('b')
    .opened()
    .add({ ...resume, shared: true })
    .in('a')
    .start('a'),
)
I10.right('a shared resume that was on its way may come after the pause', history =>
  history
    .opened()
    .put('a')
    .in('b')
    .opened()
    .add({ ...resume, shared: true })
    .in('a')
    .add({ ...pause, shared: true })
    .emitted('paused')
    .emitted('resumed')
    .add({ ...paused, value: false })
    .start('a'),
)
I10.right('a stop names those it gives up', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .stop({ abandoned: ['a'] }),
)
I10.right('tasks are parked with their bodies', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add({ ...pause, tasks: true })
    .add(paused),
)
I10.right('a pause that a resume has overtaken says so', history =>
  history
    .opened()
    .put('a')
    .start('a')
    .add(pause)
    .add(resume)
    .add({ ...paused, value: false }),
)
I10.wrong('a start after pause was called', /job a started after pause/, history =>
  history.opened().put('a').add(pause).start('a'),
)
I10.wrong('a start in a queue that was made paused', /job a started after opened/, history =>
  history.opened({ paused: true }).put('a').start('a'),
)
I10.wrong('a start after stop was called', /job b started after stop/, history =>
  history.opened({ width: 2 }).put('a').put('b').start('a').add({ kind: 'stop', call: 90 }).start('b'),
)
I10.wrong('a pause that resolves while a body runs', /the pause resolved while 1 bodies ran/, history =>
  history.opened().put('a').start('a').add(pause).add(paused),
)
I10.wrong('a stop that resolves while a body runs', /the stop resolved while 1 bodies ran, as of job a/, history =>
  history.opened().put('a').start('a').stop(),
)
I10.wrong('a claim under a shared pause', /job a was given out while a shared pause held/, history =>
  history
    .opened()
    .put('a')
    .add({ ...pause, shared: true })
    .add(paused)
    .in('b')
    .opened()
    .add({ kind: 'claimed', job: 'a', attempt: 1, fence: 1 }),
)

const abort = { kind: 'cancel', call: 91, job: 'a', signal: true } as const
I10.wrong('a job starts after its signal has aborted', /job a started after its signal had aborted/, history =>
  history.opened().put('a').add(abort).start('a'),
)
const retry = { kind: 'retry', call: 92, job: 'a' } as const
const refused = { kind: 'refused', of: 'retry', call: 92, code: 'JOB_STATE' } as const
I10.right('a job whose signal has aborted starts once it is retried', history =>
  history.opened().put('a').add(abort).add(retry).start('a'),
)
I10.right('a job that was retried starts although its signal has aborted since', history =>
  history.opened().put('a').announced('a', 'cancelled').add(retry).add(abort).start('a'),
)
I10.wrong('a job starts after its signal has aborted, and its retry was refused', /its signal had aborted/, history =>
  history.opened().put('a').add(retry).add(refused).add(abort).start('a'),
)
I10.right('a retry whose outcome is unknown may have been made', history =>
  history
    .opened()
    .put('a')
    .add(abort)
    .add(retry)
    .add({ ...refused, code: 'OUTCOME_UNKNOWN' })
    .start('a'),
)
I10.wrong('another job was retried, and one starts after its signal has aborted', /its signal had aborted/, history =>
  history
    .opened()
    .put('a')
    .add({ ...retry, job: 'b' })
    .add(abort)
    .start('a'),
)
I10.right('a job whose signal has aborted may have been taken by another process by then', history =>
  history.opened().put('a').add(abort).in('b').opened().start('a'),
)
I10.right('a cancel that no signal asked for may come too late', history =>
  history.opened().put('a').add({ kind: 'cancel', call: 91, job: 'a' }).start('a'),
)
