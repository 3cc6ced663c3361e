/** Job ids: made ones sort by the time of put and are unique over processes and restarts. */
import { randomBytes } from 'node:crypto'

/** Forty bits that tell this process from others in the same millisecond. */
const processTag = BigInt(`0x${randomBytes(5).toString('hex')}`)
  .toString(36)
  .padStart(8, '0')

let serial = 0

/** The next number of the order of put in this process: the first of so many. */
export function nextSerial(many = 1): number {
  serial += many
  return serial - many + 1
}

export function makeId(queuedAt: number, seq: number): string {
  return `${Math.max(0, Math.floor(queuedAt)).toString(36).padStart(9, '0')}-${processTag}-${seq.toString(36).padStart(7, '0')}`
}

/** The order of put that a made id of this process names; undefined for any other id. */
export function serialOf(id: string): number | undefined {
  const [, tag, seq] = id.split('-')
  return tag === processTag && seq !== undefined ? Number.parseInt(seq, 36) : undefined
}
