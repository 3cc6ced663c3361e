/**
 * Values as JSON texts, and back.
 *
 * JSON has no undefined, which a payload, a result and a checkpoint may be. It crosses as a text that reads as null to anybody
 * else and that JSON.stringify never makes.
 */
const ofUndefined = ' null'

/** Of a value that was checked to be what JSON gives back unchanged. */
export function textOf(value: unknown): string {
  return value === undefined ? ofUndefined : JSON.stringify(value)
}

/** Throws a SyntaxError. */
export function valueFrom(text: string): unknown {
  return text === ofUndefined ? undefined : JSON.parse(text)
}
