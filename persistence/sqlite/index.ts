/** `rdq/sqlite`: the backlog in one SQLite file. */
export { UnreadableError } from '../durable/errors.ts'
export { SqliteBacklog, type SqliteBacklogOptions } from './backlog.ts'
export {
  BacklogBusyError,
  BacklogCorruptError,
  BacklogDiskError,
  BacklogFileError,
  BacklogFullError,
  BacklogGoneError,
  BacklogThreadError,
  type FileProblem,
  SchemaError,
  SecondSqliteError,
  SqliteMissingError,
  SqliteTooOldError,
  ThreadFileError,
} from './errors.ts'
export type { Durability } from './file/file-to-open.ts'
export { type PutWithinOptions, putWithin } from './put-within.ts'
export { NoTransactionError } from './store/within.ts'
