/** I20, I21, I22: what was measured is within its bounds, files are whole, and the same seed gives the same history. */
import type { Entry } from '../entry.ts'
import { at, type Checker } from './judge.ts'

/** I20. Resources: what was measured after the queue was drained is no more than was said it may be. */
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

/** I21. File health: nothing is wrong with any file that was examined. */
export const filesAreWhole: Checker = (history, sure) => {
  for (const entry of history) {
    if (entry.kind !== 'file') continue
    sure(entry.wrong.length === 0, () => `${entry.path}: ${entry.wrong.join('; ')}: ${at(entry)}`, entry)
  }
}

/** I22. Determinism: another run by the same seed has the same entries. Judged where it is given, as `again`. */
export const sameAgain: Checker = (history, sure, { again }) => {
  if (!again) return
  for (let i = 0; i < Math.max(history.length, again.length); i++) {
    const [one, other] = [history[i], again[i]]
    const same = JSON.stringify(one) === JSON.stringify(other)
    if (same && i + 1 < Math.max(history.length, again.length)) continue
    const shown = [one, other].filter((entry): entry is Entry => entry !== undefined)
    return sure(same, () => `the runs part at entry ${i + 1}`, ...shown)
  }
}
