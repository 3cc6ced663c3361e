import { join } from 'node:path'
import test from 'ava'
import { SqliteBacklog } from '../../../persistence/sqlite/backlog.ts'
import { backlogContract } from '../../../testing/index.ts'
import { holds } from '../../support/run-contract.ts'
import { remove, temporary } from '../../support/temporary-folder.ts'

const folder = temporary('contract')
let files = 0

holds('sqlite', backlogContract, { make: () => new SqliteBacklog(join(folder, `${++files}.db`)) })

test.after.always(() => remove(folder))
