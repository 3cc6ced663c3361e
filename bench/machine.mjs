/** The machine, Node, and the version of each contender as installed. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'

export function describeMachine() {
  const own = readJson('../package.json')
  const peers = Object.keys(readJson('./package.json').dependencies)
  return {
    machine: {
      cpu: os.cpus()[0]?.model.trim(),
      cores: os.cpus().length,
      memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    },
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.versions.node,
    v8: process.versions.v8,
    load: load(),
    date: new Date().toISOString(),
    rdq: { version: own.version, commit: commit() },
    // The one of the checkout: rdq, plainjob and the bare loops all use it.
    sqlite: readJson('../node_modules/better-sqlite3/package.json').version,
    peers: Object.fromEntries(peers.map(peer => [peer, readJson(`./node_modules/${peer}/package.json`).version])),
  }
}

function readJson(path) {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
}

function load() {
  return os.loadavg().map(load => Math.round(load * 100) / 100)
}

function commit() {
  try {
    const git = args => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim()
    const changed = git(['status', '--porcelain', '--', '../lib', '../persistence']) !== ''
    return git(['rev-parse', '--short', 'HEAD']) + (changed ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}

export function machineText({ machine, system, node, load, rdq, sqlite, peers }) {
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB · ${system} · Node ${node} · load ${load.join(' ')}`,
    `rdq ${rdq.version} (${rdq.commit}) on better-sqlite3 ${sqlite} beside ${Object.entries(peers)
      .map(([peer, version]) => `${peer} ${version}`)
      .join(', ')}`,
  ].join('\n')
}
