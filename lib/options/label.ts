/** Names, keys and ids. */

/** For messages. */
export const labelForm = 'a string of 1 to 200 characters, without half of a surrogate pair'

/** Half of a surrogate pair (an emoji that was cut in two) is none: a file would give it back as another character. */
export function isLabel(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= 200 && isWellFormed(value)
}

/** Whether a text comes back from a file as it was. */
export function isWellFormed(text: string): boolean {
  return !loneSurrogate.test(text)
}

const loneSurrogate = /\p{Surrogate}/u
