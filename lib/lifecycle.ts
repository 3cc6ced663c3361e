/**
 * The life of a queue: whether its jobs may start, and how far its stop has come.
 *
 * Two tables say where each state leads. An edge that is not drawn does not exist: a command that asks for it throws, because
 * whoever gave it has not asked first. This class has no other effect; who gives a command does what follows from it.
 */

/**
 * - `paused`: a pause of this object holds.
 * - `shared`: a shared pause of the name holds, in every process.
 * - `sharing`: a shared pause was asked for here, and is not stored yet. Until then a pause of this object stands in for it.
 */
export type PauseState = 'running' | 'paused' | 'shared' | 'paused, shared' | 'sharing' | 'sharing, shared'

type PauseCommand = 'pause' | 'share' | 'resume' | 'sharedPause' | 'sharedResume'

const pauses: Readonly<Record<PauseState, Partial<Record<PauseCommand, PauseState>>>> = {
  running: { pause: 'paused', share: 'sharing', resume: 'running', sharedPause: 'shared' },
  paused: { pause: 'paused', share: 'paused', resume: 'running', sharedPause: 'paused, shared' },
  sharing: { pause: 'paused', share: 'sharing', resume: 'running', sharedPause: 'shared' },
  shared: { pause: 'paused, shared', share: 'sharing, shared', resume: 'shared', sharedResume: 'running' },
  'paused, shared': {
    pause: 'paused, shared',
    share: 'paused, shared',
    resume: 'shared',
    sharedResume: 'paused',
  },
  'sharing, shared': {
    pause: 'paused, shared',
    share: 'sharing, shared',
    resume: 'shared',
    sharedResume: 'sharing',
  },
}

/** A stop waits for bodies, then interrupts those that still run, then it is over. */
export type Phase = 'open' | 'stopping' | 'interrupting' | 'stopped'

const phases: Readonly<Record<Phase, readonly Phase[]>> = {
  open: ['stopping'],
  stopping: ['interrupting', 'stopped'],
  interrupting: ['stopped'],
  stopped: [],
}

export class Lifecycle {
  readonly #works: boolean
  #pause: PauseState
  #phase: Phase = 'open'
  #tasksParked = false
  /** Asked for each job, so it is worked out at each change. */
  #mayLaunch = false

  /** @param works False for a queue without a handler, which never launches anything. */
  constructor(works: boolean, paused: boolean) {
    this.#works = works
    this.#pause = paused ? 'paused' : 'running'
    this.#workOut()
  }

  // Questions change nothing.

  /** Whether a job may start now, free slots and the rate apart. */
  get mayLaunch(): boolean {
    return this.#mayLaunch
  }
  /** Whether jobs are to be claimed. During a shared pause they are asked for: the backlog knows first that it is over. */
  get mayClaim(): boolean {
    return this.#works && this.#phase === 'open' && !this.pausedHere
  }
  /** Whether any pause holds. */
  get paused(): boolean {
    return this.#pause !== 'running'
  }
  /** Whether a pause of this object holds, or stands in for a shared one. */
  get pausedHere(): boolean {
    return this.#pause !== 'running' && this.#pause !== 'shared'
  }
  /** Whether the pause of this object only stands in for a shared one. */
  get isStandIn(): boolean {
    return this.#pause === 'sharing' || this.#pause === 'sharing, shared'
  }
  /** Whether a shared pause holds, by the last reply of the backlog. */
  get sharedPaused(): boolean {
    return this.#pause === 'shared' || this.#pause === 'paused, shared' || this.#pause === 'sharing, shared'
  }
  /** Whether generator tasks are parked at their next `yield`. */
  get tasksParked(): boolean {
    return this.#tasksParked
  }
  get pauseState(): PauseState {
    return this.#pause
  }
  get phase(): Phase {
    return this.#phase
  }
  /** Whether `stop()` was called. */
  get stopping(): boolean {
    return this.#phase !== 'open'
  }
  /** Whether the stop is over: nothing that this queue was asked for will be done any more. */
  get stopped(): boolean {
    return this.#phase === 'stopped'
  }

  // Commands.

  pause(): void {
    this.#turn('pause')
  }
  /** A shared pause is asked for; a pause of this object stands in until the backlog says that it holds. */
  share(): void {
    this.#turn('share')
  }
  /** Ends the pause of this object. */
  resume(): void {
    this.#turn('resume')
  }
  /** The backlog says that a shared pause holds from now on, or not any more. */
  sharedPauseChanged(holds: boolean): void {
    this.#turn(holds ? 'sharedPause' : 'sharedResume')
  }
  /** With a pause, generator tasks are parked. */
  parkTasks(): void {
    if (!this.paused || this.stopping) throw illegal('park tasks', this.stopping ? this.#phase : this.#pause)
    this.#tasksParked = true
  }
  unparkTasks(): void {
    this.#tasksParked = false
  }
  /** Nothing starts from now on. */
  stop(): void {
    this.#become('stopping')
  }
  /** Bodies have had their time. */
  interrupt(): void {
    this.#become('interrupting')
  }
  /** All that was settled is stored. */
  end(): void {
    this.#become('stopped')
  }

  // The only writers.

  #turn(command: PauseCommand): void {
    const to = pauses[this.#pause][command]
    if (to === undefined) throw illegal(command, this.#pause)
    this.#pause = to
    this.#workOut()
  }
  #become(to: Phase): void {
    if (!phases[this.#phase].includes(to)) throw illegal(`be ${to}`, this.#phase)
    this.#phase = to
    this.#workOut()
  }
  #workOut(): void {
    this.#mayLaunch = this.#works && this.#phase === 'open' && this.#pause === 'running'
  }
}

function illegal(command: string, state: string): Error {
  return new Error(`a queue that is ${state} cannot ${command}`)
}
