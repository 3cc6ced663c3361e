/** A promise with the two functions that settle it. Its rejection never counts as unhandled. */
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
  /**
   * Rejects, and marks the rejection as handled: a rejection that nobody awaits is reported by an event, not by the end
   * of the process.
   */
  fail(error: unknown): void {
    this.promise.catch(ignore)
    this.reject(error)
  }
}

/** A rejected promise to be adopted by another one. By itself it is no unhandled rejection. */
export function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject(error)
  promise.catch(ignore)
  return promise
}

function ignore(): void {}
