/**
 * One object of each kind that a busy queue makes by the thousand, kept for good.
 *
 * V8 compiles what runs often for the shapes of the objects that it meets, and throws that code away when a full collection
 * finds no object of such a shape. A queue that has run empty has none: without these, which hold nothing, the beginning of
 * its next burst would run uncompiled again.
 */
const samples: object[] = []

export function keepShapeAlive(sample: object): void {
  samples.push(sample)
}
