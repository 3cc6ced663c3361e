import { sharedBacklogContract } from '../../../testing/index.ts'
import { holds } from '../../support/run-contract.ts'
import { sharedSqlite } from '../../support/shared-sqlite.ts'

holds('sqlite', sharedBacklogContract, sharedSqlite)
