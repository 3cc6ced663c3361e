/** A bug that is planted on purpose: the change, the file, why it is wrong, and which tests should find it. */

/** One change: text that stands once in the file, and what stands there instead. */
export interface Edit {
  readonly find: string
  readonly replace: string
}

export interface Plant {
  /** What the code does wrong once it is planted, in a few words. No other has it. */
  readonly name: string
  /** From the root. */
  readonly file: string
  readonly edits: readonly Edit[]
  /** Which promise it breaks, and how. */
  readonly why: string
  /** Test files that ought to find it, from `test/` and without their ending: the quickest first. */
  readonly finders: readonly string[]
}

/**
 * The text with the bug in it. Throws where a change does not find its place, or more than one: the list is out of
 * date.
 */
export function plantedIn(text: string, { name, file, edits }: Plant): string {
  let changed = text
  for (const { find, replace } of edits) {
    const places = changed.split(find).length - 1
    if (places !== 1) {
      throw new Error(`'${name}': its text stands ${places} times in ${file}, and must stand there once:\n${find}`)
    }
    changed = changed.replace(find, () => replace)
  }
  if (changed === text) throw new Error(`'${name}' changes nothing`)
  return changed
}
