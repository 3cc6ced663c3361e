/**
 * I10: nothing starts once a queue is paused or stopped, and both complete only when the bodies have ended. A job does
 * not start in the process that put it once its signal has aborted.
 */
import type { Entry } from '../entry.ts'
import { at, type Checker, found } from './judge.ts'

/** The state of a process, as far as it was requested. */
interface Gate {
  stop: Entry | undefined
  pause: Entry | undefined
  resumedSeq: number
  bodies: Entry<'launch'>[]
}

/**
 * I10. Stop and pause: no start after the entry at which `stop` or `pause` was called (not resolved), until `resume`. A
 * pause resolves true, and a stop resolves, only when no body runs in that process, or the stop names the bodies it has
 * abandoned. A shared pause stops the process that called it until a shared resume by any process, which may have been
 * requested before and take effect later. Other processes are judged by the claims of the store, if the history shows
 * them: none once the pause has resolved.
 *
 * A job whose signal has aborted does not start in that process. A signal belongs to its put until the job has ended, so
 * it is not judged once somebody has requested a `retry`, before the abort or after it, unless that was refused. If an
 * id was put more than once, the job may belong to another put.
 */
export const nothingStartsPaused: Checker = (history, sure) => {
  const gates = new Map<string, Gate>()
  const pauses = new Map<number, Entry<'pause'>>()
  let shared: Entry | undefined
  const aborted = new Map<string, Entry<'cancel'>>()
  const retried = new Set<string>()
  const puts = new Map<string, number>()
  const refusedRetries = new Set<number>()
  for (const entry of history) {
    if (entry.kind === 'put' && entry.job) puts.set(nameOf(entry), (puts.get(nameOf(entry)) ?? 0) + 1)
    if (entry.kind === 'refused' && entry.of === 'retry' && entry.code !== 'OUTCOME_UNKNOWN') {
      refusedRetries.add(entry.call)
    }
  }
  for (const entry of history) {
    const gate = found(gates, entry.process, () => ({ stop: undefined, pause: undefined, resumedSeq: 0, bodies: [] }))
    switch (entry.kind) {
      case 'opened':
        gates.set(entry.process, {
          stop: undefined,
          pause: entry.paused ? entry : undefined,
          resumedSeq: 0,
          bodies: [],
        })
        break
      case 'crash':
        gates.delete(entry.process)
        break
      case 'cancel':
        if (entry.signal && puts.get(nameOf(entry)) === 1) aborted.set(`${entry.process} ${nameOf(entry)}`, entry)
        break
      case 'retry':
        if (!refusedRetries.has(entry.call)) retried.add(nameOf(entry))
        break
      case 'stop':
        gate.stop ??= entry
        break
      case 'pause':
        pauses.set(entry.call, entry)
        gate.pause ??= entry
        break
      case 'resume':
        if (entry.shared) {
          shared = undefined
          for (const other of gates.values()) {
            if (other.pause?.kind !== 'pause' || !other.pause.shared) continue
            other.pause = undefined
            other.resumedSeq = entry.seq
          }
        }
        gate.pause = undefined
        gate.resumedSeq = entry.seq
        break
      case 'emitted':
        if (entry.event === 'resumed' && gate.pause?.kind === 'pause' && gate.pause.shared) gate.pause = undefined
        break
      case 'claimed':
        sure(
          !shared,
          () => `job ${entry.job} was given out while a shared pause held: ${at(entry)}`,
          ...(shared ? [shared] : []),
          entry,
        )
        break
      case 'launch': {
        const by = gate.stop ?? gate.pause
        sure(!by, () => `job ${entry.job} started after ${by?.kind}: ${at(entry)}`, ...(by ? [by] : []), entry)
        const abort = retried.has(nameOf(entry)) ? undefined : aborted.get(`${entry.process} ${nameOf(entry)}`)
        sure(
          !abort,
          () => `job ${entry.job} started after its signal had aborted: ${at(entry)}`,
          ...(abort ? [abort] : []),
          entry,
        )
        gate.bodies.push(entry)
        break
      }
      case 'release':
        gate.bodies = gate.bodies.filter(
          ({ job, attempt, fence }) => job !== entry.job || attempt !== entry.attempt || fence !== entry.fence,
        )
        break
      case 'answered': {
        if (entry.of === 'stop') {
          const { abandoned = [] } = entry
          const left = gate.bodies.filter(({ job }) => !abandoned.includes(job))
          sure(
            left.length === 0,
            () => `the stop resolved while ${left.length} bodies ran, as of job ${left[0]?.job}: ${at(entry)}`,
            ...left,
            entry,
          )
        }
        const pause = entry.of === 'pause' ? pauses.get(entry.call) : undefined
        if (!pause) break
        // A shared resume of another process, which was on its way, took effect after it.
        if (pause.shared && entry.value === false && gate.pause === pause) gate.pause = undefined
        if (pause.shared && gate.pause === pause) shared = entry
        if (entry.value !== true || pause.tasks || gate.resumedSeq > pause.seq) break
        const { bodies } = gate
        sure(
          bodies.length === 0,
          () => `the pause resolved while ${bodies.length} bodies ran: ${at(entry)}`,
          ...bodies,
          entry,
        )
      }
    }
  }
}

/** A job of one queue: queues of different names may have jobs of the same id. */
function nameOf({ queue, job }: { readonly queue: string; readonly job?: string }): string {
  return JSON.stringify([queue, job])
}
