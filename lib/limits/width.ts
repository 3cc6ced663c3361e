/** How many jobs of a scope may be underway over all processes. */
import { type Limit, untilEvent } from './limit.ts'

const noSlot = untilEvent('width')

export const widthLimit: Limit = {
  refuses: ({ bodies, width }) => (bodies >= width ? noSlot : undefined),
}
