/** The facts of a finished run, for code that holds its job. They are few, because the job may be held for long. */
import type { SettleKind } from '../backlog.ts'
import type { RunFacts } from '../job.ts'

export class PastRun implements RunFacts {
  readonly fence: number
  readonly value: unknown
  readonly startedAt: number | undefined
  readonly stoppedAt: number | undefined

  constructor({ fence, value, startedAt, stoppedAt }: RunFacts & Pick<PastRun, 'fence' | 'value'>) {
    this.fence = fence
    this.value = value
    this.startedAt = startedAt
    this.stoppedAt = stoppedAt
  }
  get kind(): SettleKind {
    return 'finished'
  }
  get within(): boolean {
    return false
  }
}
