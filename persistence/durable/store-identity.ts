/**
 * Identifies the store that a link leads to, so that state that outlives a link is found by the next link to the same
 * store.
 */
export interface StoreIdentity {
  /** Stands for the process, because a test may simulate several. */
  readonly process: object
  /** The same for all links of the process to this store. */
  readonly key: string
}
