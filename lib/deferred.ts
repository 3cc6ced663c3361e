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

function ignore(): void {}

/** A deferred whose promise is somebody else's already, and heard there. */
export class Settler<T> {
  readonly promise: Promise<T> | undefined = undefined
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
  constructor(resolve: (value: T) => void, reject: (error: unknown) => void) {
    this.resolve = resolve
    this.reject = reject
  }
  fail(error: unknown): void {
    this.reject(error)
  }
}
