import { backlogContract } from '../../../testing/index.ts'
import { NaiveBacklog } from '../../support/naive-backlog.ts'
import { holds } from '../../support/run-contract.ts'

holds('naive', backlogContract, { make: () => new NaiveBacklog() })
