/**
 * The plan of a simulated run, as plain data: its processes, commands and faults. A seed determines the plan, and the
 * plan alone determines the run. A plan that fails is reduced and pasted into a test as it is.
 */
import type { KeepOptions } from '../../lib/options/options.ts'
import { Chance } from '../../testing/simulated/chance.ts'

/** How a body ends in one attempt. */
export type End =
  /** Returns, after its `ms`. */
  | 'ok'
  | 'throws'
  /** Throws an odd value: undefined, a frozen or cyclic object, one whose getters throw. */
  | 'throws oddly'
  /** Passes a value that no file can store: as a result, a checkpoint, a cost, a key or a part of an error. */
  | 'unstorable'
  | 'later'
  | 'throttled'
  | 'key throttled'
  | 'rule throttled'
  | 'gives up'
  /** Waits until a command settles it or its signal aborts. */
  | 'waits'
  /** Waits until a command settles it, and ignores its signal. */
  | 'deaf'
  /** Goes on for a while after its signal has aborted, and then returns. */
  | 'late'
  /** Blocks the loop in the middle. */
  | 'blocks'
  /** Finishes its job in a transaction of its own in the same file, or undoes that and returns. */
  | 'within'
  | 'within undone'
  /** Kills its process, or its isolate. */
  | 'dies'
  /** In an isolate: blocks its loop for ever. */
  | 'hangs'

export interface Script {
  /** Names the job: its id is `j<n>`. */
  readonly n: number
  readonly as: 'plain' | 'async' | 'generator' | 'async generator' | 'thenable'
  readonly ms: number
  /** The end of each attempt; the last one is for all further attempts. */
  readonly ends: readonly End[]
  /** Checkpoints and progress on the way; and a generator that ignores `return`, or whose `finally` yields. */
  readonly steps: number
  readonly stubborn: boolean
  /** The real cost, which the body reports as it begins to end. */
  readonly spends?: UnitsPlan
}
export type UnitsPlan = Readonly<Record<string, number>>

export interface ListenerPlan {
  readonly event: 'pending' | 'underway' | 'retry' | 'finished' | 'failed' | 'settled' | 'idle' | 'width'
  readonly does: 'throws' | 'rejects' | 'puts' | 'leaves' | 'pauses' | 'cancels' | 'widens' | 'blocks'
}

export interface Config {
  readonly backlog: 'memory' | 'sqlite'
  readonly durability: 'power' | 'process'
  readonly stallMs: number
  readonly width: number
  readonly rate: readonly RatePlan[]
  readonly attempts: number
  readonly retryMs: number
  readonly timeoutMs: number
  readonly afterCrash: 'again' | 'fail' | 'ask'
  readonly crashLimit: number
  readonly size: number
  readonly overflow: 'reject' | 'wait'
  readonly keepMs: number
  readonly idsMs: number
  readonly results: boolean
  readonly listeners: readonly ListenerPlan[]
  /** Absent: none is declared. */
  readonly keys?: KeysPlan | undefined
  readonly globalWidth?: number | undefined
  /** The cost of jobs that are put without one; 'by payload': a function. */
  readonly cost?: number | 'by payload' | undefined
  /** A second queue, with which this one shares a named rule. */
  readonly beside?: BesidePlan | undefined
  /** The handler runs in isolates. */
  readonly isolate?: IsolatePlan | undefined
}
export interface IsolatePlan {
  readonly kind: 'thread' | 'process'
  readonly count: number
  readonly jobs: number
  readonly graceMs: number
  readonly idleMs: number
  /** How many loads of the module fail at first. */
  readonly refusals: number
}
/** The second queue. */
/** What both queues keep of jobs that have ended. */
export function keepOf({ keepMs, idsMs, results }: Config): KeepOptions {
  return { finished: keepMs, failed: keepMs, cancelled: keepMs, ids: idsMs, results: results && keepMs > 0 }
}
export interface BesidePlan {
  readonly width: number
  /** What the queue of the plan declares besides its own rules. */
  readonly shared: RatePlan
  /** What the second queue declares. */
  readonly rate: readonly RatePlan[]
  /** The cost of its jobs in tokens; 0: none is declared. */
  readonly cost: number
}
/** What is declared for each key. */
export interface KeysPlan {
  readonly width?: number
  readonly rate?: readonly RatePlan[]
  readonly weight?: number
  readonly order?: 'fair' | 'priority'
}
/** What is set for one key; null: as declared. */
export interface KeyPlan {
  readonly width?: number | null
  readonly rate?: readonly RatePlan[] | null
  readonly weight?: number | null
  readonly paused?: boolean
}
export interface RatePlan {
  readonly limit: number
  readonly per: number
  readonly of?: string
  readonly name?: string
}

export type Point = 'received' | 'commit' | 'committed' | 'answered'

/** `who` is one of the slots for processes, 0 to 2. A command for an empty slot does nothing. */
export type Command =
  /** `keys`: it declares these, and not those of the config. */
  | { readonly do: 'start'; readonly who: number; readonly works: boolean; readonly keys?: KeysPlan }
  | {
      readonly do: 'put'
      readonly who: number
      readonly by: 'put' | 'putMany' | 'run' | 'putWithin'
      readonly scripts: readonly Script[]
      readonly priority: number
      readonly delay: number
      readonly wall: boolean
      readonly key: string
      /** The jobs of a putMany have these keys besides, by turns. */
      readonly otherKeys?: readonly string[]
      readonly tokens: number
      /** The cost in another unit besides. */
      readonly bytes?: number
      readonly signal: boolean
      /** The signal aborts this many microtasks after the call, or before it if less than 0. Absent: later or never. */
      readonly abortIn?: number
      /** Rolls its transaction back. */
      readonly undo: boolean
    }
  | {
      readonly do: 'put beside'
      readonly who: number
      readonly count: number
      readonly end: 'ok' | 'held'
      readonly ms: number
      readonly tokens: number
    }
  | { readonly do: 'abort'; readonly which: number }
  | {
      readonly do: 'cancel' | 'retry' | 'remove' | 'promote' | 'explain' | 'get' | 'result'
      readonly who: number
      readonly which: number
    }
  | { readonly do: 'reprioritize'; readonly who: number; readonly which: number; readonly priority: number }
  | {
      readonly do: 'reschedule'
      readonly who: number
      readonly which: number
      readonly ms: number
      readonly wall: boolean
    }
  | { readonly do: 'clear' | 'idle' | 'list' | 'close'; readonly who: number }
  | { readonly do: 'width' | 'globalWidth'; readonly who: number; readonly width: number }
  | { readonly do: 'key'; readonly who: number; readonly key: string; readonly set: KeyPlan }
  | { readonly do: 'list keys' | 'clear key'; readonly who: number; readonly key: string }
  | { readonly do: 'clear overrides'; readonly who: number; readonly only: 'rate' | 'globalWidth' | 'keys' | 'all' }
  | { readonly do: 'rate'; readonly who: number; readonly rate: readonly RatePlan[] }
  | { readonly do: 'pause'; readonly who: number; readonly tasks: boolean; readonly shared: boolean }
  | { readonly do: 'resume'; readonly who: number; readonly shared: boolean }
  | { readonly do: 'stop'; readonly who: number; readonly how: 'wait' | 'grace' | 'cancel' }
  | { readonly do: 'settle'; readonly which: number; readonly how: 'ok' | 'error' | 'later' }
  | { readonly do: 'advance'; readonly ms: number }
  /** That number of deliveries, and no time. */
  | { readonly do: 'steps'; readonly count: number }
  | { readonly do: 'jump'; readonly ms: number }
  | { readonly do: 'block'; readonly who: number; readonly ms: number }
  | { readonly do: 'freeze' | 'thaw' | 'crash' | 'thread dies'; readonly who: number }
  /** At the nth such point of that process from now on. */
  | {
      readonly do: 'at point'
      readonly who: number
      readonly point: Point
      readonly nth: number
      readonly what: 'crash' | 'thread dies' | 'busy' | 'full' | 'disk' | 'slow' | 'refused'
    }
  | { readonly do: 'power cut' }
  /** One of the isolates of a process ends by itself, or its loop is blocked: for ever, or for so long. */
  | { readonly do: 'isolate dies'; readonly who: number; readonly which: number }
  | { readonly do: 'isolate blocks'; readonly who: number; readonly which: number; readonly ms: number }
  | { readonly do: 'isolateCount'; readonly who: number; readonly count: number }
  /** Same as a program that cleans up /tmp. */
  | { readonly do: 'remove lock files' }

export interface Plan {
  readonly seed: number
  readonly config: Config
  readonly commands: readonly Command[]
}

/** No schedule has a loop that stands still this long. */
export const stallMost = 300_000

const ends: readonly End[] = [
  ...(['ok', 'ok', 'ok', 'ok', 'throws', 'throws', 'throws oddly', 'unstorable', 'later', 'throttled'] as const),
  ...(['key throttled', 'gives up', 'waits', 'waits', 'deaf', 'late', 'blocks'] as const),
]

const endsInFile: readonly End[] = ['within', 'within undone']

/** Names that a careless store takes for something else. */
export const hostileKeys: readonly string[] = [
  ...['__proto__', 'constructor', "k'; drop table rdq_job; --", 'k ', '%', '\u0000', '\u{1f511}', 'K', 'x'.repeat(200)],
]
const fewKeys: readonly string[] = ['k', 'l']
const manyKeys: readonly string[] = Array.from({ length: 20 }, (_, i) => `key ${i}`)

export function planOf(seed: number): Plan {
  const chance = new Chance(seed)
  const sqlite = !chance.once(5)
  const config = configOf(chance, sqlite)
  const commands: Command[] = [{ do: 'start', who: 0, works: true }]
  const maker = new Maker(chance, sqlite)
  for (let left = 10 + chance.below(26); left > 0; left--) commands.push(maker.next())
  if (sqlite && chance.once(6)) commands.splice(1 + chance.below(commands.length), 0, ...noticedByWeb(chance))
  const plan = withBeside({ seed, config, commands }, new Chance(seed ^ 0xbe51de))
  const withAll = withUnits(withKeysListed(plan, new Chance(seed ^ 0x6e75)), new Chance(seed ^ 0xb17e5))
  return withIsolates(withAll, new Chance(seed ^ 0x150_1a7e))
}

/** In some runs the handler runs in isolates, which die, hang and answer late, by their jobs or by themselves. */
function withIsolates(plan: Plan, chance: Chance): Plan {
  if (!chance.once(8)) return plan
  const isolate: IsolatePlan = {
    ...{ kind: chance.pick(['process', 'process', 'thread']), count: chance.pick([1, 2, 3]) },
    ...{ jobs: chance.pick([Infinity, Infinity, 3]), graceMs: chance.pick([5, 40]) },
    ...{ idleMs: chance.pick([50, 60_000]), refusals: chance.pick([0, 0, 0, 1, 2]) },
  }
  const scriptOf = (script: Script): Script => {
    // A transaction of the user cannot leave the thread of its backlog.
    const ends = script.ends.map(end => (end === 'within' || end === 'within undone' ? 'ok' : end))
    const bad = chance.once(3) ? [chance.pick(['dies', 'dies', 'hangs'] as const)] : []
    return { ...script, ends: [...bad, ...ends] }
  }
  const commands = plan.commands.flatMap((command): Command[] => {
    const own = command.do === 'put' ? { ...command, scripts: command.scripts.map(scriptOf) } : command
    // Isolates take a while to start.
    if (own.do === 'put' && chance.once(2)) return [own, { do: 'advance', ms: chance.pick([10, 25, 60, 400]) }]
    if (!chance.once(4)) return [own]
    const [who, which] = ['who' in command ? command.who : 0, chance.below(3)]
    const ms = chance.pick([2, 15, 60, Infinity])
    const more: readonly Command[] = [
      { do: 'isolate dies', who, which },
      { do: 'isolate blocks', who, which, ms },
      { do: 'isolateCount', who, count: chance.pick([1, 2, 4]) },
    ]
    return [own, chance.pick(more)]
  })
  commands.splice(1, 0, batchOf(chance), { do: 'advance', ms: chance.pick([25, 60, 400]) })
  // Only an abort ends a body that hangs.
  const timeoutMs = chance.once(2) ? Math.min(plan.config.timeoutMs, 30) : plan.config.timeoutMs
  return { ...plan, config: { ...plan.config, timeoutMs, isolate }, commands }
}

/** In some runs jobs cost two units, which rules of the queue and of its keys count, and bodies correct the cost. */
function withUnits(plan: Plan, chance: Chance): Plan {
  if (!chance.once(4)) return plan
  const bytes = (): RatePlan => ({ limit: 10, per: chance.pick([30, 100, 400]), of: 'bytes' })
  const tokens = (): RatePlan => ({ limit: 8, per: chance.pick([30, 200]), of: 'tokens' })
  // A default cost must be in a unit that a rule counts.
  const needsTokens = plan.config.cost !== undefined
  const ratesOf = (rate: readonly RatePlan[]): readonly RatePlan[] => [
    ...rate,
    bytes(),
    ...((needsTokens || chance.once(2)) && !rate.some(({ of }) => of === 'tokens') ? [tokens()] : []),
  ]
  const keysOf = (keys: KeysPlan): KeysPlan => (chance.once(3) ? { ...keys, rate: ratesOf(keys.rate ?? []) } : keys)
  const spends = (script: Script): Script => {
    if (!chance.once(3)) return script
    const units = { tokens: chance.below(9), bytes: chance.below(14) }
    return { ...script, spends: chance.pick([units, { tokens: units.tokens }, { bytes: units.bytes }]) }
  }
  const commands = plan.commands.map((command): Command => {
    // Now and then more than the limit, which no rule can ever allow.
    if (command.do === 'put')
      return { ...command, scripts: command.scripts.map(spends), bytes: chance.pick([0, 1, 1, 4, 9, 12]) }
    if (command.do === 'rate' && chance.once(2)) return { ...command, rate: ratesOf(command.rate) }
    if (command.do === 'start' && command.keys) return { ...command, keys: keysOf(command.keys) }
    return command
  })
  const { config } = plan
  const keys = config.keys && keysOf(config.keys)
  return { ...plan, config: { ...config, rate: ratesOf(config.rate), ...(keys && { keys }) }, commands }
}

/** Jobs of which some end their isolate, while the others are beside them. */
function batchOf(chance: Chance): Command {
  const scripts = Array.from({ length: 3 + chance.below(5) }, (_, i): Script => {
    const ends = chance.pick<readonly End[]>([['ok'], ['ok'], ['dies'], ['dies'], ['hangs', 'ok']])
    const as = chance.pick(['plain', 'async', 'async', 'generator'] as const)
    return { n: 500 + i, as, ms: chance.pick([0, 3, 10, 40]), ends, steps: chance.below(2), stubborn: false }
  })
  const options = { priority: 0, delay: 0, wall: false, key: '', tokens: 0, signal: false, undo: false }
  return { do: 'put', who: 0, by: 'putMany', scripts, ...options }
}

/** In some runs a second queue shares a rule, and jobs have a cost by default. */
function withBeside({ seed, config, commands }: Plan, chance: Chance): Plan {
  const cost = chance.once(4) ? chance.pick([1, 3, 'by payload'] as const) : undefined
  const costly = cost === undefined ? config : { ...config, cost }
  if (!chance.once(3)) return { seed, config: costly, commands }
  const named = (): RatePlan => ({
    name: 'gateway',
    limit: 1 + chance.below(4),
    per: chance.pick([10, 30, 100, 400]),
    ...(chance.once(4) && { limit: 8, of: 'tokens' }),
  })
  const shared = named()
  const rate = [chance.once(4) ? named() : shared, ...(chance.once(4) ? [{ limit: 3, per: 60 }] : [])]
  const beside: BesidePlan = { width: chance.pick([1, 2, 5]), shared, rate, cost: chance.pick([0, 0, 1, 4]) }
  const mixed = commands.flatMap((command): Command[] => {
    const more = command.do === 'rate' && chance.once(2) ? { ...command, rate: [...command.rate, named()] } : command
    if (!chance.once(4)) return [holding(more, chance)]
    const who = 'who' in command ? command.who : 0
    const put: Command = {
      ...{ do: 'put beside', who, count: 1 + chance.below(5), end: chance.once(6) ? 'held' : 'ok' },
      ...{ ms: chance.pick([0, 0, 5, 40]), tokens: chance.pick([0, 0, 1, 6]) },
    }
    return [holding(more, chance), put]
  })
  return { seed, config: { ...costly, beside }, commands: mixed }
}

/**
 * In some runs with rules for keys, the keys are listed all the time, and their own jobs hold them. Otherwise a list
 * would hardly ever see a key that something holds up.
 */
function withKeysListed(plan: Plan, chance: Chance): Plan {
  if (!plan.config.keys || !chance.once(4)) return plan
  const commands = plan.commands.flatMap((command): Command[] => {
    if (command.do === 'put' && command.key !== '' && chance.once(3)) {
      const scripts = command.scripts.map(script => ({ ...script, ends: ['key throttled' as const, ...script.ends] }))
      return [{ ...command, scripts }]
    }
    const listed = (command.do === 'advance' || command.do === 'steps') && chance.once(2)
    return listed ? [command, { do: 'list keys', who: 0, key: 'k' }] : [command]
  })
  return { ...plan, commands }
}

/** Some jobs of a put hold the rule. */
function holding(command: Command, chance: Chance): Command {
  if (command.do !== 'put' || !chance.once(6)) return command
  const scripts = command.scripts.map(script => ({ ...script, ends: ['rule throttled' as const, ...script.ends] }))
  return { ...command, scripts }
}

/** The worker dies while a process without a handler is there to notice it. */
function noticedByWeb(chance: Chance): Command[] {
  return [
    { do: 'start', who: 1, works: false },
    { do: 'advance', ms: chance.pick([1, 5, 25, 60]) },
    { do: 'crash', who: 0 },
    { do: 'advance', ms: chance.pick([25, 200, 400]) },
  ]
}

function ratesOf(chance: Chance): readonly RatePlan[] {
  if (chance.once(2)) return []
  const rule = { limit: 1 + chance.below(4), per: chance.pick([10, 30, 100, 400]) }
  if (!chance.once(3)) return [rule]
  return [
    rule,
    chance.pick([
      { limit: 6, per: 1_000 },
      { limit: 8, per: 200, of: 'tokens' },
    ]),
  ]
}

function keysOf(chance: Chance): KeysPlan {
  return {
    ...(chance.once(2) && { width: chance.pick([1, 1, 2, 3]) }),
    ...(chance.once(3) && { rate: [{ limit: 1 + chance.below(3), per: chance.pick([10, 30, 100, 400]) }] }),
    ...(chance.once(4) && { weight: chance.pick([0.5, 2, 10]) }),
    ...(chance.once(4) && { order: 'priority' as const }),
  }
}

function configOf(chance: Chance, sqlite: boolean): Config {
  const listener = (): ListenerPlan => ({
    event: chance.pick(['pending', 'underway', 'retry', 'finished', 'failed', 'settled', 'idle', 'width']),
    does: chance.pick(['throws', 'rejects', 'puts', 'leaves', 'pauses', 'cancels', 'widens', 'blocks']),
  })
  return {
    backlog: sqlite ? 'sqlite' : 'memory',
    durability: sqlite && chance.once(8) ? 'process' : 'power',
    stallMs: chance.once(3) ? 1_000 : stallMost,
    width: chance.pick([1, 1, 2, 3, 5]),
    rate: ratesOf(chance),
    attempts: chance.pick([1, 2, 3]),
    retryMs: chance.pick([0, 10, 25, 200]),
    timeoutMs: chance.once(3) ? chance.pick([20, 60, 300]) : Infinity,
    afterCrash: chance.pick(['again', 'again', 'fail', 'ask']),
    crashLimit: chance.pick([1, 2, 3]),
    size: chance.once(4) ? 3 + chance.below(6) : Infinity,
    overflow: chance.pick(['reject', 'wait']),
    keepMs: chance.pick([600_000, 600_000, 600_000, 50, 0]),
    idsMs: chance.pick([50, 600_000, 600_000]),
    results: chance.once(3),
    listeners: chance.once(2) ? [listener()] : chance.once(2) ? [listener(), listener()] : [],
    ...(chance.once(2) && { keys: keysOf(chance) }),
    ...(chance.once(4) && { globalWidth: chance.pick([1, 2, 4]) }),
  }
}

class Maker {
  readonly #chance: Chance
  readonly #sqlite: boolean
  /** The keys of this run. */
  readonly #keys: readonly string[]
  #jobs = 0
  /** The weight of each kind of command in this run, so that runs differ in more than their order. */
  readonly #weights: readonly (readonly [number, () => Command])[]

  constructor(chance: Chance, sqlite: boolean) {
    this.#chance = chance
    this.#sqlite = sqlite
    this.#keys = chance.pick([fewKeys, fewKeys, manyKeys, hostileKeys])
    const often = (weight: number): number => weight * chance.pick([0, 1, 1, 2])
    const weights: [number, () => Command][] = [
      [10, () => this.#put()],
      [10, () => ({ do: 'advance', ms: chance.pick([1, 5, 10, 25, 25, 60, 120, 400, 2_000]) })],
      [8, () => ({ do: 'steps', count: 1 + chance.below(12) })],
      [often(6), () => this.#change()],
      [often(4), () => ({ do: 'settle', which: chance.below(9), how: chance.pick(['ok', 'ok', 'error', 'later']) })],
      [often(2), () => ({ do: 'width', who: this.#who(), width: chance.pick([0, 1, 2, 3, 5]) })],
      [often(2), () => ({ do: 'rate', who: this.#who(), rate: ratesOf(chance) })],
      [often(1), () => ({ do: 'globalWidth', who: this.#who(), width: chance.pick([0, 1, 2, 4, Infinity]) })],
      [often(3), () => this.#key()],
      [often(2), () => this.#pause()],
      [3, () => ({ do: 'resume', who: this.#who(), shared: chance.once(2) })],
      [often(1), () => ({ do: chance.pick(['clear', 'idle', 'list']), who: this.#who() })],
      [often(1), () => ({ do: 'stop', who: this.#who(), how: chance.pick(['wait', 'grace', 'cancel']) })],
      [3, () => this.#start()],
      [often(1), () => ({ do: 'jump', ms: chance.pick([-86_400_000, -5_000, -40, 40, 5_000, 86_400_000]) })],
      [often(1), () => ({ do: 'block', who: this.#who(), ms: chance.pick([5, 30, 200, 1_500]) })],
      [often(1), () => ({ do: 'abort', which: chance.below(5) })],
    ]
    if (sqlite) {
      weights.push(
        [often(2), () => ({ do: chance.pick(['crash', 'crash', 'freeze', 'thread dies']), who: this.#who() })],
        [2, () => ({ do: 'thaw', who: this.#who() })],
        [often(5), () => this.#atPoint()],
        [chance.once(3) ? 1 : 0, () => ({ do: 'power cut' })],
        [chance.once(2) ? 2 : 0, () => ({ do: 'remove lock files' })],
      )
    }
    this.#weights = weights
  }
  next(): Command {
    const total = this.#weights.reduce((sum, [weight]) => sum + weight, 0)
    let at = this.#chance.below(total)
    for (const [weight, make] of this.#weights) {
      if (at < weight) return make()
      at -= weight
    }
    throw new Error('the weights do not add up')
  }
  #who(): number {
    return this.#sqlite ? this.#chance.pick([0, 0, 0, 1, 1, 2]) : 0
  }
  #script(): Script {
    const chance = this.#chance
    // Now and then an id that was put before, with the same payload or another one.
    const n = this.#jobs > 0 && chance.once(12) ? chance.below(this.#jobs) : this.#jobs++
    const count = 1 + chance.below(3)
    const dies = this.#sqlite && chance.once(15)
    return {
      n,
      as:
        dies && chance.once(2)
          ? 'async'
          : chance.pick(['plain', 'async', 'async', 'generator', 'async generator', 'thenable']),
      // Before its launch can be known, and after.
      ms: dies ? chance.pick([0, 115, 115, 115]) : chance.pick([0, 0, 3, 10, 40, 150]),
      ends: Array.from({ length: count }, () =>
        dies ? 'dies' : chance.pick(this.#sqlite ? [...ends, ...endsInFile] : ends),
      ),
      steps: dies ? 0 : chance.below(4),
      stubborn: chance.once(6),
    }
  }
  #put(): Command {
    const chance = this.#chance
    const bys = ['put', 'put', 'put', 'run', 'putMany', this.#sqlite ? 'putWithin' : 'put'] as const
    const by = chance.pick(bys)
    const signal = chance.once(6)
    const abortIn = signal ? chance.pick([undefined, undefined, -1, 0, 1, 3, 8, 20]) : undefined
    const scripts = Array.from({ length: by === 'putMany' ? 1 + chance.below(5) : 1 }, () => this.#script())
    return {
      ...{ do: 'put', who: this.#who(), by, scripts },
      priority: chance.pick([0, 0, 0, 1, -1]),
      delay: chance.pick([0, 0, 0, 5, 30, 200, 3_000]),
      wall: chance.once(5),
      key: chance.once(2) ? '' : chance.pick(this.#keys),
      ...(by === 'putMany' && { otherKeys: [chance.pick(this.#keys), chance.pick(['', ...this.#keys])] }),
      tokens: chance.pick([0, 0, 0, 1, 5]),
      signal,
      ...(abortIn !== undefined && { abortIn }),
      undo: chance.once(4),
    }
  }
  #change(): Command {
    const chance = this.#chance
    const [who, which] = [this.#who(), chance.below(Math.max(this.#jobs, 1))]
    const verb = chance.pick([
      ...(['cancel', 'cancel', 'retry', 'retry', 'remove', 'reprioritize', 'explain', 'get', 'result'] as const),
      ...(['reschedule', 'promote'] as const),
    ])
    if (verb === 'reschedule')
      return { do: verb, who, which, ms: chance.pick([0, 5, 30, 200, 3_000]), wall: chance.once(3) }
    return verb === 'reprioritize'
      ? { do: verb, who, which, priority: chance.pick([-1, 0, 2]) }
      : { do: verb, who, which }
  }
  #start(): Command {
    const chance = this.#chance
    const who = this.#who()
    const works = !chance.once(5)
    return { do: 'start', who, works, ...(chance.once(6) && { keys: keysOf(chance) }) }
  }
  #key(): Command {
    const chance = this.#chance
    const [who, key] = [this.#who(), chance.pick(this.#keys)]
    const set = (set: KeyPlan): Command => ({ do: 'key', who, key, set })
    switch (chance.below(8)) {
      case 0:
      case 1:
        return set({ width: chance.pick([0, 1, 2, null]) })
      case 2:
        return set({ rate: chance.pick([null, [], [{ limit: 1, per: chance.pick([20, 200]) }]]) })
      case 3:
        return set({ weight: chance.pick([0.25, 3, 1_000, null]) })
      case 4:
        return set({ paused: true })
      case 5:
        return set({ paused: false })
      case 6:
        return { do: 'clear overrides', who, only: chance.pick(['keys', 'keys', 'globalWidth', 'rate', 'all']) }
      default:
        return { do: chance.pick(['list keys', 'list keys', 'clear key']), who, key }
    }
  }
  #pause(): Command {
    const chance = this.#chance
    return { do: 'pause', who: this.#who(), tasks: chance.once(3), shared: chance.once(3) }
  }
  #atPoint(): Command {
    const chance = this.#chance
    const what = chance.pick([
      ...([
        'crash',
        'crash',
        'crash',
        'thread dies',
        'thread dies',
        'busy',
        'full',
        'disk',
        'slow',
        'refused',
      ] as const),
    ])
    // SQLite gives no error for a commit that it then shows.
    const point = ((): Point => {
      if (what === 'busy') return 'received'
      if (what === 'slow') return 'committed'
      if (what === 'full' || what === 'disk' || what === 'refused') return chance.pick(['received', 'commit'])
      return chance.pick(['received', 'commit', 'committed', 'committed', 'answered'])
    })()
    return { do: 'at point', who: this.#who(), point, nth: 1 + chance.below(6), what }
  }
}
