/** I20, I21, I22: measurements are within their bounds, files are intact, and the same seed gives the same history. */
import type { Entry } from '../entry.ts'
import { at, type Checker } from './judge.ts'

/** I20. Resources: each measurement after the queue was drained is at most its stated bound. */
export const resourcesReturn: Checker = (history, sure) => {
  for (const entry of history) {
    if (entry.kind !== 'measured') continue
    sure(
      entry.value <= entry.most,
      () => `${entry.what} is ${entry.value}, more than ${entry.most}: ${at(entry)}`,
      entry,
    )
  }
}

/** I21. File health: no examined file has a defect. */
export const filesAreWhole: Checker = (history, sure) => {
  for (const entry of history) {
    if (entry.kind !== 'file') continue
    sure(entry.wrong.length === 0, () => `${entry.path}: ${entry.wrong.join('; ')}: ${at(entry)}`, entry)
  }
}

/**
 * I22. Determinism: another run with the same seed has the same entries. Judged only if that run is given, as `rerun`.
 */
export const sameInRerun: Checker = (history, sure, { rerun }) => {
  if (!rerun) return
  for (let i = 0; i < Math.max(history.length, rerun.length); i++) {
    const [one, other] = [history[i], rerun[i]]
    const same = JSON.stringify(one) === JSON.stringify(other)
    if (same && i + 1 < Math.max(history.length, rerun.length)) continue
    const shown = [one, other].filter((entry): entry is Entry => entry !== undefined)
    return sure(same, () => `the runs part at entry ${i + 1}`, ...shown)
  }
}
