/** The operations of the queue that a user calls on a job: its result, its cancel, and the pause of its task. */
import type { Results } from '../announce/results.ts'
import type { Dispatch } from '../dispatch/dispatch.ts'
import { JobStateError } from '../errors.ts'
import type { Job, JobHost, JobRecord } from '../job.ts'
import type { Run } from '../run/run.ts'
import type { Opening } from './opening.ts'

export interface JobOperationsParts {
  readonly results: Results
  readonly opening: Opening
  readonly dispatch: Dispatch
  /** The queue itself, so that whoever overrides or wraps its `cancel` sees the cancel of a job too. */
  readonly queue: { cancel(job: Job, reason?: unknown): Promise<boolean> }
}

export class JobOperations implements JobHost {
  #parts!: JobOperationsParts

  /** Must be called before any job exists. A separate call, because the parts create jobs, which need this object. */
  connect(parts: JobOperationsParts): void {
    this.#parts = parts
  }
  resultOf(record: JobRecord): Promise<unknown> {
    return this.#parts.results.of(record)
  }
  asOf(record: JobRecord): number | undefined {
    return this.#parts.opening.session?.asOf?.(record)
  }
  cancel(job: Job, reason: unknown): Promise<boolean> {
    return this.#parts.queue.cancel(job, reason)
  }
  pauseTask(record: JobRecord): void {
    this.#taskOf(record, 'pause').pause()
  }
  resumeTask(record: JobRecord): void {
    this.#taskOf(record, 'resume').resume()
  }
  #taskOf(record: JobRecord, command: string): NonNullable<Run['task']> {
    const run = this.#parts.dispatch.launcher.runs.of(record)
    if (run?.task && !run.bodyEnded) return run.task
    throw new JobStateError(command, record.id, record.state, 'underway in a generator here')
  }
}
