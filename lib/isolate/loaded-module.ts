/** The function that a thread or process takes from a module, and why it may have none. */
import { describe, describeError } from '../errors.ts'

/**
 * The default export, or that of a CommonJS module that a compiler has made of an ES module. Throws TypeError if it is no
 * function. `remedy` says what it must be.
 */
export function defaultFunctionOf<Result extends (...args: never[]) => unknown>(
  module: unknown,
  remedy: string,
): Result {
  const { default: given } = module as { readonly default?: unknown }
  if (typeof given === 'function') return given as Result
  const inner = (given as { readonly default?: unknown } | null | undefined)?.default
  if (typeof inner === 'function') return inner as Result
  const problem = given === undefined ? 'it has no default export' : `its default export is ${describe(given)}`
  throw new TypeError(`${problem}; ${remedy}`)
}

/** The codes with which Node.js refuses TypeScript: at all, or in an installed package. */
const refusals: readonly unknown[] = ['ERR_UNKNOWN_FILE_EXTENSION', 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING']

/** Why the module could not be loaded, and what to do about it. */
export function loadProblem(cause: unknown, module: string): string {
  const { code } = (cause ?? {}) as { readonly code?: unknown }
  const isTypeScript = /\.[cm]?tsx?$/.test(module)
  const isRefused = refusals.includes(code) || cause instanceof SyntaxError
  const remedy = '; this Node.js does not run this TypeScript: compile the module, and give the URL of its .js file'
  return `${describeError(cause)}${isTypeScript && isRefused ? remedy : ''}`
}

/** The remedy for a bundle that has left behind the files which threads and processes run. */
export const bundleRemedy: string = `threads and processes run files of rdq, which the bundle has left behind; mark rdq as external (esbuild: --external:rdq; webpack: externals: [/^rdq(\\/|$)/]; rolldown: external: [/^rdq(\\/|$)/]) and install it where the bundle runs`
