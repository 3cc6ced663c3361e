import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'ava'
import { DispatchQueue, OptionError, retryAfter, type ServerLimit, Throttled } from '../../../lib/index.ts'
import { VirtualClock } from '../../../testing/index.ts'

const now = Date.UTC(2026, 4, 28, 12)
const inSeconds = (seconds: number): string => String(now / 1_000 + seconds)

/** Headers as services document them, with instants moved to the 28th of May 2026. */
const recorded: readonly [string, Record<string, string>, ServerLimit | undefined][] = [
  ['any server, seconds', { 'Retry-After': '120' }, { afterMs: 120_000 }],
  ['any server, a date', { 'Retry-After': 'Thu, 28 May 2026 12:00:30 GMT' }, { afterMs: 30_000 }],
  ['any server, a fraction', { 'retry-after': '0.65' }, { afterMs: 650 }],
  ['Azure OpenAI', { 'retry-after-ms': '1250', 'retry-after': '2' }, { afterMs: 1_250 }],
  [
    'draft-ietf-httpapi-ratelimit-headers-11',
    {
      'RateLimit-Policy': '"burst";q=100;w=60, "daily";q=1000;w=86400;qu="requests"',
      RateLimit: '"burst";r=50;t=30, "daily";r=0;t=3600',
    },
    { afterMs: 3_600_000, limit: 1_000, remaining: 0, unit: 'requests' },
  ],
  ['the same draft, nothing used up', { RateLimit: '"default";r=50;t=30' }, undefined],
  ['the same draft, a partition key', { ratelimit: '"a, b";r=0;t=7;pk=:dHJpYWw=:' }, { afterMs: 7_000, remaining: 0 }],
  ['-07', { RateLimit: 'limit=100, remaining=0, reset=5' }, { afterMs: 5_000, limit: 100, remaining: 0 }],
  [
    '-06',
    { 'RateLimit-Limit': '100, 100;w=60', 'RateLimit-Remaining': '0', 'RateLimit-Reset': '50' },
    { afterMs: 50_000, limit: 100, remaining: 0 },
  ],
  [
    'GitHub',
    {
      'x-ratelimit-limit': '5000',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': inSeconds(1_380),
      'x-ratelimit-used': '5000',
      'x-ratelimit-resource': 'core',
    },
    { afterMs: 1_380_000, limit: 5_000, remaining: 0 },
  ],
  ['GitHub, with calls left', { 'x-ratelimit-remaining': '56', 'x-ratelimit-reset': inSeconds(60) }, undefined],
  [
    'OpenAI',
    {
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-limit-tokens': '150000',
      'x-ratelimit-remaining-requests': '59',
      'x-ratelimit-remaining-tokens': '0',
      'x-ratelimit-reset-requests': '1s',
      'x-ratelimit-reset-tokens': '6m0s',
    },
    { afterMs: 360_000, limit: 150_000, remaining: 0, unit: 'tokens' },
  ],
  [
    'Anthropic',
    {
      'anthropic-ratelimit-requests-limit': '1000',
      'anthropic-ratelimit-requests-remaining': '0',
      'anthropic-ratelimit-requests-reset': '2026-05-28T12:00:05Z',
      'anthropic-ratelimit-input-tokens-limit': '80000',
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-input-tokens-reset': '2026-05-28T14:00:20+02:00',
    },
    { afterMs: 20_000, limit: 80_000, remaining: 0, unit: 'input-tokens' },
  ],
  [
    'Discord',
    {
      'X-RateLimit-Limit': '5',
      'X-RateLimit-Remaining': '0',
      'X-RateLimit-Reset': inSeconds(99),
      'X-RateLimit-Reset-After': '1.5',
      'X-RateLimit-Bucket': 'abcd1234',
    },
    { afterMs: 1_500, limit: 5, remaining: 0 },
  ],
  [
    'X',
    { 'x-rate-limit-limit': '15', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': inSeconds(900) },
    { afterMs: 900_000, limit: 15, remaining: 0 },
  ],
  [
    'Shopify',
    { 'X-Shopify-Shop-Api-Call-Limit': '40/40', 'Retry-After': '2.0' },
    { afterMs: 2_000, limit: 40, remaining: 0 },
  ],
  ['Stripe, which says no more than that', { 'Stripe-Rate-Limited-Reason': 'global-rate' }, undefined],
  ['Stripe, with a time', { 'Stripe-Rate-Limited-Reason': 'global-rate', 'Retry-After': '1' }, { afterMs: 1_000 }],
  ['milliseconds since the epoch', { 'x-ratelimit-reset': String(now + 250) }, { afterMs: 250 }],
]

for (const [service, headers, expected] of recorded) {
  test(`retryAfter: the headers of a service are read: ${service}`, t => {
    t.deepEqual(retryAfter(headers, { now }), expected)
  })
}

test('retryAfter: a Response, Headers, an object with lists, pairs and rawHeaders say the same', async t => {
  const headers = { 'Retry-After': '7', 'X-RateLimit-Limit': '9', 'X-RateLimit-Remaining': '0' }
  const expected = { afterMs: 7_000, limit: 9, remaining: 0 }
  const listed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]))
  for (const source of [
    new Response('', { status: 429, headers }),
    new Headers(headers),
    listed,
    { headers: listed },
    new Map(Object.entries(headers)),
    Object.entries(headers),
    Object.entries(headers).flat(),
    { 'retry-after': 7, 'x-ratelimit-limit': 9, 'x-ratelimit-remaining': 0, other: undefined },
  ]) {
    t.deepEqual(retryAfter(source as never, { now }), expected)
  }
  const server = createServer((_, response) => response.writeHead(429, headers).end())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const raw = await new Promise<string[]>(resolve =>
    get({ port, host: '127.0.0.1' }, response => resolve(response.resume().rawHeaders)),
  )
  server.close()
  t.deepEqual(retryAfter(raw), expected)
})

test('retryAfter: instants count from the Date header, so a clock that is wrong by an hour does not matter', t => {
  const date = 'Thu, 28 May 2026 12:00:00 GMT'
  for (const wrong of [now - 3_600_000, now + 3_600_000]) {
    for (const headers of [
      { date, 'retry-after': 'Thu, 28 May 2026 12:00:30 GMT' },
      { date, 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inSeconds(30) },
      { date, 'anthropic-ratelimit-tokens-reset': '2026-05-28T12:00:30Z' },
    ]) {
      t.is(retryAfter(headers, { now: wrong })?.afterMs, 30_000)
    }
    t.is(retryAfter({ date, 'retry-after': '30' }, { now: wrong })?.afterMs, 30_000)
  }
})

test('retryAfter: an instant in the past is now, and of several headers the longest wait holds', t => {
  t.is(retryAfter({ 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' }, { now })?.afterMs, 0)
  t.is(retryAfter({ 'x-ratelimit-reset': inSeconds(-5) }, { now })?.afterMs, 0)
  t.is(retryAfter({ 'retry-after': '0' }, { now })?.afterMs, 0)
  t.is(retryAfter({ 'retry-after': ['5', '10', '7'] }, { now })?.afterMs, 10_000)
  t.is(retryAfter({ 'retry-after': '315360000' }, { now })?.afterMs, 10 * 365 * 86_400_000)
})

test('retryAfter: an unreadable header counts as absent, and a good one beside it is read', t => {
  const garbage = [
    ...['', ' ', 'soon', '-1', '1e3', '0x10', 'NaN', 'Infinity', '5 apples', '5;x', '9'.repeat(30), '5, soon'],
    ...['Thu, 30 Feb 2026 12:00:00 GMT', '2026-05-28T12:00:30Z', 'Fri, 31 Dec 9999 23:59:59 GMT', '\u0000', '5m'],
  ]
  for (const value of garbage) {
    t.is(retryAfter({ 'retry-after': value }, { now }), undefined, value)
    t.is(retryAfter({ 'retry-after': value, 'x-ratelimit-reset': '3' }, { now })?.afterMs, 3_000, value)
  }
  for (const value of ['soon', '-1', '1e3', '9'.repeat(30), '6m0', '999999999d', '2026-13-45T99:00:00Z']) {
    t.is(retryAfter({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': value }, { now }), undefined, value)
  }
  for (const value of ['default;r=0;t=5', '"open;r=0;t=5', '"a";r=zero;t=-5', '"a" ;r=0;t=5', ';;;', '"a";r=0;t=1e9']) {
    t.is(retryAfter({ ratelimit: value }, { now }), undefined, value)
  }
})

test('retryAfter: a header of more than 2,000 characters is not read, whatever it says', t => {
  const of = (length: number): string => `5${' '.repeat(length - 1)}`
  t.is(retryAfter({ 'retry-after': of(2_000) }, { now })?.afterMs, 5_000)
  t.is(retryAfter({ 'retry-after': of(2_001) }, { now }), undefined)
  // Together they are one list, which is too long.
  t.is(retryAfter({ 'retry-after': [of(1_000), of(1_000)] }, { now })?.afterMs, 5_000)

  // Read in full, such as these take seconds each.
  for (const value of [
    '"'.repeat(50_000),
    '\\'.repeat(50_000),
    `"${'\\"'.repeat(25_000)}`,
    ';a=1'.repeat(20_000),
    ','.repeat(50_000),
  ]) {
    for (const name of ['ratelimit', 'retry-after', 'x-ratelimit-limit', 'x-ratelimit-reset']) {
      t.is(retryAfter({ [name]: value }, { now }), undefined)
    }
  }
})

test('retryAfter: a value without headers is refused, and so is a now that is no number', t => {
  const resists = new Proxy(
    {},
    {
      get: () => {
        throw new Error('resists')
      },
    },
  )
  for (const source of [undefined, null, 5, 'retry-after: 5', { headers: 5 }, resists]) {
    t.throws(() => retryAfter(source as never), { instanceOf: OptionError, message: /^retryAfter\.source must be/ })
  }
  t.throws(() => retryAfter({}, { now: Number.NaN }), { message: /^retryAfter\.now must be/ })
  t.throws(() => retryAfter({}, { at: 5 } as never), { instanceOf: OptionError })
})

test('retryAfter: a wait that it returns holds the queue up to maxHold, and explain and limited show it', async t => {
  const clock = new VirtualClock({ wall: now })
  const headers = { 'retry-after': '315360000' }
  let calls = 0
  const queue = new DispatchQueue(
    async () => {
      if (++calls === 1) throw new Throttled(retryAfter(headers, { now: clock.wall() })?.afterMs)
    },
    { clock, maxHold: '10s' },
  )
  const held: unknown[] = []
  queue.on('limited', ({ rule, until }) => void held.push([rule, until]))
  const job = await queue.put(undefined)
  await clock.advance(5_000)

  const { why, notBefore } = await queue.explain(job)
  t.deepEqual([why, notBefore, calls], ['hold', now + 10_000, 1])
  t.deepEqual(held, [[undefined, now + 10_000]])
  await clock.advance(5_000)
  t.is(calls, 2)
  await queue.stop()
})
