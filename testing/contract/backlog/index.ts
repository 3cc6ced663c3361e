/**
 * The contract of backlogs (lib/backlog.ts) for one process, as a suite: each title begins with the number of its rule.
 */
import type { ContractTest } from '../contract.ts'
import { commands } from './commands.ts'
import { exchanges } from './exchanges.ts'
import { kept } from './keep.ts'
import { order } from './order.ts'
import { puts } from './puts.ts'
import { queries } from './queries.ts'
import type { BacklogSubject } from './session.ts'
import { sessions } from './sessions.ts'

export const backlogContract: readonly ContractTest<BacklogSubject>[] = [
  ...order,
  ...puts,
  ...exchanges,
  ...commands,
  ...kept,
  ...queries,
  ...sessions,
]
