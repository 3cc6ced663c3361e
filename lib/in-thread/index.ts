/**
 * `rdq/isolate`: one call in a thread, and results that move their buffers. A queue whose handler runs in threads or
 * processes needs nothing of this: it has the option `isolate`.
 */

export { ModuleLoadError, ThreadEndedError } from '../errors.ts'
export { type Transferred, transfer } from '../isolate/transfer.ts'
export type { HandlerUrl } from '../options/isolate.ts'
export { type InThreadOptions, inThread } from './in-thread.ts'
