import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { SqliteBacklog } from '../../persistence/sqlite/backlog.ts'
import { backlogContract } from '../contract/backlog.ts'

const folder = mkdtempSync(join(tmpdir(), 'rdq-contract-'))
let files = 0

backlogContract('sqlite', () => new SqliteBacklog(join(folder, `${++files}.db`)))

test.after.always(() => rmSync(folder, { recursive: true, force: true }))
