/** The file that a thread of `inThread` runs: it calls one function at a time, and sends back what comes of it. */
import Module from 'node:module'
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { describeError } from '../errors.ts'
import { defaultFunctionOf } from '../isolate/loaded-module.ts'
import { unmarked } from '../isolate/transfer.ts'
import { fromWireError, toWireError } from '../isolate/wire-error.ts'
import type { FromCallThread, FunctionSource, ToCallThread } from './call-protocol.ts'

type Call = (...args: unknown[]) => unknown

const port = parentPort as NonNullable<typeof parentPort>
/** Functions that were loaded, by the address of their module or by their text. */
const loaded = new Map<string, Call>()
let controller: AbortController | undefined

port.on('message', (message: ToCallThread) => {
  if (message.kind === 'abort') controller?.abort(fromWireError(message.reason))
  else void run(message)
})
port.on('messageerror', error => post({ kind: 'threw', error: toWireError(error) }))

async function run({ source, args, signalsAt }: ToCallThread & { kind: 'call' }): Promise<void> {
  const isText = 'text' in source
  let call: Call
  try {
    call = loaded.get(isText ? source.text : source.module) ?? (await load(source))
  } catch (error) {
    return post({ kind: 'notLoaded', error: toWireError(error) })
  }
  controller = signalsAt.length > 0 ? new AbortController() : undefined
  const given = [...args]
  for (const at of signalsAt) given[at] = controller?.signal
  try {
    const { value, buffers } = unmarked(await call(...given))
    controller = undefined
    send(value, buffers)
  } catch (error) {
    controller = undefined
    post({ kind: 'threw', error: toWireError(isText ? explained(error) : error) })
  }
}

function send(value: unknown, buffers: readonly object[]): void {
  try {
    post({ kind: 'returned', value }, buffers)
  } catch (error) {
    post({ kind: 'unsent', problem: describeError(error) })
  }
}

function post(message: FromCallThread, buffers: readonly object[] = []): void {
  port.postMessage(message, buffers as ArrayBuffer[])
}

const mustBeFunction = 'it must be a function: export default function (…) { … }'

async function load(source: FunctionSource): Promise<Call> {
  const call =
    'text' in source ? evaluated(source.text) : defaultFunctionOf<Call>(await import(source.module), mustBeFunction)
  loaded.set('text' in source ? source.text : source.module, call)
  return call
}

/**
 * Compiles the text as a CommonJS file of the working folder, so that `import()` and `require()` in it find what is
 * installed there. Compilers name functions by a helper of their own, which the text must find.
 */
function evaluated(text: string): Call {
  const file = join(process.cwd(), 'inThread.js')
  const module = new Module(file) as CommonJsModule
  module.filename = file
  module.paths = (Module as unknown as { _nodeModulePaths(folder: string): string[] })._nodeModulePaths(process.cwd())
  module._compile(`"use strict"; const __name = made => made; module.exports = (${text}\n)`, file)
  return module.exports
}

/** `_compile` has no page in Node's manual, but loaders of other languages have relied on it for years. */
type CommonJsModule = Module & { _compile(code: string, file: string): void }

/** The usual mistake with a function that is sent as its text. */
function explained(error: unknown): unknown {
  if (!(error instanceof ReferenceError) || !/ is not defined$/.test(error.message)) return error
  error.message += `; inThread sends the text of a function, so it can use only its arguments, globals and what it loads itself: pass the rest in args, or give the URL of a module`
  return error
}
