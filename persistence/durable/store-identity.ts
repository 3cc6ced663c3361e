/** Which store a link leads to, so that what outlives a link is found by the next one to the same store. */
export interface StoreIdentity {
  /** Stands for the process: a test may simulate several. */
  readonly process: object
  /** The same for all links of the process to this store. */
  readonly key: string
}
