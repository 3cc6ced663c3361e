/** Handlers in every form that a queue takes. */
import type { Handler } from '../../lib/run/run.ts'

/** Calls `step(i)` in each of its steps; the handler's first line is that of step 0. */
export type Form = (steps: number, step: (i: number) => void) => Handler<unknown, unknown>

export const forms: Readonly<Record<string, Form>> = {
  'a function': (steps, step) => () => {
    for (let i = 0; i < steps; i++) step(i)
  },
  'an async function': (steps, step) => async () => {
    for (let i = 0; i < steps; i++) {
      step(i)
      await undefined
    }
  },
  'a function that returns a thenable': (steps, step) => () => {
    for (let i = 0; i < steps; i++) step(i)
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tried.
    return { then: (resolve: (value: unknown) => void) => resolve(1) } as PromiseLike<unknown>
  },
  'a generator function': (steps, step) =>
    function* () {
      for (let i = 0; i < steps; i++) {
        step(i)
        yield
      }
    },
  'an async generator function': (steps, step) =>
    async function* () {
      for (let i = 0; i < steps; i++) {
        step(i)
        yield
      }
    },
  'a transpiled generator function': (steps, step) => () => transpiled(steps, step),
}

/** What Babel's regenerator makes of `function* () { … }`: an object with the methods of a generator, which is none. */
export function transpiled(steps: number, step: (i: number) => unknown): Iterator<unknown, string> & Iterable<unknown> {
  let i = 0
  return {
    next() {
      if (i === steps) return { value: 'done', done: true }
      return { value: step(i++), done: false }
    },
    throw(error) {
      throw error
    },
    return(value) {
      i = steps
      return { value: value ?? 'closed', done: true }
    },
    [Symbol.iterator]() {
      return this as Iterator<unknown>
    },
  }
}
