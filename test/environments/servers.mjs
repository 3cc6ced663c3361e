/**
 * The servers that BullMQ and pg-boss need. Each is started on a free port of the loopback, without persistence, in a
 * temporary folder, and is ended by its pid. Where a server is not installed, one skipped test says what was not run;
 * with RDQ_SERVERS=required, which .ci/run sets, that is a failure.
 */
import { execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import test from 'ava'

/** Debian keeps the programs of PostgreSQL outside the PATH, in a folder for each version. */
const debian = '/usr/lib/postgresql'
const folders = [
  ...(process.env.PATH ?? '').split(delimiter),
  ...(existsSync(debian) ? readdirSync(debian).map(version => join(debian, version, 'bin')) : []),
]
const find = program => folders.map(folder => join(folder, program)).find(path => existsSync(path))

/** PostgreSQL refuses to run as root. Its Debian package brings a user of that name. */
function unprivileged() {
  if (process.getuid?.() !== 0) return {}
  try {
    const idOf = flag => Number(execFileSync('id', [flag, 'postgres'], { stdio: ['ignore', 'pipe', 'ignore'] }))
    return { uid: idOf('-u'), gid: idOf('-g') }
  } catch {
    return undefined
  }
}

const redis = {
  of: 'BullMQ',
  installed: () => find('redis-server') !== undefined,
  needs: 'redis-server',
  start(folder, port) {
    const options = { bind: '127.0.0.1', port, dir: folder, save: '', appendonly: 'no' }
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`])
    return spawn(find('redis-server'), args, { stdio: ['ignore', 'pipe', 'pipe'] })
  },
  kill: 'SIGKILL',
}

const postgres = {
  of: 'pg-boss',
  installed: () => find('initdb') !== undefined && unprivileged() !== undefined,
  needs: 'postgresql, and a user postgres where the tests run as root',
  start(folder, port) {
    const user = unprivileged()
    if (user.uid !== undefined) chownSync(folder, user.uid, user.gid)
    const data = join(folder, 'data')
    const init = ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C']
    execFileSync(find('initdb'), init, { ...user, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
    const options = { listen_addresses: '127.0.0.1', port, unix_socket_directories: '', fsync: 'off' }
    const args = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    return spawn(find('postgres'), ['-D', data, ...args], { ...user, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  },
  // Ends at once, and its children with it.
  kill: 'SIGQUIT',
}

/**
 * Starts the server before the tests of a file and ends it after them. Gives undefined where it is not installed, else a
 * function that gives its port.
 */
function serverOf({ of, installed, needs, start, kill }) {
  if (!installed()) {
    if (process.env.RDQ_SERVERS === 'required') throw new Error(`${of} cannot be run: install ${needs}`)
    test.skip(`${of} is not run, nor rdq beside it: that takes ${needs}`, () => {})
    return undefined
  }
  const folder = mkdtempSync(join(tmpdir(), 'rdq-server-'))
  let port
  let server
  test.serial.before(`${of}: its server is started`, async t => {
    t.timeout(60_000)
    port = await freePort()
    server = start(folder, port)
    // Also when the tests time out, or throw outside a test: nothing is left running.
    process.once('exit', () => server.kill(kill))
    await ready(server)
  })
  test.after.always(`${of}: its server is ended`, async () => {
    if (server !== undefined && server.exitCode === null) {
      const ended = new Promise(resolve => server.once('exit', resolve))
      server.kill(kill)
      await ended
    }
    rmSync(folder, { recursive: true, force: true })
  })
  return () => port
}

export const redisServer = () => serverOf(redis)
export const postgresServer = () => serverOf(postgres)

function freePort() {
  return new Promise((resolve, reject) => {
    const listener = createServer().once('error', reject)
    listener.listen(0, '127.0.0.1', () => {
      const { port } = listener.address()
      listener.close(() => resolve(port))
    })
  })
}

/** Resolves once the server says that it is ready, and rejects with all that it has said when it ends before. */
function ready(server) {
  let said = ''
  return new Promise((resolve, reject) => {
    for (const stream of [server.stdout, server.stderr]) {
      stream.on('data', text => {
        said += text
        if (/ready to accept connections/i.test(said)) resolve()
      })
    }
    server.once('error', reject)
    server.once('exit', code => reject(new Error(`the server has ended with exit code ${code}: ${said}`)))
  })
}
