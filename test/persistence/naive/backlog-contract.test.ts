import { backlogContract } from '../../contract/backlog.ts'
import { NaiveBacklog } from '../../support/naive-backlog.ts'

backlogContract('naive', () => new NaiveBacklog())
