/**
 * One trial of the limit in real time: handlers of one form begin in real processes, and their first lines are counted.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fullest } from '../support/fullest-window.ts'
import { forms } from '../support/handler-forms.ts'
import { bundled } from '../support/repository.ts'
import { passed } from '../support/suspend.ts'
import { remove, temporary } from '../support/temporary-folder.ts'
import type { Orders } from './worker.ts'

export interface Trial {
  readonly form: string
  /** In memory, on a file, or in so many processes on one file. */
  readonly place: Place
  /** Halts each process at random instants for 10 to 50 ms, as SIGSTOP does. */
  readonly halts: boolean
  readonly steps: number
  readonly stepMs: number
  readonly width: number
  readonly rate: { readonly limit: number; readonly per: number }
  /** How many windows are filled. */
  readonly windows: number
}
export type Place = 'in memory' | 'on a file' | 'in four processes on a file'
export const places: readonly Place[] = ['in memory', 'on a file', 'in four processes on a file']

export interface Found {
  readonly starts: number
  /** The most starts in any window. */
  readonly worst: number
  readonly halted: number
}

/** Of the issue that found generators over their limit: four short steps, 40 starts per 100 ms, all at once. */
const usual = { steps: 4, stepMs: 0.1, width: 1_000, rate: { limit: 40, per: 100 }, windows: 8 } as const

/** Every form in every place, with halts and without; then what has many steps, or one that is as long as a grace. */
export const trials: readonly Trial[] = [
  ...places.flatMap(place =>
    [false, true].flatMap(halts => Object.keys(forms).map(form => ({ ...usual, form, place, halts }))),
  ),
  ...places.flatMap(place =>
    ['a generator function', 'an async generator function', 'an async function'].flatMap(form => [
      { ...usual, form, place, halts: true, steps: 200, stepMs: 0.01 },
      { ...usual, form, place, halts: true, steps: 2, stepMs: 4, rate: { limit: 10, per: 100 } },
    ]),
  ),
]

const program = bundled('test/limit/worker')
/** Two processes know the distance of their clocks to within a few microseconds. */
const sharedHairMs = 0.02

export async function attempt(trial: Trial, chance: () => number): Promise<Found> {
  const { form, place, halts, steps, stepMs, width, rate, windows } = trial
  const folder = temporary('limit')
  const processes = place === 'in four processes on a file' ? 4 : 1
  const jobs = Math.ceil((rate.limit * windows) / processes)
  const path = place === 'in memory' ? {} : { path: join(folder, 'jobs.db') }
  const orders: Orders = { form, steps, stepMs, width, rate, jobs, ...path }
  const workers: Worker[] = []
  try {
    // One after the other: the first makes the file.
    for (let i = 0; i < processes; i++) {
      const worker = start(orders)
      workers.push(worker)
      await worker.ready
    }
    for (const { child } of workers) child.send('go')
    const done = Promise.all(workers.map(({ starts }) => starts))
    const halted = halts ? await Promise.all(workers.map(worker => haltAtRandom(worker, chance))) : []
    const starts = (await done).flat()
    const worst = fullest(starts, rate.per - (place === 'in memory' ? 0 : sharedHairMs))
    return { starts: starts.length, worst, halted: halted.reduce((sum, each) => sum + each, 0) }
  } finally {
    for (const { child } of workers) child.kill('SIGKILL')
    await Promise.all(workers.map(({ gone }) => gone))
    remove(folder)
  }
}

interface Worker {
  readonly child: ChildProcess
  readonly ready: Promise<void>
  readonly starts: Promise<readonly number[]>
  readonly gone: Promise<void>
}

function start(orders: Orders): Worker {
  const child = fork(program, [JSON.stringify(orders)], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const reported = <T>(fits: (message: unknown) => boolean): Promise<T> =>
    new Promise((resolve, reject) => {
      child.on('message', message => {
        if (fits(message)) resolve(message as T)
      })
      void gone.then(() => reject(new Error('a process of the trial ended before it was done')))
    })
  const ready = reported<void>(message => message === 'ready')
  const starts = reported<readonly number[]>(Array.isArray)
  starts.catch(() => {})
  return { child, ready, starts, gone }
}

/** Until it has told its starts. Answers how often it was halted. */
async function haltAtRandom({ child, starts }: Worker, chance: () => number): Promise<number> {
  let over = false
  const end = (): void => {
    over = true
  }
  starts.then(end, end)
  let halted = 0
  for (;;) {
    await passed(5 + chance() * 40)
    if (over) return halted
    child.kill('SIGSTOP')
    await passed(10 + chance() * 40)
    child.kill('SIGCONT')
    halted++
  }
}
