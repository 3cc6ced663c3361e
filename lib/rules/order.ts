/** The order of start: by priority, most important first, then by the order of the puts. */
export interface Placed {
  readonly priority: number
  readonly seq: number
}

export function inOrderOfStart(a: Placed, b: Placed): number {
  return a.priority - b.priority || a.seq - b.seq
}
