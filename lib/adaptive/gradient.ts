/**
 * Finds the width from run times: grows while a wider queue does not make its runs longer, shrinks when it does.
 *
 * By Little's law the mean run time over a window is the time for which slots were taken, divided by the runs that
 * ended. The algorithm compares it with the mean run time at the smallest widths it remembers. Their ratio is the
 * gradient: 1 where the service has capacity left, and smaller by the share of the runs that only queue in the service.
 * The next width is `width * gradient + headroom`, and `headroom` grows with the square root of the width.
 *
 * Sources: TCP Vegas (Brakmo and Peterson, 1995) for the estimate; Gradient2Limit of Netflix concurrency-limits and the
 * gradient controller of Envoy for `width * gradient + headroom`, the bound of 0.5 and the square root; failsafe-go's
 * adaptivelimiter for the correlation that vetoes growth. Known traps of these, and what is done here:
 *
 * - A baseline of the shortest run time is too short wherever run times vary, and the width collapses. The windows of
 *   the baseline are chosen by their width, so the noise in their run times cancels out.
 * - A baseline that follows the run time itself rises with the queue in the service, and the width creeps up
 *   (Netflix concurrency-limits 134). Every few windows a probe runs at a smaller width.
 * - A baseline that is out of date makes a service that has become slower look overloaded (165). Decreases that do
 *   not shorten the runs show that, and the memory is cleared.
 * - Gradient2 ignores refused requests (176). Here an overload shrinks the width as in aimd.ts.
 * - The first runs to end after a change are the short ones. A window starts after as many ends as there are slots, and
 *   counts slots and ends instead of the times of single runs.
 */
import type { Bounds, Controller, Decision, RunSample } from './controller.ts'

/**
 * A window is this many ended runs, or twice the width, because run times vary. Fewer are enough for the first growth.
 */
const leastRuns = 20
const leastRampRuns = 5
const rememberedWindows = 16
/** The share of the remembered windows that is the baseline. */
const baselineShare = 1 / 4
const probeEvery = 8
const probeFactor = 0.7
/** The bounds of the gradient: one window at most halves the width. */
const leastGradient = 0.5
const mostGradient = 1.2
/** Until the first decrease the width grows by this factor while the gradient is above `rampGradient`. */
const rampFactor = 1.5
const rampGradient = 0.9
/** Decreases in a row to below this share of the width must shorten the runs. A smaller effect drowns in noise. */
const largeCut = 0.8
/** Growth is vetoed where the throughput falls as the width rises, judged by this many windows or more. */
const vetoCorrelation = -0.3
const vetoWindows = 6
const overloadFactor = 0.9

interface Window {
  readonly width: number
  readonly runMs: number
}

export class Gradient implements Controller {
  readonly #bounds: Bounds
  /** The width to which the fields below refer. */
  #width: number
  /** How many more runs must end before the window starts. */
  #flush: number
  #ended = 0
  /** The time for which slots were taken, summed over the slots. */
  #busyMs = 0
  #peak = 0
  #lastEnd = -Infinity
  #decreasedAt = -Infinity
  #ramps = true
  /** Oldest first. */
  readonly #windows: Window[] = []
  /** The first window is followed by a probe: the width to begin with may be too great already. */
  #sinceProbe = probeEvery
  /** The width to which to return after the probe that is in force. */
  #probedFrom: number | undefined
  /** Before the decreases in a row that have not been judged. */
  #cut: Window | undefined

  constructor(bounds: Bounds, width: number) {
    this.#bounds = bounds
    this.#width = width
    this.#flush = width
  }
  observe(sample: RunSample, width: number): Decision | undefined {
    if (width !== this.#width) this.#forgetPlans(width)
    const { startedAt, endedAt, underway, outcome } = sample
    if (outcome === 'overload') return startedAt < this.#decreasedAt ? undefined : this.#overloaded(endedAt)
    // Where slots were empty before this run, their time does not count.
    const since = Math.max(this.#lastEnd, startedAt)
    this.#lastEnd = endedAt
    this.#peak = Math.max(this.#peak, underway)
    if (this.#flush > 0) {
      this.#flush--
      return undefined
    }
    this.#ended++
    this.#busyMs += underway * (endedAt - since)
    const least = this.#ramps ? leastRampRuns : leastRuns
    return this.#ended < Math.max(least, 2 * width) ? undefined : this.#judge()
  }
  #overloaded(now: number): Decision | undefined {
    const from = this.#width
    const to = Math.max(this.#bounds.min, Math.min(from - 1, Math.floor(from * overloadFactor)))
    this.#decreasedAt = now
    this.#ramps = false
    this.#forgetPlans(from)
    return to < from ? this.#set(to, `Narrowed from ${from} to ${to}: a run was overloaded.`) : undefined
  }
  #judge(): Decision | undefined {
    const from = this.#width
    const used = this.#peak >= from
    const window: Window = { width: Math.min(this.#peak, from), runMs: this.#busyMs / this.#ended }
    this.#remember(window)
    if (this.#probedFrom !== undefined) return this.#endProbe(this.#probedFrom, window)
    this.#judgeCut(window)
    this.#sinceProbe++

    const runMs = meanRunMs(this.#windows.slice(-2))
    const baselineMs = this.#baselineMs()
    const gradient = runMs > 0 ? Math.max(leastGradient, Math.min(mostGradient, baselineMs / runMs)) : 1
    const to = this.#target(gradient)
    const measured = `runs took ${shown(runMs)} on average, and ${shown(baselineMs)} at the smallest widths`
    if (to < from) {
      this.#ramps = false
      this.#cut ??= { width: from, runMs }
      return this.#set(to, `Narrowed from ${from} to ${to}: ${measured}.`)
    }
    if (to > from) this.#cut = undefined
    // A width that is not used says nothing about a greater one.
    if (!used) return undefined
    if (this.#sinceProbe >= probeEvery) {
      const probe = Math.max(this.#bounds.min, Math.floor(from * probeFactor))
      if (probe < from) {
        this.#probedFrom = from
        return this.#set(probe, `Narrowed from ${from} to ${probe} for one window, to measure the run time there.`)
      }
    }
    return to > from ? this.#set(to, `Widened from ${from} to ${to}: ${measured}.`) : undefined
  }
  #target(gradient: number): number {
    const from = this.#width
    const headroom = Math.max(1, Math.sqrt(from) - 2)
    const ramps = this.#ramps && gradient > rampGradient
    const wanted = ramps ? Math.ceil(from * rampFactor) : Math.round(from * gradient + headroom)
    const to = Math.max(this.#bounds.min, Math.min(this.#bounds.max, wanted))
    return to > from && this.#growthIsUseless() ? from : to
  }
  #endProbe(to: number, { runMs }: Window): Decision {
    const from = this.#width
    this.#probedFrom = undefined
    this.#sinceProbe = 0
    return this.#set(to, `Widened from ${from} to ${to} after a measurement: runs took ${shown(runMs)} there.`)
  }
  /** If decreases did not shorten the runs, the service has become slower, and what it was before is of no use. */
  #judgeCut({ width, runMs }: Window): void {
    const cut = this.#cut
    if (!cut || width > cut.width * largeCut) return
    this.#cut = undefined
    if (runMs <= cut.runMs * (1 - (1 - width / cut.width) / 2)) return
    this.#windows.splice(0, this.#windows.length - 1)
    this.#sinceProbe = probeEvery
  }
  #baselineMs(): number {
    const byWidth = [...this.#windows].sort((a, b) => a.width - b.width)
    return meanRunMs(byWidth.slice(0, Math.ceil(byWidth.length * baselineShare)))
  }
  #growthIsUseless(): boolean {
    return this.#windows.length >= vetoWindows && correlationWithThroughput(this.#windows) < vetoCorrelation
  }
  #remember(window: Window): void {
    this.#windows.push(window)
    if (this.#windows.length > rememberedWindows) this.#windows.shift()
    this.#startWindow(0)
  }
  #set(width: number, reason: string): Decision {
    this.#width = width
    this.#startWindow(width)
    return { width, reason }
  }
  /** An overload, or a width that somebody else has set, ends a probe. */
  #forgetPlans(width: number): void {
    this.#probedFrom = undefined
    this.#cut = undefined
    this.#set(width, '')
  }
  #startWindow(flush: number): void {
    this.#flush = flush
    this.#ended = 0
    this.#busyMs = 0
    this.#peak = 0
  }
}

/** Pearson's coefficient of width and throughput, which is width / run time. 0 where one of them is constant. */
function correlationWithThroughput(windows: readonly Window[]): number {
  const widths = windows.map(({ width }) => width)
  const throughputs = windows.map(({ width, runMs }) => width / Math.max(runMs, Number.MIN_VALUE))
  const [meanWidth, meanThroughput] = [mean(widths), mean(throughputs)]
  let both = 0
  let ofWidths = 0
  let ofThroughputs = 0
  for (const [i, width] of widths.entries()) {
    const byWidth = width - meanWidth
    const byThroughput = (throughputs[i] as number) - meanThroughput
    both += byWidth * byThroughput
    ofWidths += byWidth ** 2
    ofThroughputs += byThroughput ** 2
  }
  const spread = Math.sqrt(ofWidths * ofThroughputs)
  return spread > 0 && spread < Infinity ? both / spread : 0
}

function meanRunMs(windows: readonly Window[]): number {
  return mean(windows.map(({ runMs }) => runMs))
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function shown(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}
