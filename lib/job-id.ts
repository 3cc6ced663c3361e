/** Job ids. Generated ids sort by the time of put and are unique over processes and restarts. */
import { randomBytes } from 'node:crypto'

/** Forty random bits that distinguish this process from others in the same millisecond. */
const processTag = BigInt(`0x${randomBytes(5).toString('hex')}`)
  .toString(36)
  .padStart(8, '0')

let serial = 0

/** Reserves `many` numbers in this process's order of put. Returns the first. */
export function nextSerial(many = 1): number {
  serial += many
  return serial - many + 1
}

export function makeId(queuedAt: number, seq: number): string {
  return `${base36(Math.max(0, Math.floor(queuedAt)), 9)}-${processTag}-${base36(seq, 7)}`
}

/** All pairs of digits, because `toString(36)` is slow and every job of a durable backlog gets an id. */
const pairs: readonly string[] = Array.from({ length: 1_296 }, (_, i) => i.toString(36).padStart(2, '0'))

/** At least `digits` long, padded with zeros. */
function base36(value: number, digits: number): string {
  let text = ''
  let remaining = value
  while (remaining > 0) {
    const rest = Math.floor(remaining / 1_296)
    text = (pairs[remaining - rest * 1_296] as string) + text
    remaining = rest
  }
  const missing = digits - text.length
  // The pairs may have added one zero too many.
  return missing < 0 && text.startsWith('0') ? text.slice(1) : '0'.repeat(Math.max(missing, 0)) + text
}

const made = /^[0-9a-z]{9,}-([0-9a-z]{8})-([0-9a-z]{7,10})$/

/**
 * The process that generated an id, and the id's number in that process's order of put. A given id stands for itself.
 */
export function splitId(id: string): { readonly maker: string; readonly serial: number } {
  const parts = made.exec(id)
  return parts === null
    ? { maker: id, serial: 0 }
    : { maker: parts[1] as string, serial: Number.parseInt(parts[2] as string, 36) }
}

/** The number in the order of put that a generated id of this process contains; undefined for any other id. */
export function serialOf(id: string): number | undefined {
  const { maker, serial } = splitId(id)
  return maker === processTag ? serial : undefined
}
