/**
 * The lifecycle of a queue: whether its jobs may start, and how far its stop has come.
 *
 * Two tables list the legal transitions. A command without one throws, because its caller should have checked first.
 * This class has no other effect; the caller acts on the change.
 */

/**
 * - `paused`: a pause of this object is in force.
 * - `shared`: a shared pause of the name is in force, in every process.
 * - `sharing`: a shared pause was requested here and is not stored yet. Until then a pause of this object stands in for
 *   it.
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

/** The phases of a stop: it waits for bodies, interrupts those that still run, and ends. */
export type Phase = 'open' | 'stopping' | 'interrupting' | 'stopped'

const phases: Readonly<Record<Phase, readonly Phase[]>> = {
  open: ['stopping'],
  stopping: ['interrupting', 'stopped'],
  interrupting: ['stopped'],
  stopped: [],
}

export class Lifecycle {
  /** Whether the queue has a handler. */
  readonly works: boolean
  #pause: PauseState
  #phase: Phase = 'open'
  #tasksParked = false
  /** Read for each job, so it is computed at each change. */
  #mayLaunch = false

  /** @param works False for a queue without a handler, which never launches anything. */
  constructor(works: boolean, paused: boolean) {
    this.works = works
    this.#pause = paused ? 'paused' : 'running'
    this.#workOut()
  }

  // Questions change nothing.

  /** Whether a job may start now, free slots and the rate apart. */
  get mayLaunch(): boolean {
    return this.#mayLaunch
  }
  /**
   * Whether to claim jobs. During a shared pause the answer is yes, because the backlog is the first to learn of its
   * end.
   */
  get mayClaim(): boolean {
    return this.works && this.#phase === 'open' && !this.pausedHere
  }
  /** Whether any pause is in force. */
  get paused(): boolean {
    return this.#pause !== 'running'
  }
  /** Whether a pause of this object is in force, or stands in for a shared one. */
  get pausedHere(): boolean {
    return this.#pause !== 'running' && this.#pause !== 'shared'
  }
  /** Whether the pause of this object only stands in for a shared one. */
  get isStandIn(): boolean {
    return this.#pause === 'sharing' || this.#pause === 'sharing, shared'
  }
  /** Whether a shared pause is in force, by the last reply of the backlog. */
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
  /** Whether the stop has ended, so that this queue does nothing any more. */
  get stopped(): boolean {
    return this.#phase === 'stopped'
  }

  // Commands.

  pause(): void {
    this.#change('pause')
  }
  /** A shared pause was requested. A pause of this object stands in until the backlog reports it as in force. */
  share(): void {
    this.#change('share')
  }
  /** Ends the pause of this object. */
  resume(): void {
    this.#change('resume')
  }
  /** The backlog reports that a shared pause is in force, or has ended. */
  sharedPauseChanged(isInForce: boolean): void {
    this.#change(isInForce ? 'sharedPause' : 'sharedResume')
  }
  /** Parks generator tasks, together with a pause. */
  parkTasks(): void {
    if (!this.paused || this.stopping) throw illegal('park tasks', this.stopping ? this.#phase : this.#pause)
    this.#tasksParked = true
  }
  unparkTasks(): void {
    this.#tasksParked = false
  }
  /** No job starts from now on. */
  stop(): void {
    this.#become('stopping')
  }
  /** The time for bodies to end by themselves is over. */
  interrupt(): void {
    this.#become('interrupting')
  }
  /** Everything that was settled is stored. */
  end(): void {
    this.#become('stopped')
  }

  // The only methods that change the state.

  #change(command: PauseCommand): void {
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
    this.#mayLaunch = this.works && this.#phase === 'open' && this.#pause === 'running'
  }
}

function illegal(command: string, state: string): Error {
  return new Error(`a queue that is ${state} cannot ${command}`)
}
