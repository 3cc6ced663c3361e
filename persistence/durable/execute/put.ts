/** Which jobs of a put exist already, by their given ids, and why a put is refused. */
import type { JobState } from '../../../lib/job.ts'
import type { Rate } from '../../../lib/rate/rate.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import { type IdLookup, jobOfId, refuseCost } from '../../../lib/rules/puts.ts'
import type { JobRow, PutRequest, RowRef } from '../store.ts'

/** The jobs of a put. Those of `putWithin` belong to no worker, so nobody asks for the reply. */
export type PutJobs = Omit<PutRequest, 'number' | 'acknowledged'>

export interface IdStore<Queue> {
  row(queue: Queue, target: RowRef): JobRow | undefined
  /** An ended job that is forgotten, whose id is remembered. */
  remembered(queue: Queue, id: string, now: number): { fingerprint: string; state: JobState } | undefined
  /** The rate of the queue, to ask it. */
  rateNow(queue: Queue): Rate
  /** Other rules that a job counts for: those of its key, and those that the queue shares by name. */
  furtherRules(queue: Queue, key: string | undefined): readonly RateRule[]
  /** The rules that are declared for all keys. */
  rulesOfKeys(queue: Queue): readonly RateRule[] | undefined
}

/** By the index in the request: a job that exists, or the index of an earlier job of the same request. */
export type Existed = Map<number, JobRow | number>

/** A job that exists, the index of an earlier one of the request, or the state of one that is forgotten. */
interface Known {
  readonly existing: JobRow | number | JobState
  readonly fingerprint: string | undefined
}

/** Finds the jobs of given ids that exist. Refuses an id of another payload, and a cost that no limit allows. */
export function existing<Queue>(store: IdStore<Queue>, queue: Queue, request: PutJobs): Existed {
  const { ids, now, more } = request
  const existed: Existed = new Map()
  /** The first job of the request with an id: its index, and its fingerprint. */
  const firstOf = new Map<string, Known>()
  const lookup: IdLookup<Known> = {
    inPut: id => firstOf.get(id),
    kept: id => {
      const row = store.row(queue, id)
      return row && { existing: row, fingerprint: row.more?.fingerprint }
    },
    remembered: id => {
      const gone = store.remembered(queue, id, now)
      return gone && { existing: gone.state, fingerprint: gone.fingerprint }
    },
    fingerprintOf: known => known.fingerprint,
  }
  for (const [index, { cost, fingerprint, key }] of more) {
    if (fingerprint !== undefined) {
      const id = ids[index] as string
      const known = jobOfId(id, fingerprint, lookup)?.existing
      if (known !== undefined) {
        existed.set(index, typeof known === 'string' ? forgotten(request, index, known, fingerprint) : known)
        continue
      }
      firstOf.set(id, { existing: index, fingerprint })
    }
    if (cost) {
      refuseCost(cost, store.rateNow(queue), store.furtherRules(queue, key), store.rulesOfKeys(queue))
    }
  }
  return existed
}

/** Nothing is left of the job but its id and its payload, which the request repeats, and its state. */
function forgotten(
  { ids, payloads, priorities, queuedAt }: PutJobs,
  index: number,
  state: JobState,
  fingerprint: string,
): JobRow {
  return {
    ...{ seq: 0, id: ids[index] as string, payload: payloads[index] as string, priority: priorities?.[index] ?? 0 },
    ...{ state, attempt: 0, fence: 0, crashes: 0, queuedAt: queuedAt[index] as number },
    ...{ startedAt: null, stoppedAt: null, more: { fingerprint } },
  }
}
