/**
 * A backlog that behaves as if it were a network away, for tests: it wraps another one and delays, gathers, splits,
 * reorders and repeats in every way that the contract of backlogs allows (lib/backlog.ts). A seed chooses.
 *
 * A queue that works on it relies only on the contract. It takes turns of the event loop and no time, so it runs under
 * a clock that stands still.
 */
import type {
  Backlog,
  BacklogSession,
  Command,
  CommandResult,
  Exchange,
  ExchangeResult,
  JobQuery,
  JobRef,
  KeyReport,
  KeysQuery,
  MaybePromise,
  PutBatch,
  SessionOptions,
  Settlement,
  StateCounts,
  Transport,
  WaitReason,
} from '../lib/backlog.ts'
import { MemoryBacklog } from '../lib/index.ts'
import { JobExtras, JobRecord } from '../lib/job.ts'
import type { RateRule } from '../lib/rate/rules.ts'
import { Chance, type Kind, Line, type RemoteBacklogFacts, type RemoteBacklogOptions } from './remote-line.ts'

export type { RemoteBacklogFacts, RemoteBacklogOptions } from './remote-line.ts'

export class RemoteBacklog implements Backlog {
  readonly durable: boolean
  readonly strict: boolean
  readonly transport?: Transport
  readonly facts: RemoteBacklogFacts = { together: 0, overtook: 0, lostReplies: 0, refused: 0, forgotten: 0 }
  readonly #backlog: Backlog
  readonly #options: RemoteBacklogOptions
  readonly #chance: Chance
  readonly #copies = new Copies()

  /** @param backlog The backlog to wrap: a MemoryBacklog. */
  constructor(backlog: Backlog = new MemoryBacklog(), options: RemoteBacklogOptions = {}) {
    this.#backlog = backlog
    this.#options = options
    this.#chance = new Chance(options.seed ?? 1)
    this.durable = backlog.durable
    this.strict = backlog.strict
    if (backlog.transport) this.transport = backlog.transport
  }
  async attach(options: SessionOptions): Promise<BacklogSession> {
    const line = new Line(options.clock, this.#chance, this.#options, this.facts)
    const wake = (): void => void line.transit().then(options.wake)
    const endedElsewhere = (far: JobRecord): void => {
      const arrive = this.#copies.read(far)
      void line.transit().then(() => options.endedElsewhere(arrive()))
    }
    const session = await this.#backlog.attach({ ...options, wake, endedElsewhere })
    return new RemoteSession(session, line, this.#copies)
  }
}

/**
 * The records of the wrapped backlog (far) and those of the queue (near). A far record is written when a request takes
 * effect, and its near one when the reply arrives that shows it.
 */
class Copies {
  readonly #far = new WeakMap<JobRecord, JobRecord>()
  readonly #near = new WeakMap<JobRecord, JobRecord>()
  /** Replies of several sessions may show one job: a later state is not overwritten with an earlier one. */
  readonly #shownAt = new WeakMap<JobRecord, number>()
  #reads = 0

  far(near: JobRecord): JobRecord {
    const known = this.#far.get(near)
    if (known) return known
    const far = copyOf(near)
    this.#link(near, far)
    return far
  }
  near(far: JobRecord): JobRecord {
    const known = this.#near.get(far)
    if (known) return known
    const near = copyOf(far)
    this.#link(near, far)
    return near
  }
  #link(near: JobRecord, far: JobRecord): void {
    this.#far.set(near, far)
    this.#near.set(far, near)
  }
  farTarget(target: JobRef): JobRef {
    return typeof target === 'string' ? target : this.far(target)
  }
  /**
   * Reads the job's present state. The returned function must be called when the reply arrives: it writes that state to
   * the near record and returns it.
   */
  read(far: JobRecord): () => JobRecord {
    const near = this.near(far)
    const at = ++this.#reads
    const { seq, priority, state, attempt, fence } = far
    const extras = far.extras && Object.assign(new JobExtras(), far.extras)
    return () => {
      if ((this.#shownAt.get(near) ?? 0) > at) return near
      this.#shownAt.set(near, at)
      return Object.assign(near, { seq, priority, state, attempt, fence, extras })
    }
  }
  readAll(far: readonly JobRecord[]): () => JobRecord[] {
    const arrivals = far.map(one => this.read(one))
    return () => arrivals.map(arrive => arrive())
  }
}

function copyOf(record: JobRecord): JobRecord {
  const { payload, priority, queuedAt, text, seq, state, attempt, fence } = record
  const extras = record.extras && Object.assign(new JobExtras(), record.extras)
  // A given id has a fingerprint; a generated one depends on the seq, which the copy gets too.
  const id = extras?.fingerprint === undefined ? '' : record.id
  return Object.assign(new JobRecord(id, payload, priority, queuedAt, extras), { text, seq, state, attempt, fence })
}

class RemoteSession implements BacklogSession {
  readonly #session: BacklogSession
  readonly #line: Line
  readonly #copies: Copies
  counts: Readonly<StateCounts>
  rules: readonly RateRule[]
  globalWidth: number
  overridden: BacklogSession['overridden']
  readonly replaced: BacklogSession['replaced']
  keys: BacklogSession['keys']
  sharedPaused: boolean
  readonly bodiesInProcess?: () => number
  readonly follow?: (record: JobRecord) => JobRecord
  readonly asOf?: (record: JobRecord) => number | undefined

  constructor(session: BacklogSession, line: Line, copies: Copies) {
    this.#session = session
    this.#line = line
    this.#copies = copies
    this.counts = { ...session.counts }
    this.rules = session.rules
    this.globalWidth = session.globalWidth
    this.overridden = session.overridden
    this.replaced = session.replaced
    this.keys = session.keys
    this.sharedPaused = session.sharedPaused
    if (session.bodiesInProcess) this.bodiesInProcess = session.bodiesInProcess.bind(session)
    if (session.follow) this.follow = record => copies.near(session.follow?.(copies.far(record)) ?? copies.far(record))
    if (session.asOf) this.asOf = record => session.asOf?.(copies.far(record))
  }
  put(batch: PutBatch, now: number, wall: number): Promise<ReadonlyMap<JobRecord, JobRecord> | undefined> {
    const near = [...batch]
    const far = near.map(record => this.#copies.far(record))
    const read = (existed: ReadonlyMap<JobRecord, JobRecord> | undefined): (() => Existed) => {
      const arrive = this.#copies.readAll(far)
      const known = existed && [...existed].map(([one, other]) => [one, this.#copies.read(other)] as const)
      return () => {
        arrive()
        return known && new Map(known.map(([one, other]) => [this.#copies.near(one), other()]))
      }
    }
    return this.#line.send(
      'put',
      () => this.#session.put(far, now, wall),
      this.#withState(read),
      () => near.map(({ id }) => id),
    )
  }
  exchange(exchange: Exchange): Promise<ExchangeResult> {
    const sent = this.#farOf(exchange)
    const reported = [...sent.settled, ...sent.checkpoints].map(({ record }) => record)
    return this.#send(
      () => this.#session.exchange(sent),
      result => this.#readExchange(result, reported, exchange, sent),
      'exchange',
    )
  }
  /** A copy of its present state: its lists are lent until the reply arrives, and their items change. */
  #farOf(exchange: Exchange): Exchange {
    const far = <T extends { readonly record: JobRecord }>(one: T): T => ({
      ...one,
      record: this.#copies.far(one.record),
    })
    const {
      now,
      wall,
      room,
      mayLaunch,
      isFull,
      suspectRoom,
      settled,
      confirmed,
      launchReports,
      spent,
      checkpoints,
      endedBodies,
    } = exchange
    return {
      ...{
        now,
        wall,
        room,
        mayLaunch,
        ...(isFull && { isFull }),
        suspectRoom,
        confirmed: [...confirmed],
        spent: [...spent],
        checkpoints: checkpoints.map(far),
      },
      settled: settled.map(one => ({ ...factsOf(one), record: this.#copies.far(one.record) })),
      launchReports: launchReports.map(({ record, fence, first }) => ({
        record: this.#copies.far(record),
        fence,
        first,
      })),
      endedBodies: endedBodies.map(record => this.#copies.far(record)),
    }
  }
  #readExchange(
    result: ExchangeResult,
    reported: readonly JobRecord[],
    near: Exchange,
    far: Exchange,
  ): () => ExchangeResult {
    const { claimed, endedUnrun, cautions, notices } = result
    const all = (records: readonly JobRecord[]): (() => JobRecord[]) => this.#copies.readAll(records)
    const show = [all(reported), all(claimed), all(endedUnrun)] as const
    const cautious = cautions && [...cautions].map(([record, caution]) => [this.#copies.near(record), caution] as const)
    const shown = notices && {
      lost: all(notices.lostRuns),
      recovered: all(notices.recovered),
      endedSo: all(notices.endedByRecovery),
      inDoubt: all(notices.needVerdict),
      cancels: all(notices.cancelRequests.map(({ record }) => record)),
    }
    const sameOf = <T>(some: readonly T[], from: readonly T[], to: readonly T[]): T[] =>
      some.map(one => to[from.indexOf(one)] as T)
    return () => {
      show[0]()
      return {
        ...result,
        claimed: show[1](),
        endedUnrun: show[2](),
        cautions: cautious && new Map(cautious),
        notices: notices &&
          shown && {
            lostRuns: shown.lost(),
            recovered: shown.recovered(),
            endedByRecovery: shown.endedSo(),
            needVerdict: shown.inDoubt(),
            cancelRequests: shown.cancels().map((record, i) => ({ record, reason: notices.cancelRequests[i]?.reason })),
            ignoredSettles: sameOf(notices.ignoredSettles, far.settled, near.settled),
            ignoredCheckpoints: sameOf(notices.ignoredCheckpoints, far.checkpoints, near.checkpoints),
          },
      }
    }
  }
  command(command: Command, now: number, wall: number): Promise<CommandResult> {
    const far = 'target' in command ? { ...command, target: this.#copies.farTarget(command.target) } : command
    const read = (done: CommandResult): (() => CommandResult) => {
      const changed = this.#copies.readAll(done.changed)
      const found = done.found && this.#copies.read(done.found)
      return () => {
        const records = changed()
        if (command.kind === 'retry') for (const record of records) record.renew()
        return { ...done, changed: records, found: found?.() }
      }
    }
    return this.#send(() => this.#session.command(far, now, wall), read, 'command')
  }
  find(target: JobRef): Promise<JobRecord | undefined> {
    return this.#send(
      () => this.#session.find(this.#copies.farTarget(target)),
      found => (found ? this.#copies.read(found) : () => undefined),
    )
  }
  list(query: JobQuery): Promise<readonly JobRecord[]> {
    const after = query.after && this.#copies.farTarget(query.after)
    return this.#send(
      () => this.#session.list({ ...query, after }),
      found => this.#copies.readAll(found),
    )
  }
  explain(target: JobRef, now: number, wall: number): Promise<WaitReason | undefined> {
    return this.#send(
      () => this.#session.explain(this.#copies.farTarget(target), now, wall),
      found => {
        const record = found && this.#copies.read(found.record)
        return () => found && record && { ...found, record: record() }
      },
    )
  }
  listKeys(query: KeysQuery, now: number, wall: number): Promise<readonly KeyReport[]> {
    return this.#send(
      () => this.#session.listKeys(query, now, wall),
      found => () => found,
    )
  }
  close(): Promise<void> {
    return this.#send(
      () => this.#session.close(),
      () => () => {},
    )
  }
  #send<Far, Near>(
    request: () => MaybePromise<Far>,
    read: (far: Far) => () => Near,
    kind: Kind = 'other',
  ): Promise<Near> {
    return this.#line.send(kind, request, this.#withState(read))
  }
  /** The state after the request has taken effect becomes visible here when its reply arrives. */
  #withState<Far, Near>(read: (far: Far) => () => Near): (far: Far) => () => Near {
    return far => {
      const { rules, globalWidth, overridden, sharedPaused, keys } = this.#session
      const counts = { ...this.#session.counts }
      const arrive = read(far)
      return () => {
        Object.assign(this, { counts, rules, globalWidth, overridden, sharedPaused, keys })
        return arrive()
      }
    }
  }
}

type Existed = ReadonlyMap<JobRecord, JobRecord> | undefined

/** The present values of a settlement, of which some are getters of a run that continues. */
function factsOf(settled: Settlement): Settlement {
  const {
    record,
    fence,
    kind,
    grant,
    value,
    error,
    text,
    waitMs,
    heldKey,
    heldRule,
    within,
    launched,
    bodyContinues,
    notAlone,
    crashes,
  } = settled
  return {
    record,
    fence,
    kind,
    grant,
    value,
    error,
    text,
    waitMs,
    heldKey,
    heldRule,
    within,
    launched,
    bodyContinues,
    notAlone,
    crashes,
  } as Settlement
}
