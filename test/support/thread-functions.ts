/** The module that calls of `inThread` run in tests: its default export does what it is given. */
import { threadId } from 'node:worker_threads'
import { transfer } from '../../lib/isolate/transfer.ts'

let calls = 0

export type Deed = 'where' | 'exit' | 'block' | 'hang' | 'heed' | 'fail' | 'reject' | 'uncloneable' | 'moved' | 'sizes'

export default async function act(deed: Deed, ...args: readonly unknown[]): Promise<unknown> {
  calls++
  switch (deed) {
    case 'where':
      return { threadId, calls, args }
    case 'exit':
      return process.exit(7)
    case 'block':
      for (;;);
    case 'hang':
      return new Promise(() => {})
    case 'heed': {
      const [signal] = args as [AbortSignal]
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
    case 'fail': {
      const cause = Object.assign(new RangeError('the cause'), { depth: 2 })
      throw Object.assign(new TypeError('the failure', { cause }), { code: 'E_FAIL', at: new Date(0) })
    }
    case 'reject':
      void Promise.reject(new RangeError('nobody catches this'))
      return new Promise(() => {})
    case 'uncloneable':
      return () => 'a function'
    case 'moved': {
      const bytes = new Uint8Array(1_000).fill(7)
      const { buffer } = bytes
      return transfer(bytes, [buffer])
    }
    case 'sizes':
      return args.map(arg => (arg as Uint8Array).byteLength)
    default:
      return deed satisfies never
  }
}
