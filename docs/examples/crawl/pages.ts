/** The pages of a host, and the links in them. */
import { readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'

const isPage = /\.(?:md|markdown|html?)$/i
const isHidden = /(?:^|\/)\./

/** The URL of a page. Each page has exactly one. */
export function urlOf(host: string, path: string): string {
  return `http://${host}/${path.split('/').map(encodeURIComponent).join('/')}`
}

/** The path of the page at a URL; '' is the index of the host. Undefined if no page can have this URL. */
export function pathOf(url: URL): string | undefined {
  try {
    return decodeURIComponent(url.pathname.slice(1))
  } catch {
    return undefined // A percent sign by itself.
  }
}

/** The URLs of the pages to which a page in HTML or Markdown links, each once. */
export function linksIn(text: string, base: string): string[] {
  const found = new Set<string>()
  const links = /\]\(\s*<?([^\s<>()]+)|^ {0,3}\[[^\]]+\]:\s*<?([^\s<>]+)|\bhref\s*=\s*["']?([^\s"'<>]+)/gim
  for (const [, inline, reference, href] of text.matchAll(links)) {
    const link = inline ?? reference ?? href ?? ''
    if (!URL.canParse(link, base)) continue
    const url = new URL(link, base)
    const path = pathOf(url)
    if (url.protocol === 'http:' && path !== undefined && isPage.test(path)) found.add(urlOf(url.host, path))
  }
  return [...found]
}

/** The paths of the pages under `folder` that one of several hosts has: each folder of the first level is on one host. */
export async function pathsUnder(folder: string, part: { number: number; of: number }): Promise<string[]> {
  const names = await readdir(folder, { recursive: true })
  const paths = names.map(name => name.replaceAll(sep, '/')).filter(path => isPage.test(path) && !isHidden.test(path))
  const groupOf = (path: string): string => path.slice(0, path.indexOf('/') + 1)
  const groups = [...new Set(paths.map(groupOf))].sort()
  return paths.filter(path => groups.indexOf(groupOf(path)) % part.of === part.number).sort()
}

/**
 * Reads the pages and makes an index of them. The index links to each page that no other page leads to, so that all can
 * be reached from it.
 */
export async function readPages(host: string, folder: string, paths: readonly string[]): Promise<Map<string, string>> {
  const pages = new Map<string, string>()
  for (const path of paths) pages.set(path, await readFile(join(folder, path), 'utf8'))
  const linked = new Map([...pages].map(([path, text]) => [path, linksIn(text, urlOf(host, path))]))
  const reached = new Set<string>()
  const reach = (path: string): void => {
    if (!pages.has(path) || reached.has(path)) return
    reached.add(path)
    for (const link of linked.get(path) ?? []) if (new URL(link).host === host) reach(pathOf(new URL(link)) ?? '')
  }
  const isReadme = (path: string): boolean => /(?:^|\/)(?:readme|index)\.\w+$/i.test(path)
  const first = [...paths.filter(isReadme), ...paths.filter(path => !isReadme(path))]
  const roots = first.filter(path => {
    const isRoot = !reached.has(path)
    reach(path)
    return isRoot
  })
  const items = roots.map(path => `<li><a href="${new URL(urlOf(host, path)).pathname}">${path}</a></li>`)
  return pages.set('', `<!doctype html><title>${host}</title><ul>\n${items.join('\n')}\n</ul>\n`)
}
