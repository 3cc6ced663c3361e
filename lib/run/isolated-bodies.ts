/**
 * Bodies that run in an isolate, a thread or a process, instead of in the loop of their queue.
 *
 * The run of such a body stays here, with its slot, its timeout and its settling. Only the call of the handler is handed
 * over. So neither the dispatch loop nor a backlog depends on where a body runs. lib/isolate/ implements this interface.
 */
import type { SuspectRoom } from '../backlog.ts'
import type { Cost } from '../rate/rules.ts'
import type { Run } from './run.ts'

export interface IsolatedBodies {
  /** Undefined: the backlog decides when suspects run, because one of them may end the whole process. */
  readonly suspectRoom: SuspectRoom | undefined
  /** The run may begin. It reports through {@link IsolatedBodiesHost}. */
  handOver(run: Run): void
  /** Runs that were handed over and are not launched go back, unless they are launched before this arrives. */
  withdraw(): void
}

/** The launcher, as bodies in isolates report to it. */
export interface IsolatedBodiesHost {
  /** The first line of the body is about to run. From here on timeout and blame count. */
  launchedInIsolate(run: Run): void
  /** The first line of the body has run, or never will: the isolate is gone. From here on the rate counts. */
  confirmedInIsolate(run: Run): void
  finishedInIsolate(run: Run, value: unknown): void
  failedInIsolate(run: Run, error: unknown): void
  /** The body was never launched, and will not be. */
  notLaunched(run: Run): void
  /** The isolate was replaced because of another body: the job goes back, and nothing counts against it. */
  displaced(run: Run): void
  /** The isolate ended by itself. `alone`: the body was the only one that ever ran in it. */
  crashed(run: Run, alone: boolean): void
  progress(run: Run, value: unknown): void
  checkpoint(run: Run, value: unknown): Promise<void>
  spent(run: Run, cost: Cost): void
}
