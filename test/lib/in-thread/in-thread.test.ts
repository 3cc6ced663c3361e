import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isMainThread, threadId } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { expectTypeOf } from 'expect-type'
import { OptionError, PayloadError } from '../../../lib/errors.ts'
import { type HandlerUrl, inThread, ModuleLoadError, ThreadEndedError, transfer } from '../../../lib/in-thread/index.ts'
import { remove, temporary } from '../../support/temporary-folder.ts'

type Functions = typeof import('../../support/thread-functions.ts')
const functions = new URL('../../support/thread-functions.js', import.meta.url) as HandlerUrl<Functions>
const source = (text: string): URL => new URL(`data:text/javascript,${encodeURIComponent(text)}`)

function fileOf(t: ExecutionContext, name: string, text: string): URL {
  const folder = temporary('in-thread')
  t.teardown(() => remove(folder))
  const path = join(folder, name)
  writeFileSync(path, text)
  return pathToFileURL(path)
}

interface Where {
  readonly threadId: number
  readonly calls: number
  readonly args: readonly unknown[]
}

test.serial('inThread: a function runs in another thread, with its arguments, and its result comes back', async t => {
  const where = await inThread(
    async (factor: number, list: Map<string, number>) => {
      const { threadId } = await import('node:worker_threads')
      return { threadId, product: factor * (list.get('a') ?? 0) }
    },
    [2, new Map([['a', 21]])],
  )

  t.is(where.product, 42)
  t.not(where.threadId, threadId)
})

test.serial('inThread: functions of each form are sent as their text', async t => {
  const forms = {
    async method(a: number) {
      return a + 1
    },
    async 'two words'(a: number) {
      return a + 1
    },
    arrow: async (a: number) => a + 1,
    named: async function named(a: number) {
      return a + 1
    },
    // biome-ignore lint/complexity/useArrowFunction: it is one of the forms.
    unnamed: async function (a: number) {
      return a + 1 // A comment, and then the end.
    },
  }

  for (const [form, call] of Object.entries(forms)) t.is(await inThread(call, [1]), 2, form)
  t.is(await inThread({ method: (a: number) => a + 1 }.method, [1]), 2)
  t.is(await inThread((a = 1, ...more: number[]) => a + more.length, [1, 2]), 2)
})

test.serial('inThread: the default export of a module is called, of an ES module and of CommonJS', async t => {
  const { calls, args } = (await inThread(functions, ['where', 1, 'b'])) as Where
  t.true(calls >= 1)
  t.deepEqual(args, [1, 'b'])

  t.is(await inThread(source('export default (a, b) => a * b'), [6, 7]), 42)
  t.is(await inThread(source('export default () => isNaN'), []).catch(error => error.code), 'PAYLOAD')
  const common = fileOf(t, 'common.cjs', 'module.exports = argument => "CommonJS got " + argument')
  t.is(await inThread(common, [1]), 'CommonJS got 1')
})

test.serial(
  'inThread: a module whose default is an object with a default, as compilers make of CommonJS, is called too',
  async t => {
    t.is(await inThread(source('export default { default: () => 42 }')), 42)
  },
)

test.serial('inThread: the types of arguments and result come from the function or the module', async t => {
  const length = inThread((text: string) => text.length, ['four'])
  expectTypeOf(length).toEqualTypeOf<Promise<number>>()
  expectTypeOf(inThread(async () => 'text')).toEqualTypeOf<Promise<string>>()
  expectTypeOf(inThread(source('export default () => 1'))).toEqualTypeOf<Promise<unknown>>()
  // @ts-expect-error: the function takes a text.
  const wrong = inThread((text: string) => text.length, [4])
  // @ts-expect-error: the argument is missing.
  const none = inThread((text?: string | number) => typeof text, [], { signals: 1 })
  // @ts-expect-error: there is no such deed.
  const unknown = inThread(functions, ['fly'])

  t.is(await length, 4)
  t.is((await wrong) as unknown, undefined)
  await t.throwsAsync(none, { instanceOf: OptionError })
  await unknown
})

test.serial('inThread: an error arrives with its class, name, message, stack, cause and own fields', async t => {
  const error = (await t.throwsAsync(inThread(functions, ['fail']))) as TypeError & { code: string; at: Date }

  t.true(error instanceof TypeError)
  t.is(error.message, 'the failure')
  t.regex(error.stack ?? '', /at act \(.*thread-functions\./)
  t.deepEqual([error.code, error.at], ['E_FAIL', new Date(0)])
  const cause = error.cause as RangeError & { depth: number }
  t.true(cause instanceof RangeError)
  t.deepEqual([cause.message, cause.depth], ['the cause', 2])
})

test.serial('inThread: what is thrown need not be an error', async t => {
  const call = inThread(() => {
    throw { status: 404 }
  })

  t.deepEqual(await call.catch(thrown => thrown), { status: 404 })
})

test.serial('inThread: a function that uses what is defined around it fails with an error that says why', async t => {
  const around = 42

  const error = await t.throwsAsync(inThread(() => around))

  t.true(error instanceof ReferenceError)
  t.regex(
    error?.message ?? '',
    /^around is not defined; inThread sends the text of a function.* give the URL of a module$/,
  )
})

test.serial('inThread: import() in a function finds installed packages', async t => {
  const type = await inThread(async () => typeof (await import('eventemitter3')).EventEmitter)

  t.is(type, 'function')
})

test.serial('inThread: transfer() moves the buffers of arguments and results', async t => {
  const moved = new Uint8Array(1_000)
  const copied = new Uint8Array(500)

  const sizes = await inThread(functions, ['sizes', transfer(moved, [moved.buffer]), copied])

  t.deepEqual(sizes, [1_000, 500])
  t.deepEqual([moved.byteLength, copied.byteLength], [0, 500])
  t.deepEqual(await inThread(functions, ['moved']), new Uint8Array(1_000).fill(7))
})

test.serial('inThread: arguments that cannot be cloned are refused, and the one at fault is named', async t => {
  const bytes = new Uint8Array(8)
  const moved = transfer(bytes, [bytes.buffer])
  structuredClone(bytes, { transfer: [bytes.buffer] })
  const strange = new AbortController().signal
  for (const [args, option, message] of [
    [['sizes', () => {}], 'args[1]', /^inThread: args\[1\] cannot be cloned \(.*\); give plain data$/],
    [['sizes', { deep: Symbol('s') }], 'args[1]', /cannot be cloned/],
    [['sizes', moved], 'args', /args have a buffer that was transferred already$/],
    [['sizes', transfer(1, [{}])], 'args', /cannot be cloned/],
    [['heed', strange], 'args[1]', /is not the signal of the call, and no other can leave its thread$/],
  ] as const) {
    const error = await t.throwsAsync(inThread(functions as URL, args), { instanceOf: OptionError })
    t.is((error as OptionError).option, option)
    t.regex(error?.message ?? '', message)
  }
})

test.serial('inThread: a result that cannot be cloned rejects with PayloadError', async t => {
  const error = await t.throwsAsync(inThread(functions, ['uncloneable']), { instanceOf: PayloadError })

  t.regex(error?.message ?? '', /^result cannot be cloned .*return plain data$/)
})

test.serial(
  'inThread: what is no function and no module, and bad arguments and options, are refused by name',
  async t => {
    // biome-ignore lint/suspicious/noExplicitAny: the types would refuse these.
    const call = inThread as any
    const withGetter = {
      get a() {
        return 1
      },
    }
    const cases: readonly (readonly [readonly unknown[], string, RegExp])[] = [
      [[undefined], 'module', /must be a function or the URL of a module, got undefined$/],
      [['./parse.js'], 'module', /got '\.\/parse\.js': new URL\("\.\/parse\.js", import\.meta\.url\)$/],
      [[new URL('https://example.org/a.js')], 'module', /must be a file: or data: URL/],
      [[() => 1, 'abc'], 'args', /^inThread: args must be an array of the arguments, got 'abc'$/],
      [[() => 1, { 0: 'a' }], 'args', /must be an array/],
      [[() => 1, [], null], 'options', /must be an object of options/],
      [[() => 1, [], { sginal: 1 }], 'sginal', /did you mean signal\?/],
      [[() => 1, [], { signal: new AbortController() }], 'signal', /did you mean the signal of this AbortController\?/],
      [[function* () {}], 'function', /is a generator/],
      [[async function* () {}], 'function', /is a generator/],
      [[class A {}], 'function', /is a class/],
      [[Math.max], 'function', /is bound or native/],
      [[(() => 1).bind(null)], 'function', /is bound or native/],
      [[Object.getOwnPropertyDescriptor(withGetter, 'a')?.get], 'function', /cannot be sent as its text/],
    ]
    for (const [given, option, message] of cases) {
      const error = await t.throwsAsync(call(...given), { instanceOf: OptionError }, String(message))
      t.is((error as OptionError).option, option)
      t.regex(error?.message ?? '', message)
    }
  },
)

for (const [title, module, problem] of [
  ['is not there', new URL('./no-such-module.js', import.meta.url), /no-such-module\.js/],
  ['has no default export', source('export const a = 1'), /it has no default export; it must be a function/],
  ['exports no function', source('export default 42'), /its default export is 42; it must be a function/],
  ['throws at its import', source('throw new RangeError("too early")'), /too early/],
  ['is no JavaScript', source('export default ('), /SyntaxError|Unexpected/],
] as const) {
  test.serial(`inThread: a module that ${title} rejects with ModuleLoadError`, async t => {
    const error = (await t.throwsAsync(inThread(module), { instanceOf: ModuleLoadError })) as ModuleLoadError

    t.is(error.module, module.href)
    t.regex(error.message, problem)
  })
}

test.serial('inThread: TypeScript that this Node.js does not run is refused with what to do', async t => {
  const module = fileOf(t, 'parse.ts', 'enum A { B }\nexport default (): A => A.B')

  const error = await t.throwsAsync(inThread(module), { instanceOf: ModuleLoadError })

  t.regex(error?.message ?? '', /does not run this TypeScript: compile the module, and give the URL of its \.js file$/)
})

test.serial(
  'inThread: a thread that exits, or that ends by an error nobody catches, rejects only its call',
  async t => {
    const exit = (await t.throwsAsync(inThread(functions, ['exit']), {
      instanceOf: ThreadEndedError,
    })) as ThreadEndedError
    const uncaught = await t.throwsAsync(inThread(functions, ['reject']), { instanceOf: ThreadEndedError })

    t.is(exit.exitCode, 7)
    t.true(uncaught?.cause instanceof RangeError)
    t.regex(uncaught?.message ?? '', /nobody catches this/)
    t.is(await inThread(() => 'on it goes'), 'on it goes')
  },
)

test.serial('inThread: a signal that has aborted starts nothing, and gives its reason', async t => {
  const reason = new Error('no need')

  const thrown = await inThread(functions, ['block'], { signal: AbortSignal.abort(reason) }).catch(error => error)

  t.is(thrown, reason)
})

for (const deed of ['block', 'hang'] as const) {
  test.serial(
    `inThread: an abort rejects with its reason and ends the thread of a function that would ${deed} for ever`,
    async t => {
      const abort = new AbortController()
      const reason = { why: 'enough' }
      const call = inThread(functions, [deed], { signal: abort.signal })
      abort.abort(reason)

      t.is(await call.catch(error => error), reason)
      // With one thread this one gets its turn only when that thread is gone.
      const others = await Promise.all(Array.from({ length: availableParallelism() + 1 }, () => inThread(() => 1)))
      t.is(others.length, availableParallelism() + 1)
    },
  )
}

test.serial('inThread: it works in a thread, whose pool is its own', async t => {
  t.false(isMainThread, 'ava runs this file in a thread')

  t.is(await inThread(() => 1), 1)
})
