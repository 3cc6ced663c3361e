/** The example's screen and keyboard. Nothing here is about queues. */

/** Shows `line()` until the function it returns is called: rewritten in place on a terminal, else about once a second. */
export function show(line: () => string): () => void {
  const { stderr } = process // So that stdout holds the table alone.
  const inPlace = stderr.isTTY
  const write = inPlace
    ? () => stderr.write(`\r\x1b[K${line().slice(0, stderr.columns - 1)}`)
    : () => stderr.write(`${line()}\n`)
  const timer = setInterval(write, inPlace ? 150 : 1_000)
  return () => {
    clearInterval(timer)
    write()
    if (inPlace) stderr.write('\n')
  }
}

/** What the user can do, and how to ask for it here. */
export const keys: string = process.stdin.isTTY
  ? 'space or p: pause and resume · q or Ctrl-C: stop gently'
  : `kill -USR2 ${process.pid}: pause and resume · kill -INT ${process.pid}: stop gently`

/** Listens to keys, where there is a keyboard, and to signals. Returns the function that ends the listening. */
export function listen(commands: { togglePause(): void; stop(): void }): () => void {
  const { stdin } = process
  const onKeys = (typed: Buffer): void => {
    for (const key of String(typed)) {
      if (key === ' ' || key === 'p') commands.togglePause()
      if (key === 'q' || key === '\x03') commands.stop() // In raw mode Ctrl-C is a key like others.
    }
  }
  if (stdin.isTTY) stdin.setRawMode(true).on('data', onKeys)
  process.on('SIGINT', commands.stop).on('SIGTERM', commands.stop)
  if (process.platform !== 'win32') process.on('SIGUSR2', commands.togglePause) // SIGUSR1 is node's own, for debuggers.

  return () => {
    if (stdin.isTTY) stdin.setRawMode(false).off('data', onKeys).pause()
    process.off('SIGINT', commands.stop).off('SIGTERM', commands.stop).off('SIGUSR2', commands.togglePause)
  }
}
