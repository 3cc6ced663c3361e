/** The thread of persistence/sqlite/thread/entry.ts in a process that kills itself at a point of an exchange. */
import { getEnvironmentData } from 'node:worker_threads'
import type { Request } from '../../../persistence/durable/store.ts'
import { Store } from '../../../persistence/sqlite/store/store.ts'
import { die, eachStatement, type KillPoint } from '../kill-point.ts'

const { at, of = 'any', nth = 1 } = getEnvironmentData('killPoint') as KillPoint
let armed = of === 'any'
let over = false
let count = 0

function concerned(request: Request): boolean {
  if (of === 'put') return request.kind === 'put'
  if (request.kind !== 'exchange') return false
  if (of === 'claim') return request.room > 0
  if (of === 'settle') return request.settled.seqs.length > 0
  return of === 'checkpoint' && request.checkpoints.length > 0
}

/** Arms the point while the first transaction that concerns it goes on. */
function during<T>(concerns: boolean, run: () => T): T {
  const now = concerns && !over
  if (now && at === 'received') die()
  armed ||= now
  const answer = run()
  if (now && at === 'committed') die()
  over ||= now
  armed = of === 'any'
  return answer
}

const { transact, recover } = Store.prototype
Store.prototype.transact = function (requests) {
  return during(requests.some(concerned), () => transact.call(this, requests))
}
Store.prototype.recover = function (...args) {
  return during(of === 'recovery', () => recover.call(this, ...args))
}
if (at === 'statement') {
  eachStatement(() => {
    if (armed && ++count === nth) die()
  })
}

await import('../../../persistence/sqlite/thread/entry.ts')
