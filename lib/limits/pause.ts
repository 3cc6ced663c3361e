/** A pause that is stored and shared by all processes. */
import { type Limit, untilEvent } from './limit.ts'

const paused = untilEvent('pause')

export const pauseLimit: Limit = {
  refuses: scope => (scope.paused ? paused : undefined),
}
