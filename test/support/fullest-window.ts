/** How many starts the fullest half-open window of length `perMs` has: the brute force by which tests check rates. */
export function fullest(starts: readonly number[], perMs: number): number {
  const sorted = [...starts].sort((a, b) => a - b)
  let most = 0
  let first = 0
  for (const [i, at] of sorted.entries()) {
    while ((sorted[first] as number) <= at - perMs) first++
    most = Math.max(most, i - first + 1)
  }
  return most
}
