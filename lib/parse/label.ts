/** Names, keys and ids. */

/** Used in error messages. */
export const labelForm = 'a string of 1 to 200 characters, without half of a surrogate pair'

/**
 * Half of a surrogate pair (an emoji cut in two) is not accepted, because a file would return it as another character.
 */
export function isLabel(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= 200 && isWellFormed(value)
}

/** Whether a file returns the text unchanged. */
export function isWellFormed(text: string): boolean {
  return !loneSurrogate.test(text)
}

const loneSurrogate = /\p{Surrogate}/u
