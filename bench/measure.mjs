/**
 * How we measure: rounds of child processes, and what is taken from their figures.
 *
 * A suite only says what is done (its parts and their contenders). Each round of each contender is a process of its
 * own, so that nobody pays for another's garbage or for code that another has made the compiler give up on. The
 * contenders take turns, and ours runs beside each of them, so that a neighbour's load on a shared machine falls on both
 * sides of a ratio.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'

/**
 * One comparison. The whole bench is lists of these, so a report, a baseline or a plot can be made from the data alone.
 *
 * @typedef {object} Part
 * @property {string} name short, unique in its suite
 * @property {string | ((params: Params) => string)} title what was done, in words
 * @property {(quick: boolean) => Params} params sizes, sent to the child
 * @property {Record<string, (params: Params) => Promise<Record<string, number>>>} contenders runs in a child: warms up, measures, returns a figure for each metric
 * @property {string} [ours] runs beside each of the others, and the ratio column is for it
 * @property {Metric[]} metrics the first is the one compared in the ratio column
 * @property {string | false} [plot] the metric that is drawn, the first where it says nothing; false for none
 * @property {number} [rounds] enough for this part, where the others take more
 * @property {Bound[]} [bounds]
 * @property {string[]} [notes]
 *
 * @typedef {Record<string, unknown>} Params
 *
 * @typedef {object} Metric
 * @property {string} name
 * @property {string} title
 * @property {string} unit
 * @property {'more' | 'less'} better
 * @property {string} [fullTitle] its title where it stands by itself
 * @property {number} [limit] drawn as a line across the bars
 * @property {'median' | 'max'} [of] which of the rounds counts for a bound and leads the column; median
 *
 * @typedef {object} Bound what a figure must reach, or the quotient of two contenders' figures in the same run
 * @property {string} kind goal, floor or bound
 * @property {string} contender
 * @property {string} metric
 * @property {string} [versus] divide by this contender's figure
 * @property {number} [atLeast]
 * @property {number} [atMost]
 * @property {Bound} [or] or this one, which is enough by itself
 *
 * @typedef {object} Sample one child's figures; `turn` is when it ran
 * @property {string} contender
 * @property {number} turn
 * @property {Record<string, number>} [figures]
 * @property {string} [error]
 */

const childPath = fileURLToPath(new URL('./child.mjs', import.meta.url))
const childLimitMs = 300_000

/**
 * Runs a part: `rounds` times each contender, in an order that differs from round to round.
 *
 * @param {string} suite
 * @param {Part} part
 * @param {{ quick: boolean, rounds: number, onTurn?: (text: string) => void, params?: Params }} options
 * @returns {Promise<Sample[]>}
 */
export async function runRounds(suite, part, { quick, rounds, onTurn, params = part.params(quick) }) {
  const samples = []
  const failed = new Set()
  for (let round = 0; round < rounds; round++) {
    for (const contender of order(part, round)) {
      if (failed.has(contender)) continue
      onTurn?.(`${suite} ${part.name}, round ${round + 1} of ${rounds}: ${contender}`)
      const outcome = await runChild(suite, part.name, contender, params)
      samples.push({ contender, turn: samples.length, ...outcome })
      if (outcome.error !== undefined) failed.add(contender)
    }
  }
  return samples
}

/** Who runs when: the others rotated, ours before or after each of them by turns. */
function order({ contenders, ours }, round) {
  const others = Object.keys(contenders).filter(contender => contender !== ours)
  const shift = round % Math.max(others.length, 1)
  const rotated = [...others.slice(shift), ...others.slice(0, shift)]
  if (ours === undefined) return rotated
  if (others.length === 0) return [ours]
  return rotated.flatMap((other, i) => ((round + i) % 2 === 0 ? [other, ours] : [ours, other]))
}

/**
 * A child's folder for temporary files is its own, and is removed when the child is gone, however it ended.
 *
 * @returns {Promise<{ figures: Record<string, number> } | { error: string }>}
 */
function runChild(suite, part, contender, params) {
  const folder = mkdtempSync(join(tmpdir(), 'rdq-bench-'))
  const cleanUp = () => rmSync(folder, { recursive: true, force: true })
  return new Promise(resolve => {
    const child = fork(childPath, [suite, part, contender, JSON.stringify(params)], {
      env: { ...process.env, TMPDIR: folder, TEMP: folder, TMP: folder },
      execArgv: ['--expose-gc', ...inheritedFlags()],
      // Not ours: a child that outlived us would hold up whoever reads what we print.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', text => {
      said = (said + text).slice(-2_000)
    })
    const abort = () => {
      child.kill('SIGKILL')
      cleanUp()
    }
    process.once('exit', abort)
    const limit = setTimeout(() => child.kill('SIGKILL'), childLimitMs)
    let answer
    child.on('message', message => {
      answer = message
    })
    child.on('error', error => {
      answer = { error: error.message }
    })
    child.on('close', (code, signal) => {
      clearTimeout(limit)
      process.removeListener('exit', abort)
      cleanUp()
      const lastWords = said.trim().split('\n').at(-1)
      resolve(
        answer ?? { error: `the child ended without an answer (${signal ?? `code ${code}`}) ${lastWords}`.trim() },
      )
    })
  })
}

/** Profiling flags of the parent go to the children, where the work is: `node --cpu-prof bench/run.mjs …`. */
function inheritedFlags() {
  return process.execArgv.filter(flag => /^--(cpu-prof|heap-prof|prof|trace|max-|no-|stack-trace)/.test(flag))
}

// From samples to figures.

/**
 * @param {Sample[]} samples
 * @param {string} contender
 * @param {string} metric
 */
export function spread(samples, contender, metric) {
  return summary(valuesOf(samples, contender, metric))
}

/** Each of `versus`'s figures against the one of `contender` that ran nearest to it in time. */
export function quotients(samples, contender, versus, metric) {
  const own = samples.filter(sample => sample.contender === contender && sample.figures?.[metric] !== undefined)
  const theirs = samples.filter(sample => sample.contender === versus && sample.figures?.[metric] !== undefined)
  if (own.length === 0 || theirs.length === 0) return undefined
  return summary(
    theirs.map(their => {
      const nearest = own.reduce((a, b) => (Math.abs(b.turn - their.turn) < Math.abs(a.turn - their.turn) ? b : a))
      return nearest.figures[metric] / their.figures[metric]
    }),
  )
}

/**
 * What a bound asks, what is so, and by which share of what was asked it is missed. `met` and `missedBy` are undefined
 * where there is no figure.
 *
 * @param {Sample[]} samples
 * @param {Part} part
 * @param {Bound} bound
 */
export function judge(samples, part, bound) {
  const { name, title, fullTitle = title, unit, of = 'median' } = part.metrics.find(({ name }) => name === bound.metric)
  const found = bound.versus
    ? quotients(samples, bound.contender, bound.versus, name)
    : spread(samples, bound.contender, name)
  const value = found?.[of]
  const verdict = { ...bound, title: fullTitle, unit: bound.versus ? 'x' : unit, value, ...met(value, bound) }
  return bound.or ? { ...verdict, or: judge(samples, part, bound.or) } : verdict
}

function met(value, { atLeast, atMost }) {
  if (value === undefined) return {}
  const missedBy = Math.max(
    atLeast === undefined ? 0 : 1 - value / atLeast,
    atMost === undefined ? 0 : value / atMost - 1,
  )
  return missedBy > 0 ? { met: false, missedBy } : { met: true }
}

function valuesOf(samples, contender, metric) {
  return samples
    .filter(sample => sample.contender === contender)
    .map(sample => sample.figures?.[metric])
    .filter(value => value !== undefined && value !== null)
}

/** @param {number[]} values */
export function summary(values) {
  if (values.length === 0) return undefined
  return { median: percentile(values, 0.5), min: Math.min(...values), max: Math.max(...values), values }
}

/** The middle of the two neighbours for the median of an even count; else the nearest rank. */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  if (share === 0.5 && sorted.length % 2 === 0) return (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]
}

// In the child: what suites measure with.

/**
 * The time of one run in milliseconds: `ms` is the median after runs that only warm up, `firstMs` the very first, in a
 * process that has run none of it before. `cpuMs` is what the median run took of processors, the threads of the garbage
 * collector included: it says less, and is the same on a busy machine. Garbage of an earlier run is collected first.
 *
 * @param {() => unknown} run
 */
export async function timed(run, { warm = 2, runs = 3 } = {}) {
  const times = []
  const cpuTimes = []
  for (let i = 0; i < warm + runs; i++) {
    globalThis.gc()
    const before = process.cpuUsage()
    const from = performance.now()
    await run()
    times.push(performance.now() - from)
    cpuTimes.push(cpuMsSince(before))
  }
  return { ms: percentile(times.slice(warm), 0.5), firstMs: times[0], cpuMs: percentile(cpuTimes.slice(warm), 0.5) }
}

/** What this process has taken of processors since then, all threads together, in milliseconds. */
export function cpuMsSince(before) {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

/** Bytes that live objects hold, in the heap and in array buffers outside of it. */
export async function liveBytes() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc()
    await new Promise(resolve => setTimeout(resolve, 20)) // Finalizers and the sweep run beside the main thread.
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Beats at every turn of the event loop; the longest gap is the longest that a timer or a socket was kept waiting. */
export class Heartbeat {
  #last = performance.now()
  #longest = 0
  #immediate = setImmediate(() => this.#beat())

  #beat() {
    this.#note()
    this.#immediate = setImmediate(() => this.#beat())
  }
  #note() {
    const now = performance.now()
    this.#longest = Math.max(this.#longest, now - this.#last)
    this.#last = now
  }
  /** Ends the beat and gives the longest gap in milliseconds, the present one included. */
  stop() {
    clearImmediate(this.#immediate)
    this.#note()
    return this.#longest
  }
}

/** The gaps between the ticks of a plain `setInterval`, in milliseconds. */
export class Ticks {
  #gaps = []
  #last = performance.now()
  #interval

  constructor(everyMs) {
    this.#interval = setInterval(() => {
      const now = performance.now()
      this.#gaps.push(now - this.#last)
      this.#last = now
    }, everyMs)
  }
  stop() {
    clearInterval(this.#interval)
    return this.#gaps
  }
}

/**
 * How late the beats of a plain `setInterval` come, in milliseconds.
 *
 * A beat that fell due while the loop was held counts too, by what it had to wait from then on. Else one long stall would
 * be one beat among hundreds, though it keeps all that fell due in it waiting.
 */
export class Lateness {
  #everyMs
  #late = []
  #last = performance.now()
  #interval

  constructor(everyMs) {
    this.#everyMs = everyMs
    this.#interval = setInterval(() => this.#note(), everyMs)
  }
  #note() {
    const now = performance.now()
    let late = now - this.#last - this.#everyMs
    this.#last = now
    do {
      this.#late.push(Math.max(late, 0))
      late -= this.#everyMs
    } while (late > 0)
  }
  /** Ends the beats, the one that is due included, and gives how late each was. */
  stop() {
    clearInterval(this.#interval)
    this.#note()
    return this.#late
  }
}
