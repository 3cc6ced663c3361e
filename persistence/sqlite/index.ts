/** `rdq/sqlite`: the backlog in one SQLite file. */
export { UnreadableError } from '../durable/errors.ts'
export { SqliteBacklog, type SqliteBacklogOptions } from './backlog.ts'
export { type PutWithinOptions, putWithin } from './caller.ts'
export {
  BacklogBusyError,
  BacklogCorruptError,
  BacklogDiskError,
  BacklogFileError,
  BacklogFullError,
  BacklogGoneError,
  BacklogThreadError,
  type FileProblem,
  SecondSqliteError,
  SqliteMissingError,
  SqliteTooOldError,
  ThreadFileError,
} from './errors.ts'
export type { Durability } from './messages.ts'
export { SchemaError } from './schema.ts'
export { NoTransactionError } from './within.ts'
