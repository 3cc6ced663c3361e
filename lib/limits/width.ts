/** How many jobs of a scope may be underway over all processes. */
import { type Limit, untilEvent } from './limit.ts'

const full = untilEvent('width')

export const widthLimit: Limit = {
  refuses: ({ underway, width }) => (underway >= width ? full : undefined),
}
