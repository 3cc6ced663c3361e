/** Helpers of the suite for shared backlogs: processes, and a session in each that acts like a queue. */
import type {
  Backlog,
  BacklogSession,
  Command,
  Exchange,
  ExchangeResult,
  SessionOptions,
  SettleKind,
  Settlement,
} from '../../../lib/backlog.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { JobRecord } from '../../../lib/job.ts'
import { declared, exchangeOf, settle } from '../backlog/session.ts'
import type { Assert, ContractTest } from '../contract.ts'

/** The backlogs that the suite tests. */
export interface SharedBacklogSubject {
  /** A new backlog that nothing else uses. */
  make(): SharedBacklog | Promise<SharedBacklog>
}

export interface SharedBacklog {
  /** Adds a process that has the backlog open. It loses its claims when it has not answered for a second. */
  process(): BacklogProcess
  /** Advances all clocks by `ms`, with everything that happens meanwhile. */
  pass(ms: number): Promise<void>
  /** Settles as `promise` does. Simulated time advances meanwhile. */
  until<T>(promise: Promise<T>): Promise<T>
  /** Cleans up after the test. */
  remove(): void | Promise<void>
}

export interface BacklogProcess {
  readonly backlog: Backlog
  readonly clock: Clock
  /** Same as when the process is killed: nothing is returned. */
  die(): void
  /** Blocks its event loop for that long. */
  block(ms: number): void
  /** Drops the next reply to it, although the request has taken effect. The connection is reopened. */
  loseReply(): void
}

/** The processes of one test. */
export interface Processes {
  /** Opens a session in a process of its own. */
  start(parts?: Partial<SessionOptions>): Promise<Worker>
  pass(ms: number): Promise<void>
}

/** Adds tests to a list. Each test gets processes that share one backlog. */
export function sharedTestsInto(
  tests: ContractTest<SharedBacklogSubject>[],
): (title: string, run: (t: Assert, processes: Processes) => Promise<void>) => void {
  return (title, run) => {
    const withProcesses = async (t: Assert, subject: SharedBacklogSubject): Promise<void> => {
      const shared = await subject.make()
      const workers: Worker[] = []
      const start = async (parts: Partial<SessionOptions> = {}): Promise<Worker> => {
        const worker = await Worker.start(shared, parts)
        workers.push(worker)
        return worker
      }
      try {
        await run(t, { start, pass: ms => shared.pass(ms) })
      } finally {
        for (const worker of workers) await worker.close()
        await shared.remove()
      }
    }
    tests.push({ title, run: withProcesses })
  }
}

/** A process with one session, and a record of its notifications. */
export class Worker {
  readonly process: BacklogProcess
  readonly session: BacklogSession
  woken = 0
  stalled = 0
  readonly over: JobRecord[]
  readonly failures: unknown[]
  readonly #shared: SharedBacklog
  #dead = false

  private constructor(
    shared: SharedBacklog,
    process: BacklogProcess,
    session: BacklogSession,
    over: JobRecord[],
    failures: unknown[],
  ) {
    this.#shared = shared
    this.process = process
    this.session = session
    this.over = over
    this.failures = failures
  }
  static async start(shared: SharedBacklog, parts: Partial<SessionOptions>): Promise<Worker> {
    const process = shared.process()
    const over: JobRecord[] = []
    const failures: unknown[] = []
    let worker: Worker | undefined
    const options = declared({
      clock: process.clock,
      wake: () => {
        if (worker) worker.woken++
      },
      stalled: () => {
        if (worker) worker.stalled++
      },
      endedElsewhere: record => void over.push(record),
      failed: error => void failures.push(error),
      ...parts,
    })
    const session = await shared.until(process.backlog.attach(options))
    worker = new Worker(shared, process, session, over, failures)
    return worker
  }
  get now(): number {
    return this.process.clock.now()
  }
  get wall(): number {
    return this.process.clock.wall()
  }
  async put(...jobs: readonly JobRecord[]): Promise<readonly JobRecord[]> {
    const put = async (): Promise<unknown> => this.session.put(jobs, this.now, this.wall)
    await this.#shared.until(put())
    return jobs
  }
  /** Makes one exchange. The next one acknowledges its reports. */
  exchange(parts: Partial<Exchange> = {}): Promise<ExchangeResult> {
    const { now, wall } = this
    const exchange = async (): Promise<ExchangeResult> => this.session.exchange(exchangeOf({ now, wall, ...parts }))
    return this.#shared.until(exchange())
  }
  async claim(room: number = 100): Promise<readonly JobRecord[]> {
    return (await this.exchange({ room })).claimed
  }
  /** Claims jobs, and reports that their bodies run. */
  async launch(room: number = 100): Promise<readonly JobRecord[]> {
    const claimed = await this.claim(room)
    await this.exchange({ launchReports: claimed.map(record => ({ record, fence: record.fence, first: false })) })
    return claimed
  }
  settle(record: JobRecord, kind: SettleKind = 'finished', parts: Partial<Settlement> = {}): Promise<ExchangeResult> {
    return this.exchange({ settled: [settle(record, kind, parts)] })
  }
  async command(command: Command): Promise<Awaited<ReturnType<BacklogSession['command']>>> {
    const send = async () => this.session.command(command, this.now, this.wall)
    return this.#shared.until(send())
  }
  async find(target: JobRecord | string): Promise<JobRecord | undefined> {
    const find = async (): Promise<JobRecord | undefined> => this.session.find(target)
    return this.#shared.until(find())
  }
  die(): void {
    this.#dead = true
    this.process.die()
  }
  async close(): Promise<void> {
    if (!this.#dead) await this.#shared.until(this.session.close())
    this.#dead = true
  }
}
