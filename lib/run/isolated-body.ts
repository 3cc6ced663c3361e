/** The body of a run that was handed over to an isolate, as its run uses it. */
export interface IsolatedBody {
  /** Aborts the signal there, and closes a generator. The body must end soon, or its isolate is replaced. */
  abort(reason: unknown): void
}
