/** The order of start: by priority, most important first, then by the order of the puts. */
export interface Ordered {
  readonly priority: number
  readonly seq: number
}

export function inOrderOfStart(a: Ordered, b: Ordered): number {
  return a.priority - b.priority || a.seq - b.seq
}
