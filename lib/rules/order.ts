/** The order of start: the most important first, and of equal priority the one that was put first. */
export interface Placed {
  readonly priority: number
  readonly seq: number
}

export function inOrderOfStart(a: Placed, b: Placed): number {
  return a.priority - b.priority || a.seq - b.seq
}
