import { join } from 'node:path'
import test from 'ava'
import { SqliteBacklog } from '../../../persistence/sqlite/backlog.ts'
import { backlogContract } from '../../contract/backlog.ts'
import { remove, temporary } from '../../support/temporary-folder.ts'

const folder = temporary('contract')
let files = 0

backlogContract('sqlite', () => new SqliteBacklog(join(folder, `${++files}.db`)))

test.after.always(() => remove(folder))
