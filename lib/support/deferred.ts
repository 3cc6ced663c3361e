/** A promise and the two functions that settle it. Never by itself an unhandled rejection. */
export class Deferred<T> {
  readonly promise: Promise<T>
  resolve!: (value: T) => void
  reject!: (error: unknown) => void
  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve as (value: T) => void
      this.reject = reject
    })
  }
  /** Rejects, and counts as heard: a rejection nobody waits for is told by an event, not by the process dying. */
  fail(error: unknown): void {
    this.promise.catch(ignore)
    this.reject(error)
  }
}

/** A rejected promise for somebody to adopt, which is by itself no unhandled rejection. */
export function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject(error)
  promise.catch(ignore)
  return promise
}

function ignore(): void {}
