/**
 * Queues of one name enter their store in the order of their construction, however long it takes to identify the store.
 * So if two queues may not have handlers for one name together, the first one prevails.
 */

/** By process, then by name: the promise of the queue that was constructed last. */
const entering = new WeakMap<object, Map<string, Promise<unknown>>>()

/**
 * Calls `enter` with the result of `found`. A queue with a handler enters after all earlier ones of its name and
 * process.
 */
export async function inTurn<F, T>(
  process: object,
  { name, works }: { readonly name: string; readonly works: boolean },
  found: Promise<F>,
  enter: (file: F) => T,
): Promise<T> {
  if (!works) return enter(await found)
  let names = entering.get(process)
  if (!names) entering.set(process, (names = new Map()))
  const before = names.get(name)
  const mine = behind(before, found).then(enter)
  names.set(name, mine)
  try {
    return await mine
  } finally {
    if (names.get(name) === mine) names.delete(name)
  }
}

async function behind<F>(before: Promise<unknown> | undefined, found: Promise<F>): Promise<F> {
  const [file] = await Promise.all([found, before?.catch(() => {})])
  return file
}
