/** Payloads of a queue in memory whose handler runs in isolates: a copy as of the put. */
import { deserialize, serialize } from 'node:v8'
import { describeError, PayloadError } from '../errors.ts'

/**
 * Copies payloads as they will be copied on their way to an isolate. So what cannot be copied is refused at the put, and
 * later changes of the original reach no attempt.
 */
export function payloadCloner(kind: 'thread' | 'process'): (payload: unknown) => unknown {
  const clone = kind === 'thread' ? structuredClone : (value: unknown): unknown => deserialize(serialize(value))
  return payload => {
    const type = typeof payload
    if ((type !== 'object' && type !== 'function' && type !== 'symbol') || payload === null) return payload
    try {
      return clone(payload)
    } catch (error) {
      const problem = `cannot be cloned (${describeError(error)}), and the handler runs in a ${kind}; give plain data`
      throw new PayloadError('payload', problem, { cause: error })
    }
  }
}
