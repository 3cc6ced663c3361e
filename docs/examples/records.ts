/** Where the example's records come from: the packages under node_modules, or the lines of a JSON Lines file. */
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** Something to deliver. The id says what it is about, so that delivering it twice can be noticed. */
export interface Delivery {
  readonly id: string
  readonly record: Readonly<Record<string, unknown>>
}

/** The user's input is not what we can work with; the message says which part of it. */
export class InputError extends Error {}

/** Each package installed under `folder`, nested ones too, and each `name@version` once. */
export async function packagesUnder(folder: string): Promise<Delivery[]> {
  const deliveries = new Map<string, Delivery>()
  for await (const path of packageFolders(folder)) {
    const text = await readFile(join(path, 'package.json'), 'utf8').catch(() => '{}') // A folder, but no package.
    const { name, version, description = '' } = JSON.parse(text) as Record<string, unknown>
    if (!name || !version) continue
    const id = makeId(`${name}@${version}`)
    deliveries.set(id, { id, record: { name, version, description } })
  }
  if (deliveries.size === 0) throw new InputError(`no packages under ${folder}: run npm install, or give --input file`)
  return [...deliveries.values()]
}

/** Each line of a JSON Lines file. All lines are read before any is delivered: a bad one stops the whole. */
export async function linesOf(file: string): Promise<Delivery[]> {
  const text = await readFile(file, 'utf8').catch(error => {
    throw new InputError(`cannot read ${file}: ${error.message}`)
  })
  const deliveries: Delivery[] = []
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue
    deliveries.push({ id: makeId(`${basename(file)}:${index + 1}`), record: parseLine(line, `${file}:${index + 1}`) })
  }
  return deliveries
}

function parseLine(line: string, place: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new InputError(`${place}: not JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InputError(`${place}: must be a JSON object, such as {"to":"+3161234567","text":"Hello"}`)
  }
  return value as Record<string, unknown>
}

/** npm's layout: packages, folders of a scope with packages in them, and packages with a node_modules of their own. */
async function* packageFolders(folder: string): AsyncGenerator<string> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue
    const path = join(folder, entry.name)
    if (entry.name.startsWith('@')) yield* packageFolders(path)
    else {
      yield path
      yield* packageFolders(join(path, 'node_modules'))
    }
  }
}

/** At most 200 characters, as for any id; the end is what tells ours apart. ASCII, as it also goes into a header. */
function makeId(text: string): string {
  return encodeURI(text).slice(-200)
}
