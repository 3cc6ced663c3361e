import test from 'ava'
import * as isolate from '../../lib/in-thread/index.ts'
import * as rdq from '../../lib/index.ts'

const { DispatchError } = rdq

/** One of each class that users may meet. */
const errors: readonly InstanceType<typeof DispatchError>[] = [
  new rdq.OptionError('width', -1, 'must be a whole number of 0 or more, got -1'),
  new rdq.PayloadError('payload.to', 'is a function'),
  new rdq.StoreError('the job', { cause: new Error('no') }),
  new rdq.QueueFullError(1, 2, 2),
  new rdq.QueueStoppedError('cannot put'),
  new rdq.QueueNameTakenError('q'),
  new rdq.IdConflictError('x'),
  new rdq.JobStateError('reprioritize', 'x', 'underway', 'pending or delayed'),
  new rdq.JobUnknownError('x'),
  new rdq.RuleUnknownError('x', ['y']),
  new rdq.TimeoutError(5),
  new rdq.CancelledError('why'),
  new rdq.PoisonError(3),
  new rdq.CrashedError('process'),
  new rdq.LeaseLostError('x'),
  new rdq.HandlerLoadError('file:///handler.js', 'it has no default export'),
  new rdq.IsolateEndedError({ id: 1, kind: 'thread', underway: 2 }, { exitCode: 1 }),
  new isolate.ModuleLoadError('file:///module.js', 'it has no default export'),
  new isolate.ThreadEndedError(1),
  new rdq.OutcomeUnknownError('the put was stored', ['x']),
  new rdq.ResultNotKeptError('x'),
  new rdq.CostError('tokens', 9, 5),
  new rdq.EventsLostError('events were lost', 5),
  new rdq.RetryLater(5),
  new rdq.Throttled(5, { key: 'k' }),
  new rdq.Unrecoverable(),
]

test('errors: each is a DispatchError with the name of its class, a code of its own, and a message', t => {
  for (const error of errors) {
    t.true(error instanceof Error && error instanceof DispatchError)
    t.is(error.name, error.constructor.name)
    t.regex(error.code, /^[A-Z_]+$/)
    t.true(error.message.length > 10)
  }
  t.is(new Set(errors.map(({ code }) => code)).size, errors.length)
})

test('errors: the sample has one of each class that is exported', t => {
  const classes = (
    [...Object.values(rdq), ...Object.values(isolate)] as readonly { name?: string; prototype?: unknown }[]
  ).filter(value => typeof value === 'function' && value.prototype instanceof DispatchError)

  t.deepEqual(
    classes.filter(value => !errors.some(error => error.constructor === value)).map(({ name }) => name),
    [],
  )
})

test('errors: facts of a message are fields of the error', t => {
  t.like(new rdq.JobStateError('retry', 'x', 'pending', 'failed'), { id: 'x', state: 'pending' })
  t.like(new rdq.CostError('tokens', 9, 5), { unit: 'tokens', cost: 9, limit: 5 })
  t.like(new rdq.QueueStoppedError('cannot put', true), { willRunLater: true })
  t.is(new rdq.Unrecoverable('no', { cause: 7 }).cause, 7)
  t.is(new rdq.CancelledError({ by: 'user' }).message, 'the job was cancelled')
  t.is(new rdq.CancelledError(new Error('client gone')).message, 'the job was cancelled: client gone')
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  t.is(new rdq.CancelledError(proxy).message, 'the job was cancelled')
  t.regex(new rdq.JobUnknownError('').message, /^no job '' in the backlog/)
  t.regex(new rdq.QueueNameTakenError('q').message, /; use that queue, await its stop\(\), or use another name$/)
})

test('errors: the remedy in each message helps', t => {
  t.regex(new rdq.QueueFullError(1, 2, 2).message, /; put again later, or use overflow: 'wait'$/)
  t.regex(new rdq.QueueFullError(3, 2, 0).message, /; put fewer at a time, or raise size$/)
  t.regex(
    new rdq.ResultNotKeptError('x').message,
    /; set keep\.finished and keep\.results, or read job\.result before it ends$/,
  )
})

test('errors: a class that a minifier has renamed still has its name', t => {
  const renamed = class a extends rdq.DispatchError {
    static override readonly name: string = 'GatewayError'
    readonly code = 'GATEWAY'
  }

  t.is(new renamed('no').name, 'GatewayError')
  t.is(new (class GatewayDown extends rdq.Unrecoverable {})().name, 'GatewayDown')
})

test('errors: a count of one is in the singular', t => {
  t.regex(new rdq.PoisonError(1).message, /^the process died once while this job ran/)
  t.regex(new rdq.PoisonError(3).message, /^the process died 3 times while this job ran/)
  t.regex(new rdq.QueueFullError(1, 2, 2).message, /^cannot put 1 job: /)
})
