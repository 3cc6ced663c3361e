/**
 * Rates: is the limit kept in every window, and is it used?
 *
 * All jobs are there at once and each notes the time at its first line. `worst` is the most starts in any half-open
 * window of the rule's length, found by trying each, over the limit. `use` is the time that the same number of starts
 * takes at best under the rules over the time it took, from the first start to the last; more than 100 % is only to be
 * had by breaking the limit.
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { rdq } from '../rdq.mjs'

/**
 * A contender: `prepare(rules, start)` returns how `start` is called once more, under the limit.
 *
 * @param {(rules: { limit: number, per: number }[], start: () => void) => Promise<() => Promise<unknown>>} prepare
 */
function limited(prepare) {
  return async ({ rules, n, laterMs }) => {
    const starts = new Float64Array(n)
    const puts = new Float64Array(n)
    let count = 0
    const start = () => {
      starts[count++] = performance.now()
    }
    const run = await prepare(rules, start)
    const ends = []
    const put = () => {
      puts[ends.length] = performance.now()
      ends.push(run())
    }
    put()
    if (laterMs > 0) await sleep(laterMs)
    while (ends.length < n) put()
    await Promise.all(ends)
    if (count !== n) throw new Error(`${count} of ${n} jobs started`)
    return {
      worst: Math.max(...rules.map(rule => worstWindow(starts, rule) / rule.limit)),
      use: (100 * leastTime(puts, rules)) / (starts[n - 1] - starts[0]),
      first: starts[0] - puts[0],
    }
  }
}

/** The most starts in any window [t, t + per). The fullest window begins at a start. */
function worstWindow(starts, { per }) {
  let most = 0
  for (let i = 0; i < starts.length; i++) {
    let inside = 0
    for (let j = i; j < starts.length && starts[j] - starts[i] < per; j++) inside++
    most = Math.max(most, inside)
  }
  return most
}

/** From the first to the last start when each is as early as its put and all rules allow. */
function leastTime(puts, rules) {
  const starts = []
  for (const [i, put] of puts.entries()) {
    const allowed = rules.map(({ limit, per }) => (i < limit ? put : starts[i - limit] + per))
    starts.push(Math.max(put, starts[i - 1] ?? put, ...allowed))
  }
  return starts[starts.length - 1] - starts[0]
}

const rdqLimited = handlerOf =>
  limited(async (rules, start) => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(handlerOf(start), { width: Infinity, rate: rules })
    return () => queue.run(null)
  })

function busy(ms) {
  const end = performance.now() + ms
  while (performance.now() < end);
}

/** Handlers in every form. Those with steps have four, of 0.1 ms each. */
const forms = {
  rdq: start => () => start(),
  'rdq, async': start => async () => {
    start()
    for (let i = 0; i < 4; i++) {
      busy(0.1)
      await undefined
    }
  },
  'rdq, generator': start =>
    function* () {
      start()
      for (let i = 0; i < 4; i++) {
        busy(0.1)
        yield
      }
    },
  'rdq, async generator': start =>
    async function* () {
      start()
      for (let i = 0; i < 4; i++) {
        busy(0.1)
        yield
      }
    },
  'rdq, 1 ms synchronous': start => () => {
    start()
    busy(1)
  },
  'rdq, 10 ms synchronous': start => () => {
    start()
    busy(10)
  },
}
const formNames = ['rdq', 'rdq, async', 'rdq, generator', 'rdq, async generator']

async function pQueue(rules, start, strict) {
  const { default: PQueue } = await import('p-queue')
  const queues = rules.map(({ limit, per }) => new PQueue({ intervalCap: limit, interval: per, strict }))
  // Several rules: a queue in a queue, the only way it has.
  return queues.reduce(
    (run, queue) => () => queue.add(run),
    async () => start(),
  )
}

async function pThrottle(rules, start, strict) {
  const { default: throttle } = await import('p-throttle')
  return rules.reduce(
    (run, { limit, per }) => throttle({ limit, interval: per, strict })(run),
    async () => start(),
  )
}

async function limiter(rules, start) {
  const { RateLimiter } = await import('limiter')
  // The longest first: what has passed it must not gather before it for the others.
  const buckets = rules
    .toReversed()
    .map(({ limit, per }) => new RateLimiter({ tokensPerInterval: limit, interval: per }))
  return async () => {
    for (const bucket of buckets) await bucket.removeTokens(1)
    start()
  }
}

async function bottleneck(options, start) {
  const { default: Bottleneck } = await import('bottleneck')
  const queue = new Bottleneck(options)
  return () => queue.schedule(async () => start())
}

/** The least that keeps all rules: a log of starts, and a look at the clock in each turn of the loop towards the end of a sleep. */
async function bareLog(rules, start) {
  const log = []
  const waiting = []
  let busy = false
  const next = () => Math.max(...rules.map(({ limit, per }) => (log.at(-limit) ?? -Infinity) + per))
  const startAll = async () => {
    busy = true
    await turn()
    for (const resolve of waiting) {
      for (let left; (left = next() - performance.now()) > 0; ) await (left > 3 ? sleep(left - 3) : turn())
      start()
      log.push(performance.now())
      resolve()
    }
    waiting.length = 0
    busy = false
  }
  return () =>
    new Promise(resolve => {
      waiting.push(resolve)
      if (!busy) void startAll()
    })
}

const contenders = {
  ...Object.fromEntries(Object.entries(forms).map(([name, handlerOf]) => [name, rdqLimited(handlerOf)])),
  'bare log of starts': limited(bareLog),
  'p-queue, fixed window': limited((rules, start) => pQueue(rules, start, false)),
  'p-queue, strict': limited((rules, start) => pQueue(rules, start, true)),
  'p-throttle, fixed window': limited((rules, start) => pThrottle(rules, start, false)),
  'p-throttle, strict': limited((rules, start) => pThrottle(rules, start, true)),
  limiter: limited(limiter),
  'bottleneck, reservoir': limited(([{ limit, per }], start) => {
    const refresh = { reservoirRefreshAmount: limit, reservoirRefreshInterval: per }
    return bottleneck({ reservoir: limit, ...refresh }, start)
  }),
  'bottleneck, minTime': limited(([{ limit, per }], start) => bottleneck({ minTime: per / limit }, start)),
  // One rule each, as it cannot have two of a kind.
  'bottleneck, minTime and reservoir': limited(([short, long], start) => {
    const refresh = { reservoirRefreshAmount: long.limit, reservoirRefreshInterval: long.per }
    return bottleneck({ minTime: short.per / short.limit, reservoir: long.limit, ...refresh }, start)
  }),
}

const metrics = [
  { name: 'worst', title: 'worst window / limit', unit: 'x', better: 'less', of: 'max', limit: 1 },
  { name: 'use', title: 'use, %', unit: '%', better: 'more' },
  { name: 'first', title: 'first start after, ms', unit: 'ms', better: 'less' },
]

/** No window over its limit, whatever the handler; and all of the rate used where its synchronous part is short. */
const boundsOf = names =>
  names
    .filter(name => name in forms)
    .flatMap(contender => [
      { kind: 'bound', contender, metric: 'worst', atMost: 1 },
      ...(contender.endsWith('synchronous') ? [] : [{ kind: 'bound', contender, metric: 'use', atLeast: 99 }]),
    ])

const howUsed =
  'use: the least time that so many starts need under the rules / the time from the first start to the last.'

// A start that comes late, for the machine was busy, holds up the one of the next window by as much, for good.
const howBare = 'The bare log shows what this machine, as busy as it is, takes off the use.'

/** `windows` full windows; all but one job are put `laterMs` after the first. */
function ratePart({ name, rules, windows, names, laterMs = 0, notes = [] }) {
  const [{ limit }] = rules.toSorted((a, b) => b.per / b.limit - a.per / a.limit)
  return {
    name,
    title: ({ n }) =>
      `${n.toLocaleString('en-US')} jobs ${laterMs ? `put ${laterMs} ms after a first one` : 'put at once'}, at most ${rules.map(({ limit, per }) => `${limit.toLocaleString('en-US')} per ${per === 1_000 ? 'second' : `${per} ms`}`).join(' and ')}`,
    params: quick => ({ rules, laterMs, n: limit * (quick ? Math.ceil(windows / 2) : windows) }),
    contenders: Object.fromEntries(names.map(contender => [contender, contenders[contender]])),
    metrics,
    bounds: boundsOf(names),
    notes: ['worst is the worst of all rounds.', howUsed, howBare, ...notes],
  }
}

const all = Object.keys(contenders).filter(
  name => name !== 'bottleneck, minTime and reservoir' && (name === 'rdq' || !(name in forms)),
)
const noReservoir = all.filter(name => name !== 'bottleneck, reservoir')
const noReservoirNote = 'bottleneck refuses a reservoir that is refreshed more often than each 250 ms.'

export const parts = [
  ratePart({
    name: '50-per-100ms',
    rules: [{ limit: 50, per: 100 }],
    windows: 10,
    names: noReservoir,
    notes: [noReservoirNote],
  }),
  ratePart({ name: '100-per-1s', rules: [{ limit: 100, per: 1_000 }], windows: 3, names: all }),
  ratePart({
    name: '1000-per-1s',
    rules: [{ limit: 1_000, per: 1_000 }],
    windows: 3,
    names: all.filter(name => name !== 'bottleneck, minTime'),
    notes: ['bottleneck takes a time for each job that grows with how many wait.'],
  }),
  ratePart({
    name: 'handler-forms',
    rules: [{ limit: 40, per: 100 }],
    windows: 10,
    names: [...formNames, 'bare log of starts'],
    notes: ['All but the first have four steps of 0.1 ms, and run beside each other.'],
  }),
  ratePart({
    name: 'synchronous-part',
    rules: [{ limit: 5, per: 100 }],
    windows: 20,
    names: ['rdq', 'rdq, 1 ms synchronous', 'rdq, 10 ms synchronous'],
    notes: [
      'A launch is recorded after the synchronous part S of its handler, so at most per / (per + S) can be used.',
    ],
  }),
  // A fixed window that began with the first job is nearly over when the others come.
  ratePart({
    name: 'late-burst',
    rules: [{ limit: 50, per: 100 }],
    windows: 10,
    laterMs: 90,
    names: noReservoir,
    notes: [noReservoirNote],
  }),
  ratePart({
    name: 'two-rules',
    rules: [
      { limit: 20, per: 100 },
      { limit: 100, per: 1_000 },
    ],
    windows: 3,
    names: [
      ...['rdq', 'bare log of starts', 'p-queue, fixed window', 'p-queue, strict', 'p-throttle, strict', 'limiter'],
      'bottleneck, minTime and reservoir',
    ],
    notes: [
      'p-queue, p-throttle and limiter have one rule; a second one is a queue (or bucket) before the first, each charged by itself.',
    ],
  }),
]
