/**
 * Reads from the headers of a response how long its server wants to be left alone.
 *
 * These are understood, and `Retry-After` goes before all others (RFC 9110, 10.2.3):
 *
 * | headers | of |
 * | --- | --- |
 * | `Retry-After`, `Retry-After-Ms` | HTTP; Azure OpenAI |
 * | `RateLimit`, `RateLimit-Policy` | draft-ietf-httpapi-ratelimit-headers-11, and the form of -07 |
 * | `RateLimit-Limit`, `-Remaining`, `-Reset` | the same draft up to -06 |
 * | `X-RateLimit-*`, `X-Rate-Limit-*`, with a unit at the end or without | GitHub, Discord, X, OpenAI, Groq and many more |
 * | `Anthropic-RateLimit-<unit>-*` | Anthropic |
 * | `X-Shopify-Shop-Api-Call-Limit` | Shopify: the limit and what is left, without an instant |
 *
 * A server may send anything, so whatever cannot be read counts as absent, and nothing here throws for it.
 */
import { systemClock } from '../clock.ts'
import { describe, OptionError } from '../errors.ts'
import { optionsOf } from '../parse/option-names.ts'
import { httpDateMs, longestMs, longestSeconds } from './after-value.ts'

/** The limit that a server has reached, as its headers state it. */
export interface ServerLimit {
  /** How long to wait, in milliseconds. */
  readonly afterMs: number
  readonly limit?: number
  readonly remaining?: number
  /** What the limit counts, if the server says so: `'requests'` or `'tokens'`, for example. */
  readonly unit?: string
}

/** The headers of a response in any common form; `rawHeaders` of Node.js is a flat list of names and values. */
export type HeadersLike =
  | Iterable<readonly [string, string]>
  | readonly string[]
  | Readonly<Record<string, string | number | readonly string[] | undefined>>

/**
 * How long to wait according to the headers of a response, with the limit that is used up; undefined if they request no
 * wait. Give it to `Throttled`: `throw new Throttled(retryAfter(response)?.afterMs)`.
 *
 * @param source A Response, or headers: a Headers object, a plain object, or the `rawHeaders` of Node.js.
 * @param options `now`: the present instant in milliseconds since the epoch. Instants in headers count from the server's
 * own `Date` header where there is one, so clocks that differ do not matter. Throws OptionError if `source` is neither.
 */
export function retryAfter(
  source: { readonly headers: HeadersLike } | HeadersLike,
  options: { now?: number | undefined } = {},
): ServerLimit | undefined {
  const { now = systemClock.wall() } = optionsOf('retryAfter.', options, ['now'])
  if (typeof now !== 'number' || !Number.isFinite(now)) {
    throw new OptionError('retryAfter.now', now, `must be milliseconds since the epoch, got ${describe(now)}`)
  }
  const headers = headersOf(source)
  const serverNow = httpDateMs(headers.get('date') ?? '', now) ?? now
  const stated = statedMs(headers, serverNow)
  const longest = longestWait(limitsIn(headers, serverNow))
  const afterMs = stated ?? longest?.resetMs
  if (afterMs === undefined) return undefined
  const { limit, remaining, unit } = longest ?? {}
  return {
    afterMs,
    ...(limit !== undefined && { limit }),
    ...(remaining !== undefined && { remaining }),
    ...(unit !== undefined && { unit }),
  }
}

/** Of one unit, or of one named policy. */
interface Limit {
  unit?: string | undefined
  limit?: number | undefined
  remaining?: number | undefined
  /** Milliseconds from now. */
  resetMs?: number | undefined
}

/** Of the limits that are used up, the one that takes longest. A limit without a remainder counts as used up. */
function longestWait(limits: Iterable<Limit>): Limit | undefined {
  let longest: Limit | undefined
  for (const limit of limits) {
    if ((limit.remaining ?? 0) > 0 || (limit.remaining === undefined && limit.resetMs === undefined)) continue
    if (!longest || (limit.resetMs ?? -1) > (longest.resetMs ?? -1)) longest = limit
  }
  return longest
}

function statedMs(headers: ReadonlyMap<string, string>, serverNow: number): number | undefined {
  const ms = numberIn(headers.get('retry-after-ms'))
  if (ms !== undefined && ms <= longestMs) return ms
  const value = headers.get('retry-after')?.trim() ?? ''
  const at = httpDateMs(value, serverNow)
  if (at !== undefined) return bounded(at - serverNow)
  const seconds = longestSeconds(value)
  return seconds === undefined ? undefined : bounded(seconds * 1_000)
}

const sortedHeader = /^(?:x-)?rate-?limit-(limit|remaining|reset-after|reset)(?:-([\w-]+))?$/
const anthropicHeader = /^anthropic-ratelimit-([\w-]+)-(limit|remaining|reset)$/

function limitsIn(headers: ReadonlyMap<string, string>, serverNow: number): Iterable<Limit> {
  const limits = new Map<string, Limit>()
  const of = (name: string): Limit => {
    let limit = limits.get(name)
    if (!limit) limits.set(name, (limit = {}))
    return limit
  }
  for (const [name, value] of headers) {
    const [, field, unit] = sortedHeader.exec(name) ?? swapped(anthropicHeader.exec(name)) ?? []
    if (field === undefined) continue
    const limit = of(`header ${unit ?? ''}`)
    limit.unit = unit
    if (field === 'limit') limit.limit = numberIn(/^[^,;]*/.exec(value)?.[0])
    else if (field === 'remaining') limit.remaining = numberIn(value)
    // `reset-after` counts from now, and is the more exact of the two.
    else if (field === 'reset-after') limit.resetMs = secondsMs(value) ?? limit.resetMs
    else if (headers.get(name.replace('-reset', '-reset-after')) === undefined)
      limit.resetMs = resetMs(value, serverNow)
  }
  const shopify = /^(\d+)\/(\d+)$/.exec(headers.get('x-shopify-shop-api-call-limit') ?? '')
  if (shopify) {
    const [used, limit] = [Number(shopify[1]), Number(shopify[2])]
    Object.assign(of('shopify'), { limit, remaining: Math.max(0, limit - used) })
  }
  readDraft(headers, of)
  return limits.values()
}

function swapped(match: RegExpExecArray | null): readonly (string | undefined)[] | undefined {
  return match ? [match[0], match[2], match[1]] : undefined
}

const draftItem =
  /^"((?:[^"\\]|\\["\\])*)"((?:;[a-z*][\w.*-]*(?:=(?:-?\d+(?:\.\d+)?|"(?:[^"\\]|\\["\\])*"|:[^:]*:|\?[01]))?)*)$/

/**
 * `RateLimit: "default";r=0;t=30` beside `RateLimit-Policy: "default";q=100;w=60`, and `limit=100, remaining=0,
 * reset=30`.
 */
function readDraft(headers: ReadonlyMap<string, string>, of: (name: string) => Limit): void {
  for (const header of ['ratelimit', 'ratelimit-policy']) {
    for (const item of itemsOf(headers.get(header) ?? '')) {
      const [, policy, parameters = ''] = draftItem.exec(item) ?? []
      if (policy !== undefined) {
        const { r, t, q, qu } = Object.fromEntries(
          [...parameters.matchAll(/;(\w+)=(?:"([^"]*)"|([^;]*))/g)].map(([, key, text, number]) => [
            key,
            text ?? number,
          ]),
        )
        const limit = of(`policy ${policy}`)
        limit.remaining = numberIn(r) ?? limit.remaining
        limit.resetMs = secondsMs(t) ?? limit.resetMs
        limit.limit = numberIn(q) ?? limit.limit
        limit.unit = qu ?? limit.unit
        continue
      }
      const [, field, value] = /^(limit|remaining|reset)=([\d.]+)$/.exec(item) ?? []
      if (header !== 'ratelimit' || field === undefined) continue
      const limit = of('policy')
      if (field === 'reset') limit.resetMs = secondsMs(value)
      else limit[field as 'limit' | 'remaining'] = numberIn(value)
    }
  }
}

/** The members of a list: a comma within quotes separates nothing. */
function itemsOf(list: string): readonly string[] {
  return (list.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+/g) ?? []).map(item => item.trim())
}

/** From here on a number is an instant in seconds, and from `fromMs` on in milliseconds. */
const fromSeconds = 1e9
const fromMs = 1e12

/** A reset in any form that servers use: seconds from now, an instant, or a duration such as `6m0s`. */
function resetMs(value: string, serverNow: number): number | undefined {
  const number = numberIn(value)
  if (number !== undefined) {
    if (number < fromSeconds) return number * 1_000
    return bounded((number >= fromMs ? number : number * 1_000) - serverNow)
  }
  const at = isoMs(value) ?? httpDateMs(value.trim(), serverNow)
  return at === undefined ? durationMsOf(value) : bounded(at - serverNow)
}

function secondsMs(value: string | undefined): number | undefined {
  const seconds = numberIn(value)
  return seconds === undefined ? undefined : bounded(seconds * 1_000)
}

/** Milliseconds from now: at once for an instant that has passed, undefined for one that no server can mean. */
function bounded(ms: number): number | undefined {
  return ms <= longestMs ? Math.max(0, ms) : undefined
}

function numberIn(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? ''
  return /^\d{1,15}(?:\.\d{1,9})?$/.test(trimmed) ? Number(trimmed) : undefined
}

const isoForm = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/i

function isoMs(value: string): number | undefined {
  const at = isoForm.test(value.trim()) ? Date.parse(value.trim()) : Number.NaN
  return Number.isNaN(at) ? undefined : at
}

const partMs: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

/** `1h2m3.5s`, as Go prints a duration. */
function durationMsOf(value: string): number | undefined {
  const text = value.trim()
  if (!/^(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[dhms]))+$/.test(text)) return undefined
  const parts = [...text.matchAll(/([\d.]+)(ms|[dhms])/g)]
  return bounded(parts.reduce((sum, [, count, unit]) => sum + Number(count) * (partMs[unit as string] as number), 0))
}

/** A longer header says nothing that is read here, and may have been made to take long. */
const maxLength = 2_000

/** The headers by their names in lower case. A header that came several times is a list, as HTTP has it. */
function headersOf(source: unknown): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const add = (name: unknown, value: unknown): void => {
    if (typeof name !== 'string') return
    if (Array.isArray(value)) for (const one of value) add(name, one)
    else if (typeof value === 'string' || typeof value === 'number') {
      const key = name.toLowerCase()
      const before = found.get(key)
      const list = before === undefined ? String(value) : `${before}, ${value}`
      if (list.length <= maxLength) found.set(key, list)
    }
  }
  try {
    if (typeof source !== 'object' || source === null) throw new TypeError('no object')
    const { headers = source } = source as { headers?: unknown }
    if (typeof headers !== 'object' || headers === null) throw new TypeError('no object')
    if (Array.isArray(headers) && headers.every(part => typeof part === 'string')) {
      for (let i = 0; i + 1 < headers.length; i += 2) add(headers[i], headers[i + 1])
    } else if (Symbol.iterator in headers) {
      for (const [name, value] of headers as Iterable<readonly unknown[]>) add(name, value)
    } else for (const [name, value] of Object.entries(headers)) add(name, value)
  } catch {
    const form = 'a Response, Headers, an object of headers, or the rawHeaders of Node.js'
    throw new OptionError('retryAfter.source', source, `must be ${form}, got ${describe(source)}`)
  }
  return found
}
