/** I12, I13: each claim of a job has a fence above the last one, and each job has one owner. */
import type { Entry } from '../entry.ts'
import { at, type Checker, found, isEnding, isWaiting } from './judge.ts'

/**
 * I12. Fencing: the fences of a job's claims strictly increase, and no two runs have the same. A run whose job was
 * claimed again changes nothing any more: no `finished`, `retry` or checkpoint is announced for it, and `lost` at most
 * once. If the history shows the store, it records nothing under an old fence.
 */
export const oldFencesChangeNothing: Checker = (history, sure) => {
  const claimed = new Map<string, Entry<'claimed'>>()
  const latest = new Map<string, Entry<'launch'>>()
  const byFence = new Map<string, Entry<'launch'>>()
  const own = new Map<string, Entry<'launch'>>()
  const lost = new Map<string, number>()
  /** The last action of a run that an event announces later: its body's end, or the request of a checkpoint. */
  const acted = new Map<string, Entry>()
  const over = new Set<string>()
  /** Unanswered puts of an id: a put that waited for space may create another job once the id is forgotten. */
  let called: Entry<'put'>[] = []
  const another = (job: string): void => {
    for (const key of byFence.keys()) if (key.startsWith(`${job} `)) byFence.delete(key)
    for (const key of own.keys()) if (key.endsWith(` ${job}`)) own.delete(key)
    latest.delete(job)
    claimed.delete(job)
    over.delete(job)
  }
  for (const entry of history) {
    if (entry.kind === 'claimed') {
      const before = claimed.get(entry.job)
      const holds = !before || entry.fence > before.fence
      sure(
        holds,
        () => `job ${entry.job} was claimed with fence ${entry.fence} after ${before?.fence}: ${at(entry)}`,
        ...(before ? [before] : []),
        entry,
      )
      claimed.set(entry.job, entry)
    } else if (entry.kind === 'recorded') {
      const claim = claimed.get(entry.job)
      if (!claim || !entry.changed) continue
      sure(
        entry.fence === claim.fence,
        () =>
          `job ${entry.job} was recorded as ${entry.as} with fence ${entry.fence}, not ${claim.fence}: ${at(entry)}`,
        claim,
        entry,
      )
    } else if (entry.kind === 'launch' && entry.fence !== undefined) {
      const key = `${entry.job} ${entry.fence}`
      const twin = byFence.get(key)
      sure(
        !twin,
        () => `job ${entry.job} started twice with fence ${entry.fence}: ${at(entry)}`,
        ...(twin ? [twin] : []),
        entry,
      )
      byFence.set(key, entry)
      const mine = own.get(`${entry.process} ${entry.job}`)
      const rises = mine?.fence === undefined || entry.fence > mine.fence
      sure(
        rises,
        () => `job ${entry.job} started with fence ${entry.fence} after ${mine?.fence}: ${at(entry)}`,
        ...(mine ? [mine] : []),
        entry,
      )
      own.set(`${entry.process} ${entry.job}`, entry)
      lost.delete(`${entry.process} ${entry.job}`)
      if (entry.fence > (latest.get(entry.job)?.fence ?? -1)) latest.set(entry.job, entry)
    } else if (entry.kind === 'put' && entry.job !== undefined) {
      // A put of an id that is forgotten creates another job, whose fences start again.
      another(entry.job)
      called.push(entry)
    } else if (entry.kind === 'accepted' || entry.kind === 'refused' || entry.kind === 'settled') {
      const { call, kind, job } = { job: undefined, ...entry }
      called = called.filter(put => put.call !== call || (kind === 'accepted' && put.job !== job))
    } else if (entry.kind === 'crash') {
      for (const key of own.keys()) if (key.startsWith(`${entry.process} `)) own.delete(key)
    } else if (entry.kind === 'release' || entry.kind === 'checkpoint') {
      acted.set(`${entry.process} ${entry.job} ${entry.kind}`, entry)
    } else if (entry.kind === 'emitted' && entry.job !== undefined) {
      const key = `${entry.process} ${entry.job}`
      if (isWaiting(entry) && over.has(entry.job) && called.some(({ job }) => job === entry.job)) another(entry.job)
      if (isEnding(entry)) over.add(entry.job)
      if (entry.event === 'recovered') own.delete(key)
      const mine = own.get(key)
      if (entry.event === 'lost') {
        const times = (lost.get(key) ?? 0) + 1
        lost.set(key, times)
        sure(times === 1, () => `job ${entry.job} emitted lost ${times} times: ${at(entry)}`, entry)
      }
      if (!mine || !/^(?:finished|retry|checkpoint)$/.test(entry.event)) continue
      const newer = latest.get(entry.job)
      // A change that was stored before the other claim may be announced after it.
      const act = acted.get(`${key} ${entry.event === 'checkpoint' ? 'checkpoint' : 'release'}`) ?? entry
      const holds = !newer || newer.seq > act.seq || (newer.fence ?? 0) <= (mine.fence ?? 0)
      sure(
        holds,
        () => `job ${entry.job} emitted ${entry.event} through a run that had lost it: ${at(entry)}`,
        mine,
        ...(newer ? [newer] : []),
        entry,
      )
    }
  }
}

/**
 * I13. One owner: a job starts only when no other run of it is active: each has ended, gone back or lost its job, or
 * its process is dead. Within one process no other body of the job may run either, even if its job is over: a retry
 * waits for that. (A lease is visible only in the store; here its holder is judged, which is as strict except for the
 * instants between.)
 */
export const oneOwner: Checker = (history, sure) => {
  const runs = new Map<string, Entry<'launch'>[]>()
  const over = new Set<Entry>()
  const anew = new Map<string, number>()
  /** Puts of each job that may have created another one, because its id was forgotten. */
  const puts = new Map<string, Entry<'put'>[]>()
  for (const entry of history) {
    if (entry.kind === 'put' && entry.job !== undefined) found(puts, entry.job, () => []).push(entry)
    if (entry.kind === 'accepted' && entry.existed) {
      puts.set(
        entry.job,
        (puts.get(entry.job) ?? []).filter(({ call }) => call !== entry.call),
      )
    }
    if (entry.kind === 'opened' || entry.kind === 'crash') {
      for (const [job, all] of runs)
        runs.set(
          job,
          all.filter(({ process }) => process !== entry.process),
        )
    } else if (entry.kind === 'put' || entry.kind === 'retry') {
      if (entry.job !== undefined) anew.set(entry.job, entry.seq)
    } else if (entry.kind === 'release') {
      const all = runs.get(entry.job) ?? []
      // Two jobs of one id, the first of which was forgotten, may have runs with the same fence. The history does not
      // tell which of them ended, so the later one is taken: its next start is what a mistake would show in.
      const i = all.findLastIndex(
        run => run.process === entry.process && run.attempt === entry.attempt && run.fence === entry.fence,
      )
      if (i >= 0) all.splice(i, 1)
    } else if (isEnding(entry) || isWaiting(entry) || (entry.kind === 'emitted' && entry.event === 'lost')) {
      for (const run of runs.get(entry.job ?? '') ?? []) if (run.process === entry.process) over.add(run)
    } else if (entry.kind === 'launch') {
      const all = found(runs, entry.job, () => [])
      const rivals = all.filter(run => {
        const since = anew.get(entry.job) ?? 0
        // Another job of that id does not wait for the body of the one before.
        const another = over.has(run) && (puts.get(entry.job) ?? []).some(({ seq }) => seq > run.seq)
        if (run.process === entry.process) return !another && !lostLater(history, run)
        return !over.has(run) && since < run.seq && !lostLater(history, run)
      })
      const message = (): string =>
        `job ${entry.job} started in ${entry.process} while it ran in ${rivals[0]?.process}: ${at(entry)}`
      sure(rivals.length === 0, message, ...rivals, entry)
      all.push(entry)
    }
  }
}

/** Whether its process found out, or might have, that the run had lost its job, because it was blocked for too long. */
function lostLater(history: readonly Entry[], run: Entry<'launch'>): boolean {
  return history.some(
    entry =>
      entry.seq > run.seq &&
      entry.process === run.process &&
      (entry.kind === 'block' ||
        (entry.kind === 'emitted' && (entry.event === 'stalled' || (entry.event === 'lost' && entry.job === run.job)))),
  )
}
