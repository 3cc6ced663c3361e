/** Moves a job that a claim has examined and does not start. The caller removes it from where it waited. */

import type { PassedOver as JobObstacle } from '../../durable/execute/claim.ts'
import type { JobRows } from '../tables/job.ts'
import type { JobLocations } from '../tables/location.ts'
import { movingFieldsOf, type Row } from './claim-row.ts'
import type { OpenClaim } from './open-claim.ts'

export class PassedOver {
  readonly #locations: JobLocations
  readonly #jobRows: JobRows

  constructor(locations: JobLocations, jobRows: JobRows) {
    this.#locations = locations
    this.#jobRows = jobRows
  }
  /** A job with this obstacle goes where it belongs. */
  move({ facts }: OpenClaim, row: Row, obstacle: JobObstacle): void {
    const { queue, now } = facts
    switch (obstacle.kind) {
      case 'keyWaits':
        return this.#locations.addByKey(queue, row.key as string, movingFieldsOf(row))
      case 'suspect':
        return this.#locations.suspect(queue, movingFieldsOf(row), now)
      case 'gone':
        return queue.countMove('pending', undefined, 1)
      case 'fails':
        return this.#fail(facts, row, obstacle.error)
      default:
        obstacle satisfies never
    }
  }
  #fail({ queue, now, endedUnrun }: OpenClaim['facts'], row: Row, error: string): void {
    const job = movingFieldsOf(row)
    const ending = { state: 'failed', startedWall: null, stoppedWall: null, error, value: null } as const
    const body = this.#jobRows.body(queue, job.seq)
    // A payload that is not JSON must not be sent as if it were.
    const payload = row.isJson ? row.payload : 'null'
    if (body) endedUnrun.push(this.#jobRows.rowOf({ ...body, payload }, { ...job, state: 'failed', ending }))
    queue.countMove('pending', undefined, 1)
    this.#locations.end(queue, job, ending, now)
  }
}
