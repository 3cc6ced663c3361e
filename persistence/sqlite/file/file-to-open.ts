/** The file that a thread is to open, and how: the data with which the thread is started. */
export interface FileToOpen {
  /** The real path of the file, which exists, possibly empty. */
  readonly path: string
  /** The file's device and number. The thread refuses any other file that has the path by then. */
  readonly file: string
  /** The worker's token: its name in the file, and the last part of the name of its lock file. */
  readonly worker: string
  readonly boot: string
  readonly durability: Durability
  readonly stallMs: number
}
/** The failure that an acknowledged put survives: a loss of power, or only the end of the process. */
export type Durability = 'power' | 'process'
