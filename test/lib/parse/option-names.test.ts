import test from 'ava'
import { OptionError } from '../../../lib/errors.ts'
import { meantBy, oneOf, optionsOf, refuseUnknown } from '../../../lib/parse/option-names.ts'

test('option names: the word of another library is recognised where rdq has its meaning', t => {
  t.is(meantBy('interval', ['rate', 'width']), 'rate')
  t.is(meantBy('interval', ['limit', 'per']), 'per')
  t.is(meantBy('backoff', ['delay', 'factor']), 'delay and factor')
  t.is(meantBy('backoff', ['retry']), 'retry')
  t.is(meantBy('waiting', ['pending', 'delayed']), 'pending')
  t.is(meantBy('concurrency', ['limit', 'per']), undefined)
})

test('option names: a misspelling of at most two letters is recognised, and names of the prototype are not', t => {
  t.is(meantBy('widht', ['name', 'width']), 'width')
  t.is(meantBy('PRIORITY', ['priority', 'delay']), 'priority')
  t.is(meantBy('xyzzy', ['name', 'width']), undefined)
  t.is(meantBy('id', ['of', 'per']), undefined)
  for (const name of ['constructor', '__proto__', 'toString']) t.is(meantBy(name, ['name', 'width']), undefined)
  t.is(meantBy('x'.repeat(1e6), ['name', 'width']), undefined)
})

test('option names: a value that is not allowed is refused with the one that was meant', t => {
  t.notThrows(() => oneOf('state', undefined, ['pending', 'failed']))
  t.notThrows(() => oneOf('state', 'failed', ['pending', 'failed']))
  t.throws(() => oneOf('jobs.state', 'waiting', ['pending', 'delayed', 'failed']), {
    instanceOf: OptionError,
    message: `jobs.state must be one of 'pending', 'delayed', 'failed', got 'waiting'; did you mean 'pending'?`,
  })
  for (const value of [null, 5, Symbol('x'), [], {}, 10n]) {
    t.throws(() => oneOf('state', value, ['pending', 'failed']), { instanceOf: OptionError })
  }
})

test('option names: each given option is read once, and no other', t => {
  const reads: string[] = []
  const source = new Proxy({ a: 1, b: undefined } as Record<string, unknown>, {
    get: (from, name) => {
      reads.push(String(name))
      return from[String(name)]
    },
  })

  t.deepEqual(optionsOf('x.', source, ['a', 'b', 'c']), { a: 1 })

  t.deepEqual(reads, ['a', 'b', 'c'])
  t.deepEqual(optionsOf('x.', undefined, ['a']), {})
})

test('option names: an unknown option is refused by its path, and the message ends with the known ones', t => {
  t.throws(() => refuseUnknown('keep.', { completed: 1 }, ['finished', 'failed']), {
    message: 'keep.completed is not an option; did you mean keep.finished? Known are: finished, failed',
  })
  t.throws(() => refuseUnknown('keep.', { xyzzy: 1 }, ['finished', 'failed']), {
    message: 'keep.xyzzy is not an option. Known are: finished, failed',
  })
  t.throws(() => refuseUnknown('keep.', 5 as never, ['finished']), {
    message: 'keep must be an object of options, got 5',
  })
})
