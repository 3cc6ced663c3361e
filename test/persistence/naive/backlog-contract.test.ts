import { backlogContract } from '../../../testing/index.ts'
import { answeringLater } from '../../support/late-store.ts'
import { NaiveBacklog } from '../../support/naive-backlog.ts'
import { holds } from '../../support/run-contract.ts'

holds('naive', backlogContract, { make: () => new NaiveBacklog() })
holds('naive, answering later', backlogContract, { make: () => new NaiveBacklog(undefined, answeringLater, true) })
