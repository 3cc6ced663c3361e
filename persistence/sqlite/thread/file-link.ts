/** The links of this process to files: one for each file, whatever paths and queues lead to it. */
import type { Clock } from '../../../lib/clock.ts'
import { OptionError } from '../../../lib/errors.ts'
import { inTurn } from '../../durable/attach-order.ts'
import { Link } from '../../durable/link.ts'
import type { LinkClient } from '../../durable/link-client.ts'
import type { FileFound } from '../file/open.ts'
import { ThreadConnection, type ThreadConnectionOptions } from './thread-connection.ts'

interface FileLink {
  readonly file: FileFound
  readonly options: ThreadConnectionOptions
  readonly connection: ThreadConnection
  readonly link: Link
}

/** By process, then by file. */
const ofProcesses = new WeakMap<object, Map<string, FileLink>>()

/**
 * Lets a queue object use the link to the file at `path`, which is created for the first one. Resolves before the file
 * is open, with its real path.
 */
export function enterFile(
  path: string,
  options: ThreadConnectionOptions,
  client: LinkClient,
  clock: Clock,
): Promise<{ readonly link: Link; readonly path: string }> {
  const { process } = options.host
  let links = ofProcesses.get(process)
  if (!links) ofProcesses.set(process, (links = new Map()))
  const open = links
  return inTurn(process, client, findFile(path, options, open), file => {
    const found = open.get(file.key) ?? makeLink(file, options, clock, open)
    const { durability } = found.options
    if (options.durability !== durability) {
      throw new OptionError(
        'durability',
        options.durability,
        `must be '${durability}', as of the other queues of this process on '${found.file.path}'`,
      )
    }
    found.link.enter(client, clock)
    return { link: found.link, path: found.file.path }
  })
}

function makeLink(
  file: FileFound,
  options: ThreadConnectionOptions,
  clock: Clock,
  open: Map<string, FileLink>,
): FileLink {
  const connection = new ThreadConnection(file, options, clock)
  const link = new Link({
    connection,
    clock,
    name: file.path,
    store: { process: options.host.process, key: file.key },
    over: () => {
      if (open.get(file.key)?.connection === connection) open.delete(file.key)
    },
  })
  const made: FileLink = { file, options, connection, link }
  open.set(file.key, made)
  return made
}

/**
 * Finds the file. A thread that has another file open by the same path is closed first, because both files would share
 * a log.
 */
async function findFile(
  path: string,
  { host }: ThreadConnectionOptions,
  open: ReadonlyMap<string, FileLink>,
): Promise<FileFound> {
  for (;;) {
    const found = await host.find(path)
    const before = [...open.values()].find(({ file }) => file.path === found.path && file.key !== found.key)
    if (!before) return found
    await before.connection.checkFile()
  }
}
