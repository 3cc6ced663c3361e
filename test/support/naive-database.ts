/** What the naive store stores: maps and arrays. */
import type { SlotWait } from '../../lib/limits/global-width.ts'
import { RuleTurns } from '../../lib/limits/rule-turns.ts'
import { Rate } from '../../lib/rate/rate.ts'
import * as execute from '../../persistence/durable/simple-store/index.ts'
import type { AttachRequest, PutReplay } from '../../persistence/durable/store.ts'

export type Job = execute.StoredJob

export interface Queue extends execute.KeyedQueue {
  readonly name: string
  readonly jobs: Map<number, Job>
  /** How many ended jobs were forgotten, and the given ids among them. */
  readonly forgotten: ReturnType<typeof execute.countsOf>
  ids: (Pick<Job, 'id' | 'state'> & { readonly fingerprint: string; readonly until: number })[]
  readonly rate: Rate
  graceFactor: number
  readonly heldKeys: Map<string, number>
  reports: execute.CrashReport[]
  replies: execute.KeptReply[]
  readonly slotWaits: Map<SlotWait['worker'], SlotWait>
}
/** A process that has the database open. */
export interface Worker {
  /** The queues that have a handler here. */
  readonly works: Set<number>
  readonly lastExchanges: Map<number, number>
  /** Jobs that have ended while their bodies go on. */
  readonly bodies: Map<number, { readonly queueId: number; readonly key: string | undefined }>
}
export interface NaiveData {
  lastSeq: number
  readonly queues: Map<number, Queue>
  readonly workers: Map<string, Worker>
  readonly putReplies: Map<string, PutReplay>
  readonly rules: Map<string, execute.StoredRule>
}

export class NaiveDatabase {
  data: NaiveData = { lastSeq: 0, queues: new Map(), workers: new Map(), putReplies: new Map(), rules: new Map() }
  /** Workers whose commits fail. */
  readonly broken: Set<string> = new Set()
  /** By worker: called when another one has changed something. */
  readonly listeners: Map<string, () => void> = new Map()
}

export function newQueue(queueId: number, { name, keep, size, afterCrash, crashLimit }: AttachRequest): Queue {
  return {
    ...{ queueId, name, keep, size, afterCrash, crashLimit, sharedPaused: false, rules: [], declared: undefined },
    ...{ globalWidth: Infinity, declaredGlobalWidth: undefined, keys: undefined, declaredKeys: null, keysVersion: 0 },
    ...{ jobs: new Map(), forgotten: { ...execute.noCounts }, ids: [], rate: new Rate([]), graceFactor: 1 },
    ...{ heldKeys: new Map(), overrides: new Map(), keyRates: new Map(), tags: new Map(), keyClock: 0 },
    ...{ reports: [], replies: [], slotWaits: new Map() },
  }
}
export function jobsOf({ jobs }: Queue, fits: (job: Job) => unknown = () => true): Job[] {
  return [...jobs.values()].filter(fits)
}
/** The jobs underway of a worker; undefined: those that have none. */
export function heldBy(queue: Queue, token: string | undefined): Job[] {
  return jobsOf(queue, ({ state, worker }) => state === 'underway' && worker === token)
}
/** The same in all queues. */
export function heldIn({ data }: NaiveDatabase, token: string): [Queue, Job][] {
  return [...data.queues.values()].flatMap(queue => heldBy(queue, token).map((job): [Queue, Job] => [queue, job]))
}
/** The bodies of the queue that go on after their jobs have ended, in all workers. */
export function continuingBodies({ data }: NaiveDatabase, { queueId }: Queue): { key: string | undefined }[] {
  const bodies = [...data.workers.values()].flatMap(worker => [...worker.bodies.values()])
  return bodies.filter(body => body.queueId === queueId)
}
/** A copy in which nothing is shared with the original. */
export function copyOf<T>(value: T): T {
  const copy = (): unknown => {
    if (value instanceof Rate) return Rate.from(value.state())
    if (value instanceof RuleTurns) return new RuleTurns(value.clock, copyOf(value.waits))
    if (value instanceof Map) return new Map([...value].map(([key, one]) => [key, copyOf(one)]))
    if (value instanceof Set) return new Set(value)
    if (Array.isArray(value)) return value.map(copyOf)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, copyOf(one)]))
  }
  return copy() as T
}
