/**
 * The handler of digest.ts, which runs in processes. Each of its steps blocks its process: reading, hashing and
 * compressing a file take all of a core. It is written as any handler; that it is a generator gives its process a turn
 * of the event loop between the steps, and lets a cancelled job end there.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

export interface Digest {
  readonly sha256: string
  /** Sizes in bytes: of the file, and of what the two make of it. */
  readonly bytes: number
  readonly gzip: number
  readonly brotli: number
}

/** The best quality takes about a second for each megabyte, so larger files get one that is fifty times faster. */
const bestUpTo = 1_000_000
function brotliSize(content: Buffer): number {
  const { BROTLI_PARAM_QUALITY: quality, BROTLI_PARAM_SIZE_HINT: hint } = constants
  const params = { [quality]: content.length <= bestUpTo ? 11 : 5, [hint]: content.length }
  return brotliCompressSync(content, { params }).length
}

export default function* digestFile(path: string): Generator<undefined, Digest> {
  const content = readFileSync(path)
  const sha256 = createHash('sha256').update(content).digest('hex')
  yield
  const { length: gzip } = gzipSync(content)
  yield
  return { sha256, bytes: content.length, gzip, brotli: brotliSize(content) }
}
