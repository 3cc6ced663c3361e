/** What became of a question that the thread had not answered when it died: found out by looking, or not to be known. */
import type { FindRequest, JobRow, PutDone, PutRequest, Request } from './wire.ts'

/** `again`: it may be asked again as it is. Else the answer that it would have had. */
export type Fate = 'again' | 'unknown' | PutFound
/** All that a {@link PutDone} tells, but for the counts. */
export type PutFound = Omit<PutDone, 'counts'> & { readonly counts: undefined }

/** @param others Whether other processes may have taken out what was stored. */
export async function fateOf(
  request: Request,
  others: boolean,
  look: (request: FindRequest) => Promise<JobRow | undefined>,
): Promise<Fate> {
  switch (request.kind) {
    case 'put':
      return fateOfPut(request, others, look)
    case 'control':
      // To set what is set already changes nothing.
      return request.command.kind === 'rate' || request.command.kind === 'pause' ? 'again' : 'unknown'
    default:
      // Looks change nothing, turns are numbered, and a name may be taken up and given up twice.
      return 'again'
  }
}

async function fateOfPut(
  request: PutRequest,
  others: boolean,
  look: (request: FindRequest) => Promise<JobRow | undefined>,
): Promise<Fate> {
  const { queue, ids, queuedAt, more } = request
  const given = new Set(more.filter(([, { fingerprint }]) => fingerprint !== undefined).map(([i]) => i))
  const find = (i: number): Promise<JobRow | undefined> => look({ kind: 'find', queue, target: ids[i] as string })
  const made = ids.findIndex((_, i) => !given.has(i))
  // A given id says itself whether it was put before.
  if (made < 0) return 'again'
  const row = await find(made)
  // Stored together or not at all. What is not there was not stored, unless somebody else has run it meanwhile.
  if (!row) return others ? 'unknown' : 'again'
  const existed = new Map<number, JobRow>()
  let first = row.seq
  // Those that were new have the numbers around it, in order; a given id with another number was there before.
  for (const step of [-1, 1]) {
    let next = row.seq + step
    for (let i = made + step; i >= 0 && i < ids.length; i += step) {
      const other = given.has(i) ? await find(i) : undefined
      // Only remembered, and so not new; or new, and out of the file by now.
      if (given.has(i) && !other) return 'unknown'
      if (other && (other.seq !== next || other.queuedAt !== queuedAt[i])) existed.set(i, other)
      else {
        first = Math.min(first, next)
        next += step
      }
    }
  }
  return { first, existed: [...existed].sort(([a], [b]) => a - b), counts: undefined }
}
