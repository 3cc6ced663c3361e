/** The backlog in one SQLite file. Accepted jobs outlive the process, and by default a loss of power. */
import { resolve } from 'node:path'
import { types } from 'node:util'
import type { Backlog, BacklogSession, SessionOptions, Transport } from '../../lib/backlog.ts'
import { describe, OptionError } from '../../lib/errors.ts'
import { type Duration, durationMs } from '../../lib/parse/duration.ts'
import { optionsOf } from '../../lib/parse/option-names.ts'
import { startSession } from '../durable/open-session.ts'
import { DurableSession } from '../durable/session.ts'
import { defaultTransport } from '../durable/transport.ts'
import type { Durability } from './file/file-to-open.ts'
import { finishWithin } from './put-within.ts'
import { enterFile } from './thread/file-link.ts'
import type { ThreadConnectionOptions } from './thread/thread-connection.ts'
import { host } from './thread/thread-host.ts'

export interface SqliteBacklogOptions {
  /**
   * The failures that an accepted job survives: with `'power'` (the default) the end of the process and a loss of
   * power, with `'process'` only the end of the process.
   */
  readonly durability?: Durability | undefined
  /** A process whose event loop does not answer for this long loses its jobs underway; 5 minutes. */
  readonly stall?: Duration | undefined
}

const minStallMs = 1_000
const urlHint = "fileURLToPath(url) of 'node:url' makes one of a URL"

/** Serves any number of queues, by name, with one thread for each file and process. */
export class SqliteBacklog implements Backlog {
  readonly durable = true
  readonly strict = true
  readonly transport: Transport = defaultTransport
  /** Once the file is open this is its real path: symbolic links are followed only once. */
  #path: string
  readonly #options: ThreadConnectionOptions

  /** Does no I/O: the file is opened, or created, for the first queue. Throws OptionError. */
  constructor(path: string, options: SqliteBacklogOptions = {}) {
    if (!types.isProxy(path) && (path as unknown) instanceof URL) {
      throw new OptionError('path', path, `must be the path of a file, got a URL; ${urlHint}`)
    }
    if (typeof path !== 'string' || path === '' || path.includes('\0')) {
      throw new OptionError('path', path, `must be the path of a file, got ${describe(path)}`)
    }
    if (path === ':memory:') {
      throw new OptionError('path', path, `must be the path of a file, got '${path}'; in memory use a MemoryBacklog`)
    }
    if (path.startsWith('file:'))
      throw new OptionError('path', path, `must be the path of a file, got '${path}'; ${urlHint}`)
    const read: SqliteBacklogOptions = optionsOf('', options, ['durability', 'stall'])
    const { durability = 'power', stall = '5min' } = read
    if (durability !== 'power' && durability !== 'process') {
      throw new OptionError('durability', durability, `must be 'power' or 'process', got ${describe(durability)}`)
    }
    const stallMs = durationMs('stall', stall, 'more')
    if (stallMs < minStallMs) throw new OptionError('stall', stall, `must be at least 1s, got ${describe(stall)}`)
    // Made absolute now, so that a later process.chdir() has no effect.
    this.#path = resolve(path)
    this.#options = { durability, stallMs, host }
  }
  attach(options: SessionOptions): Promise<BacklogSession> {
    return attachSession(options, this.#path, this.#options, real => {
      this.#path = real
    })
  }
}

/** Opens a name in the file, in the process that `options` names. `opened` receives the real path of the file. */
export function attachSession(
  declaration: SessionOptions,
  path: string,
  options: ThreadConnectionOptions,
  opened: (real: string) => void = () => {},
): Promise<BacklogSession> {
  const { clock } = declaration
  const session = new DurableSession(declaration, {
    finishWithin: (db, run, value, keeps) => finishWithin(db as object, run, value, keeps, clock),
  })
  const entering = enterFile(path, options, session, clock)
  const attaching = entering.then(({ link, path: real }) => {
    void link.opened.then(() => opened(real)).catch(() => {})
    return startSession(session, link)
  })
  clock.outside?.(attaching)
  return attaching
}
