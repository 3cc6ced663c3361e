import test from 'ava'
import type { JobRecord } from '../../../lib/job.ts'
import { PutSignals } from '../../../persistence/durable/put-signals.ts'

const record = (live?: { readonly signal: AbortSignal }, queuedAt = 1): JobRecord => {
  const made = { id: 'a', seq: 7, queuedAt, live } as unknown as { live: object | undefined; ensureLive(): object }
  made.ensureLive = () => (made.live ??= {})
  return made as unknown as JobRecord
}

test('put signals: the signal of a put of unknown outcome applies to the first claim of its job, and to no later one', t => {
  const signals = new PutSignals()
  const { signal } = new AbortController()
  signals.doubt(1, [record({ signal })])
  const claims = [record(undefined, 2), record(), record()]

  for (const claimed of claims) signals.give(1, [claimed])

  t.deepEqual(
    claims.map(({ live }) => live?.signal),
    [undefined, signal, undefined],
  )
})
