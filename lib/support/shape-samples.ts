/**
 * Keeps one object of each kind that a busy queue creates by the thousand.
 *
 * V8 compiles hot code for the shapes of the objects that it meets, and discards that code when a full collection finds
 * no object of such a shape. An empty queue has none, so the beginning of its next burst would run uncompiled. These
 * samples, which hold nothing, prevent that.
 */
const samples: object[] = []

export function keepShapeAlive(sample: object): void {
  samples.push(sample)
}
