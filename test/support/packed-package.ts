/** Installs the package as users do: packed, offline, into a folder with nothing but its dependencies. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { npm, root, textOf } from './repository.ts'

export interface Manifest {
  readonly name: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

export const manifest: Manifest = JSON.parse(textOf('package.json'))

/** What an application writes to import each entry: `rdq`, `rdq/testing`, … */
export const entries: readonly string[] = Object.keys(manifest.exports)
  .filter(path => path !== './package.json')
  .map(path => manifest.name + path.slice(1))

export interface Packed {
  /** Where it is installed: what lies in here can import it. */
  readonly folder: string
  readonly tarball: string
  /** What the tarball holds. */
  readonly files: readonly string[]
  /** Makes better-sqlite3 available, which is a peer, and optional. */
  addPeer(): Promise<void>
  /** A folder with these files in it, beside the others. */
  place(name: string, files: Readonly<Record<string, string>>): Promise<string>
  remove(): Promise<void>
}

export async function installPacked(): Promise<Packed> {
  const folder = await mkdtemp(join(tmpdir(), 'rdq-package-'))
  const names = Object.keys(manifest.dependencies)
  const [own, ...others] = await Promise.all([root, ...names.map(modulePath)].map(from => pack(from, folder)))
  if (own === undefined) throw new Error('npm pack printed nothing')
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  const options = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock']
  const { code, output } = await npm(['install', ...options, own.path, ...others.map(other => other.path)], folder)
  if (code !== 0) throw new Error(output)
  return {
    folder,
    tarball: own.path,
    files: own.files,
    addPeer: () => symlink(modulePath('better-sqlite3'), join(folder, 'node_modules/better-sqlite3'), 'junction'),
    async place(name, files) {
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(join(folder, name, path)), { recursive: true })
        await writeFile(join(folder, name, path), text)
      }
      return join(folder, name)
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

function modulePath(name: string): string {
  return join(root, 'node_modules', name)
}

/** Packs the package in `from` as it stands, without its scripts: what is in dist was just built. */
async function pack(from: string, to: string): Promise<{ path: string; files: readonly string[] }> {
  const options = ['--json', '--ignore-scripts', '--pack-destination', to]
  const { code, stdout, output } = await npm(['pack', from, ...options], to)
  if (code !== 0) throw new Error(output)
  const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  return { path: join(to, packed.filename), files: packed.files.map(file => file.path).sort() }
}
