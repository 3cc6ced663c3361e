/** How long an ended job is kept. */
import type { KeepPolicy } from '../backlog.ts'

export function keptMs(keep: KeepPolicy, state: 'finished' | 'failed' | 'cancelled'): number {
  switch (state) {
    case 'finished':
      return keep.finishedMs
    case 'failed':
      return keep.failedMs
    case 'cancelled':
      return keep.cancelledMs
    default:
      return state satisfies never
  }
}
