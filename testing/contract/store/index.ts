/**
 * The store contract (persistence/durable/store.ts) as a suite: each sentence of it is a test that every store passes.
 */
import type { ContractTest } from '../contract.ts'
import type { StoreSubject } from '../store-client.ts'
import { blame } from './blame.ts'
import { commands } from './commands.ts'
import { crashes } from './crash.ts'
import { crashReports } from './crash-reports.ts'
import { exchanges } from './exchange.ts'
import { globalWidths } from './global-width.ts'
import { jobs } from './jobs.ts'
import { keys } from './keys.ts'
import { namedRules } from './named-rules.ts'
import { rates } from './rate.ts'
import { replays } from './replay.ts'
import { suspects } from './suspects.ts'

export const storeContract: readonly ContractTest<StoreSubject>[] = [
  ...jobs,
  ...exchanges,
  ...commands,
  ...rates,
  ...namedRules,
  ...keys,
  ...globalWidths,
  ...replays,
  ...crashes,
  ...crashReports,
  ...blame,
  ...suspects,
]
