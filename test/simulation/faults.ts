/** Counts how often each kind of fault has fired: a run in which a fault never fired proves nothing about it. */
export class Faults {
  readonly counts: Map<string, number> = new Map()

  fired(kind: string, times = 1): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + times)
  }
  add(others: Iterable<readonly [string, number]>): void {
    for (const [kind, times] of others) this.fired(kind, times)
  }
  /** The kinds that never fired. */
  get missing(): string[] {
    return kinds.filter(kind => !this.counts.has(kind))
  }
}

const at = (what: string, ...points: readonly string[]): string[] => points.map(point => `${what} at ${point}`)
const listeners = ['throws', 'rejects', 'puts', 'leaves', 'pauses', 'cancels', 'widens', 'blocks']

/** All kinds of faults that the simulation can inject. */
export const kinds: readonly string[] = [
  'a crash between exchanges',
  ...at('crash', 'received', 'commit', 'committed', 'answered'),
  ...at('thread dies', 'received', 'commit', 'committed', 'answered'),
  'the death of a thread',
  'busy at received',
  ...at('full', 'received', 'commit'),
  ...at('disk', 'received', 'commit'),
  ...at('refused', 'received', 'commit'),
  'slow at committed',
  'a power cut',
  'a power cut that takes commits with it',
  'a death that a queue without a handler notices',
  'lock files that are removed',
  'a jump of the wall clock',
  'a signal that has aborted before the call',
  'a signal that aborts on the way of its put',
  'a loop that is held up',
  'a process that is frozen',
  'a body that holds up its loop',
  'a body that kills its process before its launch is known',
  'a body that kills its process when its launch is known',
  'a body that ends its isolate',
  'an isolate that ends by itself',
  'an isolate that hangs',
  'an isolate that answers late',
  'a number of isolates that is set',
  'a module that cannot be loaded at first',
  'a value that cannot be stored',
  ...['width', 'rate', 'weight', 'pause', 'resume'].map(what => `a ${what} of a key that is set`),
  ...['width', 'rate', 'pause', 'hold'].map(why => `a key that its ${why} holds up`),
  ...['rate', 'globalWidth', 'keys', 'all'].map(only => `overrides that are cleared: ${only}`),
  'keys that are declared anew',
  'a key that is cleared',
  'a hostile key',
  'a cost in two units',
  'a cost that is corrected',
  'a death between claim and launch with keys in force',
  'a global width that is set',
  'a transaction of the user',
  'a transaction of the user that is undone',
  'an ending of the user',
  'an ending of the user that is undone',
  ...listeners.map(does => `a listener that ${does}`),
]
